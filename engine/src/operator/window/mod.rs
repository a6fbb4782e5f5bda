//! Windows.

pub(crate) mod accumulators;
pub(crate) mod ahead;
pub(crate) mod assign;
mod clocked;
mod days;
mod firing;
pub(crate) mod general;
mod merged;
pub(crate) mod session;
mod slicing;
mod sliding;
pub(crate) mod tumbling;

use std::time::Duration;

use crate::time::{Timestamp, as_millis};

pub use assign::{Assign, Global};
pub use clocked::ClockTumbling;
pub use days::Days;
pub use general::content::{Records, WindowContext};
pub use general::{evict, trigger};
pub use session::{FixedGap, GapOf, Session};
pub use sliding::{Cumulative, Sliding};

pub(crate) use clocked::ClockOperator;
pub(crate) use slicing::SlicingOperator;
pub(crate) use tumbling::TumblingOperator;

/// Windows that lie side by side, so that a record belongs to one of them. A window is named by its end.
pub(crate) trait Spans: Clone + Send + 'static {
    /// The window that a timestamp falls into, cut off at the ends of time.
    fn window_of(&self, time: Timestamp) -> Window;

    /// The window that ends at `end`.
    #[inline]
    fn window_ending(&self, end: Timestamp) -> Window {
        Window { start: self.window_of(end.saturating_sub(1)).start, end }
    }

    /// For how long after its end a window is kept, in milliseconds.
    fn lateness(&self) -> i64;

    /// When the state of a window that ends at `end` is removed, and records for it become late: once the
    /// watermark has reached this.
    #[inline]
    fn cleanup(&self, end: Timestamp) -> Timestamp {
        end.saturating_sub(1).saturating_add(self.lateness())
    }
}

/// A span of event time: `start` inclusive, `end` exclusive, in milliseconds.
///
/// ```
/// # use millstream::prelude::*;
/// let window: Window = Tumbling::of(secs(10)).window_of(12_345);
/// assert_eq!(window, Window { start: 10_000, end: 20_000 });
/// assert_eq!(window.max_timestamp(), 19_999);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first timestamp in it.
    pub start: Timestamp,
    /// The first timestamp after it.
    pub end: Timestamp,
}

impl Window {
    /// The last timestamp in it: what its results carry.
    pub fn max_timestamp(&self) -> Timestamp {
        self.end - 1
    }
}

/// A result of a window, for one key.
///
/// ```
/// # use millstream::prelude::*;
/// let job = Job::new("doc");
/// let (sink, sums) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 2, 11]))
///     .event_time(|n| *n, Watermarks::monotonous())
///     .key_by(|_| 'k')
///     .window(Tumbling::of(millis(10)))
///     .reduce("sum", |sum, n| *sum += n)
///     .filter(|sum: &Windowed<char, i64>| sum.window.start == 0)
///     .sink("sums", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(sums.take(), [Windowed { key: 'k', window: Window { start: 0, end: 10 }, value: 3 }]);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windowed<K, V> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
    /// The result.
    pub value: V,
}

/// Windows of a fixed size, side by side.
///
/// ```
/// use millstream::prelude::*;
/// let hourly = Tumbling::of(hours(1)).allow_late(minutes(5));
/// assert_eq!(hourly.window_of(-1), Window { start: -3_600_000, end: 0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    size: i64,
    offset: i64,
    lateness: i64,
}

impl Tumbling {
    /// Windows of this size, aligned to the epoch.
    ///
    /// # Panics
    /// If the size is less than a millisecond.
    pub fn of(size: Duration) -> Tumbling {
        let size = as_millis(size);
        assert!(size > 0, "a window is at least a millisecond long");
        Tumbling { size, offset: 0, lateness: 0 }
    }

    /// Shifts the windows: with an offset of one hour, daily windows start at one o'clock UTC. May be negative.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let hour = 3_600_000;
    /// let days = Tumbling::of(hours(24)).offset_millis(hour);
    /// assert_eq!(days.window_of(0), Window { start: -23 * hour, end: hour });
    /// ```
    pub fn offset_millis(mut self, offset: i64) -> Tumbling {
        self.offset = offset.rem_euclid(self.size);
        self
    }

    /// Keeps a window's state for this long after its end has been reached. A record that comes in this time
    /// updates the result, which is emitted again at once; one that comes later is late.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let results = |lateness| {
    ///     let job = Job::new("doc");
    ///     let (sink, sums) = collect();
    ///     job.source("numbers", from_vec(vec![1_i64, 11, 2]))
    ///         .event_time(|n| *n, Watermarks::monotonous())
    ///         .key_by(|_| 'k')
    ///         .window(Tumbling::of(millis(10)).allow_late(lateness))
    ///         .reduce("sum", |sum, n| *sum += n)
    ///         .map(|sum| sum.value)
    ///         .sink("sums", sink);
    ///     job.run(Config::new().cores(1).batch_size(1)).map(|_| sums.take())
    /// };
    /// assert_eq!(results(millis(0))?, [1, 11], "2 is late");
    /// assert_eq!(results(millis(5))?, [1, 1 + 2, 11]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn allow_late(mut self, lateness: Duration) -> Tumbling {
        self.lateness = as_millis(lateness);
        self
    }

    /// The window that a timestamp falls into. Windows at the ends of time are cut off there.
    #[inline]
    pub fn window_of(&self, time: Timestamp) -> Window {
        // Not through the start: that may lie before all time.
        let (before, after) = self.around(time);
        Window { start: time.saturating_sub(before), end: time.saturating_add(after) }
    }

    /// How far a time lies from the start and from the end of its window.
    #[inline]
    fn around(&self, time: Timestamp) -> (i64, i64) {
        let before = time.rem_euclid(self.size) - self.offset;
        let before = if before < 0 { before + self.size } else { before };
        (before, self.size - before)
    }

    /// Size, offset and allowed lateness, in milliseconds.
    pub(crate) fn parameters(&self) -> (i64, i64, i64) {
        (self.size, self.offset, self.lateness)
    }

    /// For messages and the schema of checkpoints.
    pub(crate) fn describe(&self) -> String {
        let Tumbling { size, offset, lateness } = self;
        format!("tumbling {size} ms, offset {offset} ms, allowed lateness {lateness} ms")
    }
}

impl Spans for Tumbling {
    #[inline]
    fn window_of(&self, time: Timestamp) -> Window {
        Tumbling::window_of(self, time)
    }

    #[inline]
    fn lateness(&self) -> i64 {
        self.lateness
    }
}

#[cfg(test)]
mod tests;
