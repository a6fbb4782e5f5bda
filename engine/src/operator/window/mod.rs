//! Windows.

pub(crate) mod ahead;
pub(crate) mod tumbling;

use std::time::Duration;

use crate::time::{Timestamp, as_millis};

pub(crate) use tumbling::TumblingOperator;

/// A span of event time: `start` inclusive, `end` exclusive, in milliseconds.
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
    pub fn offset_millis(mut self, offset: i64) -> Tumbling {
        self.offset = offset.rem_euclid(self.size);
        self
    }

    /// Keeps a window's state for this long after its end has been reached. A record that comes in this time
    /// updates the result, which is emitted again at once; one that comes later is late.
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

    /// When the state of a window that ends at `end` is removed, and records for it become late: once the
    /// watermark has reached this.
    #[inline]
    pub(crate) fn cleanup(&self, end: Timestamp) -> Timestamp {
        end.saturating_sub(1).saturating_add(self.lateness)
    }

    pub(crate) fn window_ending(&self, end: Timestamp) -> Window {
        Window { start: self.window_of(end.saturating_sub(1)).start, end }
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

#[cfg(test)]
mod tests;
