//! Engine.
pub mod host;
