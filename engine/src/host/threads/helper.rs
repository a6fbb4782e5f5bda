//! The helper thread of a core: does the blocking work of its disk, in order.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use millstream_storage::disk::Io;

use crate::port::promise;

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
        let (reply, answer) = promise();
        let job: Job = Box::new(move || reply.give(work()));
        let jobs = self.jobs.as_ref().expect("the helper lives as long as its core");
        // Refused only when the thread has ended, which the answer tells.
        drop(jobs.send(job));
        Box::pin(async move {
            let gone = |_| io::Error::other("the operation panicked on the core's I/O thread, or before it");
            answer.await.map_err(gone)?
        })
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
