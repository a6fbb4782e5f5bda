//! Event time and durations.

use std::time::Duration;

/// A point in event time: milliseconds since the Unix epoch, UTC. Negative before 1970.
///
/// ```
/// use millstream::time::Timestamp;
///
/// let new_year_2013: Timestamp = 1_356_998_400_000;
/// assert_eq!(new_year_2013 / 86_400_000, 43 * 365 + 11, "43 years, 11 of them leap years");
/// ```
pub type Timestamp = i64;

/// The timestamp of a record that has none yet, and the watermark before any.
///
/// ```
/// use millstream::time::{MAX_TIME, MIN_TIME};
///
/// assert!(MIN_TIME < 0 && 0 < MAX_TIME);
/// ```
pub const MIN_TIME: Timestamp = i64::MIN;

/// The watermark after the last record.
pub const MAX_TIME: Timestamp = i64::MAX;

/// `n` milliseconds.
///
/// ```
/// # use millstream::time::millis;
/// assert_eq!(millis(2).as_millis(), 2 * 1);
/// ```
pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `n` seconds.
///
/// ```
/// # use millstream::time::secs;
/// assert_eq!(secs(2).as_millis(), 2 * 1_000);
/// ```
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `n` minutes.
///
/// ```
/// # use millstream::time::minutes;
/// assert_eq!(minutes(2).as_millis(), 2 * 60_000);
/// ```
pub const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// `n` hours.
///
/// ```
/// # use millstream::time::hours;
/// assert_eq!(hours(2).as_millis(), 2 * 3_600_000);
/// ```
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

/// A duration in whole milliseconds, at most `i64::MAX`.
pub(crate) fn as_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
