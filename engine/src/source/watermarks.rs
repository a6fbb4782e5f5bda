//! How the watermarks of a source are made from its timestamps.

use std::time::Duration;

use super::alignment::Alignment;
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
    pub(crate) alignment: Option<Alignment>,
    /// None is told before the end.
    pub(crate) at_end_only: bool,
}

impl Watermarks {
    /// Records come at most `out_of_orderness` after a record with a later timestamp: the watermark is the
    /// greatest timestamp seen, less the bound, less one millisecond. A record beyond the bound may be late.
    pub fn bounded(out_of_orderness: Duration) -> Watermarks {
        Watermarks {
            bound: as_millis(out_of_orderness),
            idle_after: None,
            alignment: None,
            at_end_only: false,
        }
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

    /// Splits of the group whose watermark is further ahead than that of the one furthest behind, plus `max_drift`, are
    /// paused until that has caught up: so what has to be kept until watermarks come does not grow without bound where
    /// one input is read faster than another. A group is all splits, on all cores, of the job's sources that name it.
    ///
    /// A split that is idle or has ended is not waited for, one that has nothing yet is: give silent inputs an
    /// [`idle_after`](Watermarks::idle_after). To be paused is not to be idle. A split is at most one batch of records
    /// beyond the drift.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, all) = collect();
    /// let marks = Watermarks::monotonous().aligned("readings", minutes(1));
    /// let old = job.source("last year's", from_vec(vec![1_i64, 2])).event_time(|n| *n, marks);
    /// let new = job.source("this year's", from_vec(vec![70_000_i64, 90_000])).event_time(|n| *n, marks);
    /// old.union("both", new).sink("out", sink);
    /// job.run(Config::new().cores(2))?;
    /// assert_eq!(all.take().len(), 4);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn aligned(mut self, group: &'static str, max_drift: Duration) -> Watermarks {
        self.alignment = Some(Alignment { group, drift: as_millis(max_drift) });
        self
    }

    /// The input itself says where its watermarks are: after each record, the function may tell one. What is lower than
    /// one told before counts for nothing.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// /// A reading, or the word that all readings up to a time have come.
    /// #[derive(Clone, Copy, PartialEq, Debug)]
    /// enum Line { Reading(i64), Complete(i64) }
    /// use Line::{Complete, Reading};
    ///
    /// let time = |line: &Line| match *line { Reading(t) | Complete(t) => t };
    /// let marks = Watermarks::punctuated(|line: &Line, _| match *line {
    ///     Complete(t) => Some(t),
    ///     Reading(_) => None,
    /// });
    /// let job = Job::new("doc");
    /// let (sink, late) = collect();
    /// job.source("lines", from_vec(vec![Reading(25), Reading(2), Complete(10), Reading(3)]))
    ///     .event_time(time, marks)
    ///     .key_by(|_| 'k')
    ///     .window(Tumbling::of(millis(10)))
    ///     .aggregate("count", Count)
    ///     .late()
    ///     .sink("late", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(late.take(), [Reading(3)]);
    /// # #[derive(Clone)]
    /// # struct Count;
    /// # impl Aggregate for Count {
    /// #     type In = Line;
    /// #     type Acc = u64;
    /// #     type Out = u64;
    /// #     fn add(&self, count: &mut u64, _: &Line) { *count += 1; }
    /// #     fn finish(&self, count: &u64) -> u64 { *count }
    /// # }
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn punctuated<T, F>(told: F) -> Generated<Punctuated<F>>
    where
        F: FnMut(&T, Timestamp) -> Option<Timestamp> + Clone + Send + 'static,
    {
        Generated { generator: Punctuated(told), idle_after: None, alignment: None }
    }

    /// Watermarks by a [`WatermarkGenerator`] of one's own, cloned for each split.
    pub fn custom<G>(generator: G) -> Generated<G> {
        Generated { generator, idle_after: None, alignment: None }
    }

