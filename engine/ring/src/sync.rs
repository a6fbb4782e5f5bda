//! The primitives of concurrency: std's, or under `--cfg loom` the model checker's.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence},
};

/// A value alone on its cache lines, so that a write to its neighbour does not take it from its reader.
///
/// 128 bytes: Intel's and AMD's prefetchers fetch lines of 64 bytes in pairs, and Apple's lines are 128 long.
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);
