//! Windows of every kind: with triggers, evictors and functions of all records. Slower than those with an aggregate alone,
//! which have operators of their own.

pub(crate) mod content;
pub mod evict;
mod process;
pub mod trigger;

pub(crate) use process::{LATE, Triggered};

use crate::time::Timestamp;

/// A window of a key.
#[derive(Clone, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(crate) struct Pane {
    /// Its number among those of the key: what is kept of it is found by that, and stays where it is when it grows.
    pub id: u64,
    /// The places of its records: the first that may be there, and the first that is free.
    pub first: u64,
    pub next: u64,
    /// How many records it has.
    pub len: u64,
    /// What the trigger has asked for.
    pub event: Vec<Timestamp>,
    pub processing: Vec<Timestamp>,
}
