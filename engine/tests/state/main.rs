//! State across restarts: other types, other settings, other cores.

mod interrupted;
mod memory;
mod operator;
mod schema;
