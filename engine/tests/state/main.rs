//! State across restarts: other types, other settings, other cores.

mod golden;
mod groups;
mod interrupted;
mod memory;
mod operator;
mod schema;
mod ttl;
