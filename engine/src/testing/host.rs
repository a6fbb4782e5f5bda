//! A core that is nothing but its disk and a clock that stands still: enough to open state on.

use std::future::{pending, ready};
use std::rc::Rc;
use std::time::Duration;

use millstream_storage::disk::{Disk, StdDisk};

use crate::host::{Class, Host, LocalFuture};
use crate::time::Timestamp;

/// One of the kit's cores, while its state is opened.
pub(crate) struct StillHost {
    pub core: usize,
    /// Milliseconds since the epoch.
    pub now: Timestamp,
}

impl Host for StillHost {
    fn core(&self) -> usize {
        self.core
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn wall_millis(&self) -> i64 {
        self.now
    }

    fn disk(&self) -> Rc<dyn Disk> {
        Rc::new(StdDisk)
    }

    /// A core that has stopped drops its tasks unfinished, and this one never runs.
    fn spawn(&self, _: Class, _: LocalFuture<()>) {}

    /// Its time does not pass.
    fn sleep(&self, _: Duration) -> LocalFuture<()> {
        Box::pin(pending())
    }

    fn yield_now(&self) -> LocalFuture<()> {
        Box::pin(ready(()))
    }

    fn before_first_step(&self) -> LocalFuture<()> {
        Box::pin(ready(()))
    }

    fn random(&self) -> u64 {
        0
    }
}
