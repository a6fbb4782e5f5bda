//! The helper thread of a core: does the blocking work of its disk, in order.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use millstream_storage::disk::Io;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that runs jobs one after another. Dropping it waits for the last of them.
pub(super) struct Helper {
    // None only while it is being dropped.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Helper {
    /// Starts the helper of a core.
    pub(super) fn start(core: usize) -> io::Result<Helper> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let thread = thread::Builder::new().name(format!("millstream-{core}-io")).spawn(move || {
            for job in inbox {
                job();
            }
        })?;
        Ok(Helper { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Starts some work; it is done even when the returned future is dropped.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Io<T> {
        let promise = Arc::new(Mutex::new(Promise { outcome: None, waiter: None }));
        let answer = Answer(promise.clone());
        let job: Job = Box::new(move || answer.give(work()));
        let jobs = self.jobs.as_ref().expect("the helper lives as long as its core");
        if jobs.send(job).is_err() {
            return Box::pin(async { Err(io::Error::other("the core's I/O thread is gone")) });
        }
        Box::pin(Pending(promise))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A job that panicked has told its waiter.
            let _ = thread.join();
        }
    }
}

struct Promise<T> {
    outcome: Option<io::Result<T>>,
    waiter: Option<Waker>,
}

// Dropped without an answer, when the job panics, it answers with an error.
struct Answer<T>(Arc<Mutex<Promise<T>>>);

impl<T> Answer<T> {
    fn give(&self, outcome: io::Result<T>) {
        let mut promise = lock(&self.0);
        promise.outcome = Some(outcome);
        let waiter = promise.waiter.take();
        drop(promise);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.give(Err(io::Error::other("the operation panicked")));
        }
    }
}

struct Pending<T>(Arc<Mutex<Promise<T>>>);

impl<T> Future for Pending<T> {
    type Output = io::Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let mut promise = lock(&self.0);
        if let Some(outcome) = promise.outcome.take() {
            return Poll::Ready(outcome);
        }
        promise.waiter = Some(context.waker().clone());
        Poll::Pending
    }
}

fn lock<T>(promise: &Mutex<Promise<T>>) -> MutexGuard<'_, Promise<T>> {
    // Nothing panics while it is held.
    promise.lock().unwrap_or_else(PoisonError::into_inner)
}
