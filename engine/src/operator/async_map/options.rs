//! How requests are made: in which order their results leave, how many at a time, how long and how often.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a record whose request was not answered in time.
type OnTimeout<T, U> = Arc<dyn Fn(T) -> Option<U> + Send + Sync>;

/// How [`Stream::async_map`](crate::stream::Stream::async_map) makes requests for records of type `T`, with results of
/// type `U`.
///
/// ```
/// # use std::convert::Infallible;
/// use millstream::prelude::*;
/// use millstream::async_map::{AsyncOptions, Retry};
///
/// let job = Job::new("doc");
/// let (sink, out) = collect();
/// let options = AsyncOptions::unordered()
///     .capacity(10)
///     .timeout(secs(30))
///     .retry(Retry::fixed(2, millis(10)))
///     .on_timeout(|_: u64| None);
/// job.source("numbers", from_vec(vec![1, 2, 3]))
///     .async_map("ask", options, |n, _| async move { Ok::<u64, Infallible>(n * n) })
///     .sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// let mut squares = out.take();
/// squares.sort();
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct AsyncOptions<T, U> {
    pub(crate) ordered: bool,
    pub(crate) capacity: usize,
    pub(crate) attempts: Attempts<T, U>,
}

/// What a request needs to know of the options.
pub(crate) struct Attempts<T, U> {
    pub timeout: Option<Duration>,
    pub retry: Retry,
    pub on_timeout: Option<OnTimeout<T, U>>,
}

impl<T, U> AsyncOptions<T, U> {
    /// Results leave in the order of their records. One that takes long holds up those behind it.
    pub fn ordered() -> AsyncOptions<T, U> {
        AsyncOptions::new(true)
    }

    /// Results leave when they are there, but no result is overtaken by a watermark, and none overtakes one.
    pub fn unordered() -> AsyncOptions<T, U> {
        AsyncOptions::new(false)
    }

    fn new(ordered: bool) -> AsyncOptions<T, U> {
        let attempts = Attempts { timeout: None, retry: Retry::none(), on_timeout: None };
        AsyncOptions { ordered, capacity: 100, attempts }
    }

    /// The most records that each core keeps: in flight, or answered and waiting for those before them. While there are
    /// as many, it reads no more, barriers included: what is never answered then holds up checkpoints. 100 if it is not set.
    ///
    /// # Panics
    /// If it is 0.
    pub fn capacity(mut self, records: usize) -> AsyncOptions<T, U> {
        assert!(
            records > 0,
            "without room for one record no request is ever made; set a capacity of 1 or more"
        );
        self.capacity = records;
        self
    }

    /// How long each attempt may take, by the core's clock. Then its future is dropped. Without it, attempts may take
    /// for ever.
    pub fn timeout(mut self, timeout: Duration) -> AsyncOptions<T, U> {
        self.attempts.timeout = Some(timeout);
        self
    }

    /// What is done about attempts that failed or took too long. Nothing if it is not set: the job fails.
    pub fn retry(mut self, retry: Retry) -> AsyncOptions<T, U> {
        self.attempts.retry = retry;
        self
    }

    /// What becomes of a record whose last attempt took too long: a result, or none. Without it, the job fails.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// use millstream::prelude::*;
    /// use millstream::async_map::AsyncOptions;
    ///
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// let options = AsyncOptions::ordered().timeout(millis(1)).on_timeout(|name: String| Some((name, None)));
    /// job.source("names", from_vec(vec!["nobody".to_owned()]))
    ///     .async_map("age", options, |name, cx| async move {
    ///         cx.sleep(hours(1)).await;
    ///         Ok::<_, Infallible>((name, Some(30)))
    ///     })
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(out.take(), [("nobody".to_owned(), None)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn on_timeout(
        mut self,
        instead: impl Fn(T) -> Option<U> + Send + Sync + 'static,
    ) -> AsyncOptions<T, U> {
        self.attempts.on_timeout = Some(Arc::new(instead));
        self
    }
}

impl<T, U> Clone for AsyncOptions<T, U> {
    fn clone(&self) -> Self {
        let attempts = self.attempts.clone();
        AsyncOptions { ordered: self.ordered, capacity: self.capacity, attempts }
    }
}

impl<T, U> Clone for Attempts<T, U> {
    fn clone(&self) -> Self {
        let Attempts { timeout, retry, on_timeout } = self;
        Attempts { timeout: *timeout, retry: *retry, on_timeout: on_timeout.clone() }
    }
}

impl<T, U> fmt::Debug for AsyncOptions<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncOptions")
            .field("ordered", &self.ordered)
            .field("capacity", &self.capacity)
            .field("timeout", &self.attempts.timeout)
            .field("retry", &self.attempts.retry)
            .field("on_timeout", &self.attempts.on_timeout.is_some())
            .finish()
    }
}

/// How often a request is made again, and how long is waited before.
///
/// ```
/// use millstream::async_map::Retry;
/// use millstream::time::{millis, secs};
///
/// assert_eq!(Retry::none().delay(0), None);
///
/// let twice = Retry::fixed(2, millis(50));
/// assert_eq!([0, 1, 2].map(|failed| twice.delay(failed)), [Some(millis(50)), Some(millis(50)), None]);
///
/// let slower = Retry::exponential(4, millis(400)).at_most(secs(1));
/// let delays = [0, 1, 2, 3].map(|failed| slower.delay(failed));
/// assert_eq!(delays, [400, 800, 1000, 1000].map(|ms| Some(millis(ms))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    retries: u32,
    first: Duration,
    at_most: Duration,
    doubles: bool,
}

impl Retry {
    /// Never.
    pub fn none() -> Retry {
        Retry::fixed(0, Duration::ZERO)
    }

    /// Up to `retries` times, each after the same delay.
    pub fn fixed(retries: u32, delay: Duration) -> Retry {
        Retry { retries, first: delay, at_most: Duration::MAX, doubles: false }
    }

    /// Up to `retries` times, the first after `first`, each later one after twice the delay of the one before it.
    pub fn exponential(retries: u32, first: Duration) -> Retry {
        Retry { doubles: true, ..Retry::fixed(retries, first) }
    }

    /// With no delay longer than this.
    pub fn at_most(self, delay: Duration) -> Retry {
        Retry { at_most: delay, ..self }
    }

    /// How long to wait before the next attempt, when `retried` retries were made before; nothing if there is none.
    pub fn delay(&self, retried: u32) -> Option<Duration> {
        let factor = if self.doubles { 1_u32.checked_shl(retried).unwrap_or(u32::MAX) } else { 1 };
        (retried < self.retries).then(|| self.first.saturating_mul(factor).min(self.at_most))
    }
}
