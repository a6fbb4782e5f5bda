//! The state store of Millstream and the seam to the disk.
//!
//! The keyed state of a step on one core lives in a [`Store`](store::Store): a hybrid log with a hash index,
//! updated in place above its seal line and copied below it, so that a snapshot costs a few stores at any size.
//! What a checkpoint writes is the memory that the state lives in. `FORMAT.md` draws every byte.
//!
//! All I/O goes through [`disk::Disk`], which the engine's hosts and the simulator implement.

pub mod collection;
mod delta;
pub mod disk;
pub mod error;
pub mod expiry;
mod file_index;
pub mod hash;
mod index;
pub mod inspect;
mod log;
pub mod manifest;
mod memory;
pub mod planted;
mod prefetch;
pub mod read;
pub mod sealed;
pub mod snapshot;
pub mod spill;
pub mod store;
mod table;
pub mod topic;
mod writer;
