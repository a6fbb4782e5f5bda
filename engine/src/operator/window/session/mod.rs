//! Windows that last as long as records keep coming.

mod encoded;
mod operator;
mod queue;

use std::time::Duration;

use crate::time::as_millis;

pub(crate) use encoded::{check, next_of};
pub(crate) use operator::SessionOperator;

/// Windows of activity: a session of a key lasts until the key has had no record for as long as the gap. It starts with
/// its first record, and ends a gap after its last.
///
/// A record that comes between two sessions can join them; their accumulators are merged then. Whether a record is late
/// is judged after it has joined what it touches: one that comes late still counts in a session that is open.
///
/// The open sessions of a key lie together in the state store: their accumulators must fit one value of it.
///
/// ```
/// use millstream::prelude::*;
///
/// let job = Job::new("doc");
/// let (sink, visits) = collect();
/// job.source("clicks", from_vec(vec![(1_i64, 1_u64), (4, 1), (30, 1)]))
///     .event_time(|click| click.0, Watermarks::monotonous())
///     .map(|click| click.1)
///     .key_by(|_| 'k')
///     .window(Session::with_gap(millis(10)))
///     .reduce("count", |clicks, click| *clicks += click)
///     .map(|visit| (visit.window.start, visit.window.end, visit.value))
///     .sink("visits", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(visits.take(), [(1, 14, 2), (30, 40, 1)]);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Session<G = FixedGap> {
    gap: G,
    lateness: i64,
}

/// The gap of [`Session::with_gap`]: the same for all records.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::FixedGap;
/// let visits: Session<FixedGap> = Session::with_gap(minutes(30));
/// # let _ = visits;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FixedGap(i64);

/// The gap of [`Session::with_gap_of`]: a function of the record.
///
/// ```
/// use std::time::Duration;
/// use millstream::prelude::*;
/// use millstream::window::GapOf;
/// let visits: Session<GapOf<fn(&u64) -> Duration>> = Session::with_gap_of(|seconds| secs(*seconds));
/// # let _ = visits;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GapOf<F>(F);

/// For how long after a record a session lasts, in milliseconds.
pub(crate) trait Gap<T>: Clone + Send + 'static {
    fn gap(&self, record: &T) -> i64;

    fn describe(&self) -> String;
}

impl<T> Gap<T> for FixedGap {
    #[inline]
    fn gap(&self, _: &T) -> i64 {
        self.0
    }

    fn describe(&self) -> String {
        format!("of {} ms", self.0)
    }
}

impl<T, F: Fn(&T) -> Duration + Clone + Send + 'static> Gap<T> for GapOf<F> {
    fn gap(&self, record: &T) -> i64 {
        as_millis((self.0)(record)).max(1)
    }

    fn describe(&self) -> String {
        "by record".to_owned()
    }
}

impl Session {
    /// Sessions that end when a key has been silent for this long.
    ///
    /// # Panics
    /// If the gap is less than a millisecond.
    pub fn with_gap(gap: Duration) -> Session {
        let gap = as_millis(gap);
        assert!(gap > 0, "the gap between two sessions is at least a millisecond long");
        Session { gap: FixedGap(gap), lateness: 0 }
    }
}

impl<F> Session<GapOf<F>> {
    /// Sessions whose gap each record decides on: they last for as long after it, or longer if another record says so.
    /// Gaps of less than a millisecond are one.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, visits) = collect();
    /// job.source("clicks", from_vec(vec![(1_i64, 2_u64), (5, 20), (24, 1)]))
    ///     .event_time(|click| click.0, Watermarks::monotonous())
    ///     .map(|click| click.1)
    ///     .key_by(|_| 'k')
    ///     .window(Session::with_gap_of(|gap: &u64| millis(*gap)))
    ///     .reduce("longest", |longest, gap| *longest = (*longest).max(*gap))
    ///     .map(|visit| (visit.window.start, visit.window.end, visit.value))
    ///     .sink("visits", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(visits.take(), [(1, 3, 2), (5, 25, 20)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn with_gap_of<T>(gap: F) -> Session<GapOf<F>>
    where
        F: Fn(&T) -> Duration + Clone + Send + 'static,
    {
        Session { gap: GapOf(gap), lateness: 0 }
    }
}

impl<G> Session<G> {
    /// Keeps a session for this long after its end has been reached. A record that comes in this time updates the result,
    /// which is emitted again: at once, or, if the record prolongs the session, when its new end is reached.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, visits) = collect();
    /// job.source("clicks", from_vec(vec![(1_i64, 1_u64), (12, 1), (2, 1)]))
    ///     .event_time(|click| click.0, Watermarks::monotonous())
    ///     .map(|click| click.1)
    ///     .key_by(|_| 'k')
    ///     .window(Session::with_gap(millis(5)).allow_late(millis(10)))
    ///     .reduce("count", |clicks, click| *clicks += click)
    ///     .map(|visit| (visit.window.start, visit.window.end, visit.value))
    ///     .sink("visits", sink);
    /// job.run(Config::new().cores(1).batch_size(1))?;
    /// assert_eq!(visits.take(), [(1, 6, 1), (1, 7, 2), (12, 17, 1)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn allow_late(mut self, lateness: Duration) -> Session<G> {
        self.lateness = as_millis(lateness);
        self
    }

    pub(crate) fn lateness(&self) -> i64 {
        self.lateness
    }

    /// For how long after a record a session lasts, in milliseconds.
    pub(crate) fn gap_of<T>(&self, record: &T) -> i64
    where
        G: Gap<T>,
    {
        self.gap.gap(record)
    }

    /// For messages and the schema of checkpoints.
    pub(crate) fn describe<T>(&self) -> String
    where
        G: Gap<T>,
    {
        format!(
            "sessions with a gap {}, allowed lateness {} ms",
            Gap::<T>::describe(&self.gap),
            self.lateness
        )
    }
}
