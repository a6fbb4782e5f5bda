//! State across restarts: other types, other settings, other cores.

mod golden;
mod interrupted;
mod memory;
mod operator;
mod schema;
