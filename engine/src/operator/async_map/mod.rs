//! Asynchronous requests per record: many in flight at a time, none of them forgotten by a checkpoint.
//!
//! The stage keeps each record from when it is read until its result has left, and the marks that came between them. At
//! a barrier it waits for nothing: the records that it keeps are its state, and their requests are made again after a
//! restore.

mod context;
mod options;
mod queue;
mod request;
mod seed;
mod stage;

pub use context::AsyncContext;
pub use options::{AsyncOptions, Retry};

pub(crate) use context::Clock;
pub(crate) use request::{gave_up, too_late};
pub(crate) use seed::{AsyncSpec, declared};