    /// The watermark after a split whose greatest timestamp is `seen`.
    #[inline]
    pub(crate) fn after(&self, seen: Timestamp) -> Timestamp {
        seen.saturating_sub(self.bound).saturating_sub(1)
    }

    /// The greatest timestamp of a split whose watermark is `watermark`.
    pub(crate) fn seen_at(&self, watermark: Timestamp) -> Timestamp {
        watermark.saturating_add(1).saturating_add(self.bound)
    }
}

/// Makes the watermarks of one split, record by record.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::source::watermarks::WatermarkGenerator;
///
/// /// Follows the third greatest timestamp: two records with clocks that run ahead change nothing.
/// #[derive(Clone, Default)]
/// struct ThirdGreatest { greatest: Vec<Timestamp> }
/// impl<T> WatermarkGenerator<T> for ThirdGreatest {
///     fn on_record(&mut self, _: &T, time: Timestamp) -> Option<Timestamp> {
///         self.greatest.push(time);
///         self.greatest.sort_by(|a, b| b.cmp(a));
///         self.greatest.truncate(3);
///         self.greatest.get(2).map(|third| third - 1)
///     }
///     fn resume(&mut self, watermark: Timestamp) {
///         self.greatest = vec![watermark + 1; 3];
///     }
/// }
///
/// let job = Job::new("doc");
/// let (sink, late) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 900, 2, 12, 3, 31, 5]))
///     .event_time(|n| *n, Watermarks::custom(ThirdGreatest::default()))
///     .key_by(|_| 'k')
///     .window(Tumbling::of(millis(10)))
///     .reduce("sum", |sum, n| *sum += n)
///     .late()
///     .sink("late", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(late.take(), [5]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait WatermarkGenerator<T>: Clone + Send + 'static {
    /// A record has come, with the time that it was given. Returns the watermark behind it, if it knows one: no more
    /// records with a timestamp up to it. What is lower than one returned before counts for nothing.
    fn on_record(&mut self, record: &T, time: Timestamp) -> Option<Timestamp>;

    /// The job goes on from a checkpoint in which the split's watermark was this. Whatever else was derived from the
    /// records before is not kept.
    fn resume(&mut self, watermark: Timestamp) {
        let _ = watermark;
    }
}

/// Watermarks that a function tells; made by [`Watermarks::punctuated`].
#[derive(Clone, Copy, Debug)]
pub struct Punctuated<F>(F);

impl<T, F> WatermarkGenerator<T> for Punctuated<F>
where
    F: FnMut(&T, Timestamp) -> Option<Timestamp> + Clone + Send + 'static,
{
    fn on_record(&mut self, record: &T, time: Timestamp) -> Option<Timestamp> {
        (self.0)(record, time)
    }
}

/// A strategy with a generator; made by [`Watermarks::punctuated`] and [`Watermarks::custom`].
#[derive(Clone, Copy, Debug)]
pub struct Generated<G> {
    generator: G,
    idle_after: Option<Duration>,
    alignment: Option<Alignment>,
}

impl<G> Generated<G> {
    /// As [`Watermarks::idle_after`].
    pub fn idle_after(mut self, silence: Duration) -> Generated<G> {
        self.idle_after = Some(silence);
        self
    }

    /// As [`Watermarks::aligned`].
    pub fn aligned(mut self, group: &'static str, max_drift: Duration) -> Generated<G> {
        self.alignment = Some(Alignment { group, drift: as_millis(max_drift) });
        self
    }
}

