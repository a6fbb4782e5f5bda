//! A source and a sink, as a test has them.

use std::rc::Rc;

use super::captured::Captured;
use super::feed::{Feed, Item};
use super::kit::Running;
use crate::error::Result;
use crate::time::Timestamp;

/// A source of a job in the hands of a [`JobKit`](super::JobKit); made by [`JobKit::input`](super::JobKit::input). What it is
/// handed goes through the job at once, as far as it goes. The source reads it as one split.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::source::DeadLetter;
/// use millstream::testing::{Input, JobKit, Output};
///
/// /// Numbers of two files, each of which is in order.
/// fn merged() -> Job {
///     let job = Job::new("doc");
///     let numbers = |name: &str| job.source(name, files::<i64>([name]));
///     let (odd, even) = (numbers("odd"), numbers("even"));
///     even.dead_letters().sink("dead", discard());
///     let marks = Watermarks::monotonous();
///     odd.event_time(|n| *n, marks).union("both", even.event_time(|n| *n, marks)).sink("out", discard());
///     job
/// }
///
/// let kit = JobKit::new(merged)?;
/// let (odd, even): (Input<i64>, Input<i64>) = (kit.input("odd"), kit.input("even"));
/// odd.push(7)?;
/// even.push(4)?;
/// assert_eq!(kit.watermark("both"), 3, "the one that is behind counts");
/// even.idle()?;
/// assert_eq!(kit.watermark("both"), 6);
/// odd.watermark(10)?;
/// even.undecodable("twelve")?;
/// even.push(12)?;
/// assert_eq!(kit.watermark("both"), 10, "it is back");
///
/// odd.end()?;
/// assert!(odd.push(13).is_err());
/// even.end()?;
/// assert!(kit.is_finished(), "that was the last source");
/// let out: Output<i64> = kit.output("out");
/// assert_eq!(out.take_with_times(), [(7, 7), (4, 4), (12, 12)]);
/// assert_eq!(kit.output::<DeadLetter>("dead").take()[0].record, "twelve");
/// # Ok::<(), Error>(())
/// ```
pub struct Input<T> {
    pub(super) running: Rc<Running>,
    pub(super) name: String,
    pub(super) feed: Feed<T>,
}

impl<T: Send + 'static> Input<T> {
    /// A record. The job itself gives it its time, and makes the watermark behind it.
    ///
    /// # Errors
    /// What the job ends with, if it fails; or if the source or the job has ended before.
    pub fn push(&self, record: T) -> Result<()> {
        self.hand([Item::Record(record)])
    }

    /// Records, which the source finds all at the same time.
    ///
    /// # Errors
    /// As [`Input::push`].
    pub fn push_all(&self, records: impl IntoIterator<Item = T>) -> Result<()> {
        self.hand(records.into_iter().map(Item::Record))
    }

    /// The source says that no more records with a timestamp up to this are to come, whatever the job's own strategy makes
    /// of the records. What is lower than before counts for nothing.
    ///
    /// # Errors
    /// As [`Input::push`], and if the job gives the source's records no times.
    pub fn watermark(&self, watermark: Timestamp) -> Result<()> {
        self.hand([Item::Watermark(watermark)])
    }

    /// The source has nothing for some time, and until its next record or watermark holds back nobody. A source with an
    /// [`idle_after`](crate::source::watermarks::Watermarks::idle_after) finds that out by itself, by the clock.
    ///
    /// # Errors
    /// As [`Input::push`].
    pub fn idle(&self) -> Result<()> {
        self.hand([Item::Idle])
    }

    /// A record that cannot be decoded. It ends the job, unless that takes its
    /// [`dead_letters`](crate::stream::Stream::dead_letters).
    ///
    /// # Errors
    /// As [`Input::push`].
    pub fn undecodable(&self, record: &str) -> Result<()> {
        let letter = self.feed.letter(&self.name, record);
        self.hand([Item::Undecodable(letter)])
    }

    /// The source ends. With the last of them the job does; see [`JobKit::end`](super::JobKit::end).
    ///
    /// # Errors
    /// As [`Input::push`].
    pub fn end(&self) -> Result<()> {
        self.hand([Item::End])
    }

    fn hand(&self, items: impl IntoIterator<Item = Item<T>>) -> Result<()> {
        self.running.check()?;
        items.into_iter().try_for_each(|item| self.feed.hand(item))?;
        self.feed.wake();
        self.running.settle()
    }
}

/// A sink of a job in the hands of a [`JobKit`](super::JobKit); made by [`JobKit::output`](super::JobKit::output). It shows
/// what the sink is given at once, before a checkpoint commits it. See [`Input`] for an example.
pub struct Output<T> {
    pub(super) captured: Captured<T>,
}

impl<T: Send + 'static> Output<T> {
    /// What the sink was given since it was last asked for, in order.
    pub fn take(&self) -> Vec<T> {
        self.captured.take().into_iter().map(|(_, record)| record).collect()
    }

    /// As [`Output::take`], with the event times.
    pub fn take_with_times(&self) -> Vec<(Timestamp, T)> {
        self.captured.take()
    }
}
