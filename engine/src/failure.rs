//! What went wrong, and where: the failures of a job, and the place of a panic in the user's code.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use crate::error::{Error, ErrorKind};
use crate::time::{MIN_TIME, Timestamp};

/// How many of a job's failures are remembered.
const REMEMBERED: usize = 64;

/// One failure of a job; see [`JobControl::failures`](crate::JobControl::failures).
///
/// ```
/// # use millstream::prelude::*;
/// # let dir = tempfile::tempdir().unwrap();
/// let job = Job::new("doc");
/// job.source("numbers", generator(10, |n| n))
///     .map(|n| if n == 7 { panic!("not seven") } else { n })
///     .sink("nowhere", discard());
/// let config = Config::new().cores(1).checkpoints(dir.path()).restart(Restart::fixed_delay(1, millis(1)));
/// let running = job.start(config)?;
/// let control = running.control();
/// assert!(running.wait().is_err());
/// let failures: Vec<millstream::Failure> = control.failures();
/// assert_eq!([failures[0].restart, failures[1].restart], [0, 1]);
/// assert!(failures[1].cause.starts_with("core 0: step `numbers` panicked"), "{}", failures[1].cause);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// When it was noticed, by the wall clock, in milliseconds since the epoch.
    pub at: Timestamp,
    /// What kind of thing went wrong.
    pub kind: ErrorKind,
    /// What went wrong, with all of its causes.
    pub cause: String,
    /// How often the job had been started again before: 0 for the failure of the first attempt.
    pub restart: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} restarts: {}", self.restart, self.cause)
    }
}

/// The last failures of a job.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<VecDeque<Failure>>);

impl Failures {
    pub(crate) fn note(&self, at: Timestamp, error: &Error, restart: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        all.push_back(Failure { at, kind: error.kind(), cause: error.to_string(), restart });
    }

    /// The oldest first.
    pub(crate) fn all(&self) -> Vec<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The records that were being worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first and the last of them, counted from 1.
    first: usize,
    last: usize,
    /// The records of their batch.
    of: usize,
    /// Their least and their greatest event time.
    times: (Timestamp, Timestamp),
}

impl Place {
    /// Of the records with these indices, in a batch with these times; nothing if there are no such records.
    pub(crate) fn of(records: Range<usize>, times: &[Timestamp]) -> Option<Place> {
        let of_records = times.get(records.clone())?;
        let times_of_records = (*of_records.iter().min()?, *of_records.iter().max()?);
        Some(Place { first: records.start + 1, last: records.end, of: times.len(), times: times_of_records })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { first, last, of, times: (least, greatest) } = self;
        match first == last {
            true => write!(f, "at record {first} of a batch of {of}")?,
            false => write!(f, "in records {first} to {last} of a batch of {of}")?,
        }
        match least == greatest {
            // Without event time.
            true if *least == MIN_TIME => Ok(()),
            true => write!(f, ", of time {least}"),
            false => write!(f, ", of times {least} to {greatest}"),
        }
    }
}

thread_local! {
    static PLACE: Cell<Option<Place>> = const { Cell::new(None) };
}

/// Notes where a panic has struck. To be called while a batch is left: nothing is done unless that is by a panic, and of the
/// batches that one leaves the innermost counts.
#[inline]
pub(crate) fn leave_batch(place: impl FnOnce() -> Option<Place>) {
    if std::thread::panicking() {
        note_place(place());
    }
}

#[cold]
fn note_place(place: Option<Place>) {
    PLACE.set(PLACE.get().or(place));
}

/// Takes what was noted since it was last taken.
pub(crate) fn take_place() -> Option<Place> {
    PLACE.take()
}

/// The text of a panic.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// A panic of code that is not ours, as an error.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Error {
    Error::new(ErrorKind::User, format!("it panicked: {}", text_of(panic)))
}

/// A future in which a panic is an answer: for code that is not ours.
pub(crate) struct Caught<F>(Pin<Box<F>>);

impl<F: Future> Caught<F> {
    pub(crate) fn new(future: F) -> Caught<F> {
        Caught(Box::pin(future))
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panicked(&*panic))),
        }
    }
}

#[cfg(test)]
mod tests;
