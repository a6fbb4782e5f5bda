//! What is asked of a running job from outside: savepoints, a stop behind one, a drain.

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, ErrorKind, Result};

/// A savepoint that is complete: durable, and its output committed.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::checkpoint::request::Savepoint;
/// # let dir = tempfile::tempdir()?;
/// # let (state, saved) = (dir.path().join("state"), dir.path().join("saved"));
///
/// let job = Job::new("doc");
/// job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
/// let running = job.start(Config::new().cores(1).checkpoints(&state))?;
/// let Savepoint { path, epoch, .. } = running.savepoint(&saved).wait()?;
/// assert!(path.join(format!("manifest-{epoch:010}")).exists());
/// # running.cancel();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Savepoint {
    /// The directory that holds all of it.
    pub path: PathBuf,
    /// The number of the checkpoint that it is a copy of.
    pub epoch: u64,
    /// Bytes of state.
    pub bytes: u64,
}

/// What became of the request.
#[derive(Debug, Default)]
struct Answer {
    given: Option<Result<Savepoint>>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Slot {
    answer: Mutex<Answer>,
    given: Condvar,
}

impl Slot {
    fn answer(&self) -> MutexGuard<'_, Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A savepoint that was asked for. Wait for it on a thread, or await it on any executor. Dropping it takes nothing back.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::checkpoint::request::PendingSavepoint;
/// use millstream_storage::disk::block_on;
/// # let dir = tempfile::tempdir()?;
/// # let (state, saved) = (dir.path().join("state"), dir.path().join("saved"));
///
/// let job = Job::new("doc");
/// job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
/// let running = job.start(Config::new().cores(1).checkpoints(&state))?;
/// let mut pending: PendingSavepoint = running.savepoint(&saved);
/// let savepoint = match pending.try_take() {
///     Some(given) => given?,
///     None => block_on(pending)?,
/// };
/// assert_eq!(savepoint.path, saved);
/// let refused = running.savepoint(&saved).wait().unwrap_err();
/// assert!(refused.to_string().contains("is not empty"), "{refused}");
/// # running.cancel();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a savepoint may fail; ask what became of it"]
pub struct PendingSavepoint(Arc<Slot>);

impl PendingSavepoint {
    /// Waits on this thread.
    ///
    /// # Errors
    /// Why there is no savepoint. The job goes on, unless it was ended by something else.
    pub fn wait(self) -> Result<Savepoint> {
        let mut answer = self.0.answer();
        loop {
            match answer.given.take() {
                Some(given) => return given,
                None => answer = self.0.given.wait(answer).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// What became of it, if that is known. To be asked until it is: the answer is given once.
    ///
    /// # Errors
    /// As [`PendingSavepoint::wait`].
    pub fn try_take(&mut self) -> Option<Result<Savepoint>> {
        self.0.answer().given.take()
    }
}

impl Future for PendingSavepoint {
    type Output = Result<Savepoint>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Savepoint>> {
        let mut answer = self.0.answer();
        match answer.given.take() {
            Some(given) => Poll::Ready(given),
            None => {
                answer.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A request for a savepoint, as the coordinator holds it. Dropped unanswered, as when the job ends, it is refused.
#[derive(Debug)]
pub(crate) struct Ask {
    pub path: PathBuf,
    /// The job is to end behind it.
    pub stop: bool,
    slot: Arc<Slot>,
    answered: bool,
}

impl Ask {
    fn new(path: PathBuf, stop: bool) -> (Ask, PendingSavepoint) {
        let slot = Arc::new(Slot::default());
        (Ask { path, stop, slot: slot.clone(), answered: false }, PendingSavepoint(slot))
    }

    pub(crate) fn answer(mut self, given: Result<Savepoint>) {
        self.give(given);
    }

    pub(crate) fn refuse(self, what: impl Into<String>) {
        let message = format!("no savepoint in {}: {}", self.path.display(), what.into());
        self.answer(Err(Error::new(ErrorKind::Checkpoint, message)));
    }

    fn give(&mut self, given: Result<Savepoint>) {
        self.answered = true;
        let waker = {
            let mut answer = self.slot.answer();
            answer.given = Some(given);
            answer.waker.take()
        };
        self.slot.given.notify_all();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Ask {
    fn drop(&mut self) {
        if !self.answered {
            let message = format!("no savepoint in {}: the job has ended before it", self.path.display());
            self.give(Err(Error::new(ErrorKind::Checkpoint, message)));
        }
    }
}

/// The requests that wait for the coordinator, in their order.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Ask>,
    over: bool,
}

impl Requests {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request. Once the job is over it is refused at once.
    pub(crate) fn add(&self, path: PathBuf, stop: bool) -> PendingSavepoint {
        let (ask, pending) = Ask::new(path, stop);
        let mut queue = self.queue();
        if !queue.over {
            queue.waiting.push_back(ask);
        }
        pending
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue().waiting.is_empty()
    }

    pub(crate) fn next(&self) -> Option<Ask> {
        self.queue().waiting.pop_front()
    }

    /// Refuses what waits, and what is still to come.
    pub(crate) fn close(&self) {
        let mut queue = self.queue();
        queue.over = true;
        queue.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Requests, Savepoint};

    #[test]
    fn a_request_that_nobody_answers_is_refused_when_the_job_is_over() {
        let requests = Requests::default();
        let waiting = requests.add("a".into(), false);
        let mut taken = requests.add("b".into(), true);
        let first = requests.next().expect("it was added");
        let second = requests.next().expect("it was added");
        assert!(taken.try_take().is_none() && second.stop);
        let done = Savepoint { path: "a".into(), epoch: 1, bytes: 0 };
        first.answer(Ok(done.clone()));
        assert_eq!(waiting.wait().expect("it was answered"), done);
        drop(second);
        assert!(taken.try_take().is_some_and(|given| given.is_err()), "its holder is gone");
        let open = requests.add("c".into(), false);
        requests.close();
        assert!(open.wait().is_err());
        assert!(requests.add("d".into(), false).wait().is_err(), "the job is over");
    }
}
