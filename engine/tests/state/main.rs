//! State across restarts: other types, other settings, other cores.

mod interrupted;
mod operator;
mod schema;
