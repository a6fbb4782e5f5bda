//! Keyed state: typed handles over the log in which it lives.

pub(crate) mod backend;
pub(crate) mod codec;
pub(crate) mod restore;
pub(crate) mod timers;
mod value;

pub use codec::StateValue;
pub use value::Value;
