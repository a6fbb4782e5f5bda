//! Engine.

pub mod error;
pub mod host;
pub mod sink;
pub mod source;
pub mod time;

pub use error::{Error, ErrorKind, Result};
