//! The timers of a core on plain threads.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Sleeping tasks by deadline.
#[derive(Default)]
pub(super) struct Timers {
    // The number tells timers of one instant apart, in the order in which they were made.
    waiting: RefCell<BTreeMap<(Instant, u64), Waker>>,
    next: Cell<u64>,
}

impl Timers {
    /// Wakes the tasks whose time has come. Returns how long until the next one.
    pub(super) fn fire(&self) -> Option<Duration> {
        if self.waiting.borrow().is_empty() {
            return None;
        }
        let now = Instant::now();
        loop {
            let mut waiting = self.waiting.borrow_mut();
            let first = waiting.first_entry()?;
            if first.key().0 > now {
                return Some(first.key().0 - now);
            }
            let waker = first.remove();
            drop(waiting);
            waker.wake();
        }
    }

    /// Ready after a duration.
    pub(super) fn sleep(self: &Rc<Self>, duration: Duration) -> impl Future<Output = ()> + use<> {
        let number = self.next.get();
        self.next.set(number + 1);
        Sleep { timers: self.clone(), key: (Instant::now() + duration, number) }
    }
}

struct Sleep {
    timers: Rc<Timers>,
    key: (Instant, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.key.0 {
            return Poll::Ready(());
        }
        self.timers.waiting.borrow_mut().insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = self.timers.waiting.borrow_mut().remove(&self.key);
        drop(waker);
    }
}
