//! How the watermarks of a source are made from its timestamps.

use std::time::Duration;

use crate::time::{MAX_TIME, MIN_TIME, Timestamp, as_millis};

/// A watermark strategy: made per split, inside the source, before splits are merged.
///
/// ```
/// # use millstream::prelude::*;
/// let late = |marks: Watermarks| {
///     let job = Job::new("doc");
///     let (sink, late) = collect();
///     job.source("numbers", from_vec(vec![1_i64, 25, 2]))
///         .event_time(|n| *n, marks.idle_after(secs(5)))
///         .key_by(|_| 'k')
///         .window(Tumbling::of(millis(10)))
///         .reduce("sum", |sum, n| *sum += n)
///         .late()
///         .sink("late", sink);
///     job.run(Config::new().cores(1)).map(|_| late.take())
/// };
/// assert_eq!(late(Watermarks::monotonous())?, [2]);
/// assert!(late(Watermarks::bounded(millis(30)))?.is_empty());
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    bound: i64,
    pub(crate) idle_after: Option<Duration>,
}

impl Watermarks {
    /// Records come at most `out_of_orderness` after a record with a later timestamp: the watermark is the
    /// greatest timestamp seen, less the bound, less one millisecond. A record beyond the bound may be late.
    pub fn bounded(out_of_orderness: Duration) -> Watermarks {
        Watermarks { bound: as_millis(out_of_orderness), idle_after: None }
    }

    /// Timestamps never go back within a split.
    pub fn monotonous() -> Watermarks {
        Watermarks::bounded(Duration::ZERO)
    }

    /// A split that could have been read for this long and had nothing no longer holds the others back. Without
    /// this, a silent split holds them back for ever.
    pub fn idle_after(mut self, silence: Duration) -> Watermarks {
        self.idle_after = Some(silence);
        self
    }

    /// The watermark after a split whose greatest timestamp is `seen`.
    #[inline]
    pub(crate) fn after(&self, seen: Timestamp) -> Timestamp {
        seen.saturating_sub(self.bound).saturating_sub(1)
    }
}

/// The progress of one split.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SplitTime {
    /// The greatest timestamp so far.
    pub seen: Timestamp,
    pub ended: bool,
    /// How long it could have been read and had nothing.
    pub silent: Duration,
}

impl SplitTime {
    pub(crate) fn new(seen: Timestamp) -> SplitTime {
        SplitTime { seen, ended: false, silent: Duration::ZERO }
    }

    /// What the split's watermark is now.
    pub(crate) fn watermark(&self, marks: &Watermarks) -> Timestamp {
        match (self.ended, self.seen) {
            (true, _) => MAX_TIME,
            (false, MIN_TIME) => MIN_TIME,
            (false, seen) => marks.after(seen),
        }
    }
}
