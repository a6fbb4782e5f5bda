//! The sink into PostgreSQL, with a real server.

mod killed;
mod modes;
mod refused;
