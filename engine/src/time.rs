//! Event time and durations.

use std::time::Duration;

/// A point in event time: milliseconds since the Unix epoch, UTC. Negative before 1970.
pub type Timestamp = i64;

/// The timestamp of a record that has none yet, and the watermark before any.
pub const MIN_TIME: Timestamp = i64::MIN;

/// The watermark after the last record.
pub const MAX_TIME: Timestamp = i64::MAX;

/// `n` milliseconds.
pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `n` seconds.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `n` minutes.
pub const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// `n` hours.
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

/// A duration in whole milliseconds, at most `i64::MAX`.
pub(crate) fn as_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
