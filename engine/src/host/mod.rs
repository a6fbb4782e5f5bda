//! The seam between a shard and the outside world.
//!
//! A shard's step never waits and never looks outside; its driver does, through [`Host`]. There are three
//! implementations: `uring` (glommio: pinned executors, io_uring), `threads` (pinned plain threads, where io_uring
//! is denied) and the simulator's. [`launch`] starts cores on one of the first two. The trait has no defaults: nothing of one world leaks into another.

mod aligned;
mod blocking;
pub(crate) mod clock;
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
///
/// ```
/// use millstream::host::LocalFuture;
/// use millstream_storage::disk::block_on;
///
/// let seven: LocalFuture<u32> = Box::pin(async { 7 });
/// assert_eq!(block_on(seven), 7);
/// ```
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// How background work shares its core with the records.
///
/// ```
/// # use std::cell::Cell;
/// # use std::rc::Rc;
/// # use millstream::host::{Class, CoreMain, RuntimeConfig, launch};
/// let main: CoreMain = Box::new(|host| {
///     Box::pin(async move {
///         let (done, seen) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
///         for class in [Class::Records, Class::Background] {
///             let done = done.clone();
///             host.spawn(class, Box::pin(async move { done.set(done.get() + 1) }));
///         }
///         while done.get() < 2 {
///             host.yield_now().await;
///             seen.set(done.get());
///         }
///         assert_eq!(seen.get(), 2);
///     })
/// });
/// launch(&RuntimeConfig::default(), vec![main])?.join()?;
/// # Ok::<(), millstream::host::HostError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The shard's driver and what it waits for: file reads of sources, commits.
    Records,
    /// Flush and compaction: yields to records, but is never starved.
    Background,
}

/// What one core offers to the shard that lives on it.
///
/// ```
/// use std::rc::Rc;
/// use std::time::Duration;
/// use millstream::host::{Class, CoreMain, Host, RuntimeConfig, launch};
///
/// let main: CoreMain = Box::new(|host: Rc<dyn Host>| {
///     Box::pin(async move {
///         assert_eq!(host.core(), 0);
///         let start = host.monotonic();
///         host.sleep(Duration::from_millis(2)).await;
///         assert!(host.monotonic() > start);
///         host.spawn(Class::Background, Box::pin(async {}));
///         host.yield_now().await;
///         host.before_first_step().await;
///         assert!(host.disk().list("/".as_ref()).await.is_ok());
///         assert!(host.wall_millis() > 1_700_000_000_000, "after 2023");
///         assert_ne!(host.random(), host.random());
///     })
/// });
/// launch(&RuntimeConfig::default(), vec![main])?.join()?;
/// # Ok::<(), millstream::host::HostError>(())
/// ```
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
    /// Awaited by a core that has said that it is open, before its first step: the system may let others go first here, as it may
    /// anywhere, and a simulator has to. Elsewhere it is ready at once.
    fn before_first_step(&self) -> LocalFuture<()>;
    /// A random number: not reproducible in the real world, drawn from the seed in the simulator.
    fn random(&self) -> u64;
}

/// What runs on each core: made on the caller's thread, started on the core's own.
pub type CoreMain = Box<dyn FnOnce(Rc<dyn Host>) -> LocalFuture<()> + Send>;
