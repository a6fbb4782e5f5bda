//! What a request is told, and the clock that it may wait by.

use std::rc::Rc;
use std::time::Duration;

use crate::host::{Host, LocalFuture};
use crate::time::Timestamp;

/// The clock that requests wait by.
pub(crate) trait Clock {
    /// Ready after a duration.
    fn sleep(&self, duration: Duration) -> LocalFuture<()>;
    /// Milliseconds since the epoch.
    fn wall_millis(&self) -> i64;
}

/// The clock of the core.
pub(super) struct HostClock(pub Rc<dyn Host>);

impl Clock for HostClock {
    fn sleep(&self, duration: Duration) -> LocalFuture<()> {
        self.0.sleep(duration)
    }

    fn wall_millis(&self) -> i64 {
        self.0.wall_millis()
    }
}

/// What the function of [`Stream::async_map`](crate::stream::Stream::async_map) is told of its request, and the clock
/// that it may wait by on every kind of runtime.
///
/// ```
/// use std::io;
/// use millstream::prelude::*;
/// use millstream::async_map::{AsyncContext, AsyncOptions, Retry};
///
/// /// A service that has to be asked twice.
/// async fn rate(currency: u8, cx: AsyncContext) -> io::Result<(u8, i64, u64)> {
///     cx.sleep(millis(1)).await;
///     if cx.attempt() == 0 {
///         return Err(io::Error::other("asked too often"));
///     }
///     assert!(cx.wall_millis() > 0);
///     Ok((currency, cx.time(), 100 + u64::from(currency)))
/// }
///
/// let job = Job::new("doc");
/// let (sink, out) = collect();
/// let options = AsyncOptions::ordered().retry(Retry::fixed(1, millis(1)));
/// job.source("currencies", from_vec(vec![7_u8]))
///     .event_time(|_| 5, Watermarks::monotonous())
///     .async_map("rate", options, rate)
///     .sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(out.take(), [(7, 5, 107)]);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone)]
pub struct AsyncContext {
    clock: Rc<dyn Clock>,
    time: Timestamp,
    attempt: u32,
}

impl AsyncContext {
    pub(crate) fn new(clock: Rc<dyn Clock>, time: Timestamp, attempt: u32) -> AsyncContext {
        AsyncContext { clock, time, attempt }
    }

    /// The event time of the record, in milliseconds.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// How many attempts there were for this record before, since the job started or was restored.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The core's clock, in milliseconds since the epoch.
    pub fn wall_millis(&self) -> i64 {
        self.clock.wall_millis()
    }

    /// Ready after a duration, by the core's clock.
    pub fn sleep(&self, duration: Duration) -> LocalFuture<()> {
        self.clock.sleep(duration)
    }
}
