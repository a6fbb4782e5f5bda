//! How a writer wakes the readers of its own process.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Told by a [`TopicWriter`](super::TopicWriter) whenever something became readable; waited for by readers on any
/// thread. Processes do not share it: between them readers ask again after a while, because the seam to the disk has
/// no notification, network file systems have none either, and asking costs two system calls.
#[derive(Clone, Default)]
pub struct Signal(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    version: u64,
    waiting: Vec<Waker>,
}

impl Signal {
    /// A signal that was never given.
    pub fn new() -> Signal {
        Signal::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it was given.
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// Gives it.
    pub fn give(&self) {
        let mut state = self.state();
        state.version += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until it was given more often than `seen`.
    pub async fn after(&self, seen: u64) {
        poll_fn(|cx| {
            let mut state = self.state();
            if state.version > seen {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({})", self.version())
    }
}