/// What [`Stream::event_time`](crate::stream::Stream::event_time) takes: [`Watermarks`] or [`Generated`].
///
/// ```
/// use millstream::prelude::*;
/// use millstream::source::watermarks::{Generated, Punctuated, WatermarkStrategy};
///
/// /// Runs with any strategy.
/// fn last(marks: impl WatermarkStrategy<i64>) -> Result<Vec<i64>> {
///     let job = Job::new("doc");
///     let (sink, sums) = collect();
///     job.source("numbers", from_vec(vec![1_i64, 2, 11]))
///         .event_time(|n| *n, marks)
///         .key_by(|_| 'k')
///         .window(Tumbling::of(millis(10)))
///         .reduce("sum", |sum, n| *sum += n)
///         .map(|sum| sum.value)
///         .sink("sums", sink);
///     job.run(Config::new().cores(1)).map(|_| sums.take())
/// }
///
/// /// Watermarks by the tens.
/// fn tens<F>(function: F) -> Generated<Punctuated<F>>
/// where
///     F: FnMut(&i64, Timestamp) -> Option<Timestamp> + Clone + Send + 'static,
/// {
///     Watermarks::punctuated(function).idle_after(secs(5))
/// }
///
/// assert_eq!(last(Watermarks::monotonous())?, [3, 11]);
/// assert_eq!(last(tens(|n, time| (n % 10 == 1).then_some(time - 2)))?, [3, 11]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait WatermarkStrategy<T>: sealed::Strategy<T> {}

impl<T> WatermarkStrategy<T> for Watermarks {}
impl<T: 'static, G: WatermarkGenerator<T>> WatermarkStrategy<T> for Generated<G> {}

/// A generator of any type.
pub(crate) type AnyGenerator<T> = Box<dyn Generate<T>>;
/// Makes the generator of a split, on whichever core.
pub(crate) type MakeGenerator<T> = Box<dyn Fn() -> AnyGenerator<T> + Send>;

pub(crate) trait Generate<T>: Send {
    fn on_record(&mut self, record: &T, time: Timestamp) -> Option<Timestamp>;
    fn resume(&mut self, watermark: Timestamp);
}

impl<T, G: WatermarkGenerator<T>> Generate<T> for G {
    fn on_record(&mut self, record: &T, time: Timestamp) -> Option<Timestamp> {
        WatermarkGenerator::on_record(self, record, time)
    }
    fn resume(&mut self, watermark: Timestamp) {
        WatermarkGenerator::resume(self, watermark);
    }
}

/// A strategy as the source's stage takes it.
#[doc(hidden)]
pub struct Marks<T> {
    /// What a watermark that was told means: a generator's are those of a timestamp one greater, without a bound.
    pub(crate) rule: Watermarks,
    pub(crate) generator: Option<MakeGenerator<T>>,
}

impl<T> Marks<T> {
    /// The same for a batch: no watermark before the end, so that nothing is late, and nobody to wait for.
    pub(crate) fn at_end_only(self) -> Marks<T> {
        let rule = Watermarks { at_end_only: true, idle_after: None, alignment: None, ..self.rule };
        Marks { rule, generator: None }
    }
}

mod sealed {
    use super::{Generated, Marks, WatermarkGenerator, Watermarks};

    pub trait Strategy<T>: Send + 'static {
        #[doc(hidden)]
        fn marks(&self) -> Marks<T>;
    }

    impl<T> Strategy<T> for Watermarks {
        fn marks(&self) -> Marks<T> {
            Marks { rule: *self, generator: None }
        }
    }

    impl<T: 'static, G: WatermarkGenerator<T>> Strategy<T> for Generated<G> {
        fn marks(&self) -> Marks<T> {
            let generator = self.generator.clone();
            Marks {
                rule: Watermarks {
                    idle_after: self.idle_after,
                    alignment: self.alignment,
                    ..Watermarks::monotonous()
                },
                generator: Some(Box::new(move || Box::new(generator.clone()))),
            }
        }
    }
}

/// The progress of one split.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SplitTime {
    /// The greatest timestamp so far.
    pub seen: Timestamp,
    pub ended: bool,
    /// It had ended in the restored checkpoint, and nothing has come since: it will say so again.
    pub had_ended: bool,
    /// How long it could have been read and had nothing.
    pub silent: Duration,
}

impl SplitTime {
    pub(crate) fn new(seen: Timestamp) -> SplitTime {
        SplitTime { seen, ended: false, had_ended: false, silent: Duration::ZERO }
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
