//! The seam between a shard and the outside world.
//!
//! A shard's step never waits and never looks outside; its driver does, through [`Host`]. There are three
//! implementations: `uring` (glommio: pinned executors, io_uring), `threads` (pinned plain threads, where io_uring
//! is denied) and the simulator's. [`launch`] starts cores on one of the first two. The trait has no defaults: nothing of one world leaks into another.

mod aligned;
mod blocking;
mod clock;
mod cores;
pub mod cpus;
mod fault;
mod fs;
pub mod probe;
mod remote;
mod runtime;
mod schedule;
mod seat;
mod slots;
mod threads;
mod uring;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use millstream_storage::disk::Disk;

pub use cores::{Cores, launch};
pub use fault::DiskError;
pub use probe::Denied;
pub use runtime::{HostError, RuntimeConfig, RuntimeKind, UnknownRuntime};

/// A future that stays on its core.
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// How background work shares its core with the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The shard's driver and what it waits for: file reads of sources, commits.
    Records,
    /// Flush and compaction: yields to records, but is never starved.
    Background,
}

/// What one core offers to the shard that lives on it.
pub trait Host {
    /// This core's index in the job, from 0.
    fn core(&self) -> usize;
    /// Time since an arbitrary start, monotone; for timeouts and rates.
    fn monotonic(&self) -> Duration;
    /// Wall-clock time in milliseconds since the epoch; for processing-time timers.
    fn wall_millis(&self) -> i64;
    /// The file system.
    fn disk(&self) -> Rc<dyn Disk>;
    /// Starts a task on this core. It is dropped, unfinished, when the core's main future ends.
    fn spawn(&self, class: Class, task: LocalFuture<()>);
    /// Ready after a duration.
    fn sleep(&self, duration: Duration) -> LocalFuture<()>;
    /// Lets I/O and other tasks of this core proceed.
    fn yield_now(&self) -> LocalFuture<()>;
    /// A random number: not reproducible in the real world, drawn from the seed in the simulator.
    fn random(&self) -> u64;
}

/// What runs on each core: made on the caller's thread, started on the core's own.
pub type CoreMain = Box<dyn FnOnce(Rc<dyn Host>) -> LocalFuture<()> + Send>;
