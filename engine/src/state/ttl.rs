//! How long state lives.

use std::time::Duration;

use crate::time::{Timestamp, as_millis};

/// How long an entry of a state lives, by the clock (processing time). What has expired is never returned, and is removed
/// when the log is compacted. Elements of lists and entries of maps expire one by one.
///
/// The end is fixed when the entry is written: a setting that is changed later holds for what is written later. A state
/// that expires cannot be restored as one that does not, or the reverse.
///
/// The clock is that of the core, read at the beginning of each step; it never runs backwards here, not even over
/// restarts, so that what has expired stays so.
///
/// ```
/// use millstream::prelude::*;
///
/// let session = Ttl::after(minutes(30)).on_read();
/// let cache = Ttl::after(hours(1)); // since the last write
/// let token = Ttl::after(hours(1)).on_create();
/// assert_ne!(token, cache);
/// assert_eq!(cache, Ttl::from(hours(1)).on_write());
/// assert_ne!(session, cache);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// Milliseconds.
    pub(crate) after: i64,
    pub(crate) prolonged: Prolonged,
}

/// What lets an entry live on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prolonged {
    Never,
    ByWrites,
    ByReadsAndWrites,
}

impl Ttl {
    /// As long after the last write, in whole milliseconds.
    pub fn after(duration: Duration) -> Ttl {
        Ttl { after: as_millis(duration), prolonged: Prolonged::ByWrites }
    }

    /// Counted from the last write: so it is unless said otherwise.
    pub fn on_write(self) -> Ttl {
        Ttl { prolonged: Prolonged::ByWrites, ..self }
    }

    /// Counted from when the entry was made: changing it does not prolong its life.
    pub fn on_create(self) -> Ttl {
        Ttl { prolonged: Prolonged::Never, ..self }
    }

    /// Counted from the last read or write. Every read then becomes a write.
    pub fn on_read(self) -> Ttl {
        Ttl { prolonged: Prolonged::ByReadsAndWrites, ..self }
    }

    /// When what is written at `now` ends.
    pub(crate) fn end(self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.after)
    }
}

impl From<Duration> for Ttl {
    fn from(duration: Duration) -> Ttl {
        Ttl::after(duration)
    }
}
