//! The doorbell that wakes a parked core, and costs next to nothing while the core is awake.
//!
//! The classic pair of store and load, on both sides of a fence (Dekker's):
//!
//! ```text
//! ringer                       owner
//! publish work                 state = PARKED
//! fence(SeqCst)                fence(SeqCst)
//! load state: PARKED → wake    look for work: none → sleep
//! ```
//!
//! One fence comes first in the single order of them all. If the ringer's does, the owner sees the work; if the
//! owner's does, the ringer sees the owner parked. So the owner never sleeps over work unless it is woken.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::sync::{AtomicU8, Mutex, Ordering, Padded, fence};

/// The owner runs and looks for work by itself; ringing leaves no trace.
const AWAKE: u8 = 0;
/// The owner sleeps, or is about to: the first to ring makes it `RUNG`, and wakes it.
const PARKED: u8 = 1;
/// Somebody rang since the owner parked; it has not noticed yet.
const RUNG: u8 = 2;

/// Wakes the one task that waits for it: the driver of a core. Everyone who may hand work to that core shares the
/// bell, publishes the work, then rings.
///
/// While the owner is awake a ring costs a fence and a load, and leaves no trace: the owner must find the work by
/// the `has_work` that it waits with. A ring before the owner first waits is remembered, though, as is one after
/// it parked: the next wait ends at once.
///
/// ```
/// use std::sync::Arc;
/// use std::task::{Context, Poll, Waker};
/// use millstream_ring::{Bell, ring};
///
/// let bell = Arc::new(Bell::new());
/// let (mut producer, mut consumer) = ring(4);
/// let mut cx = Context::from_waker(Waker::noop());
/// assert_eq!(bell.poll_wait(&mut cx, || consumer.slots() > 0), Poll::Pending);
///
/// let ringer = bell.clone();
/// std::thread::spawn(move || {
///     producer.push("work").expect("the ring is empty and open");
///     ringer.ring();
/// })
/// .join()
/// .expect("the thread does not panic");
/// assert_eq!(bell.poll_wait(&mut cx, || consumer.slots() > 0), Poll::Ready(()));
/// ```
pub struct Bell {
    // One line for both: the waker is touched only next to a change of the state.
    inner: Padded<Inner>,
}

struct Inner {
    state: AtomicU8,
    /// Set before the state becomes `PARKED`, taken after it became `RUNG`. No foreign code runs under the lock.
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    /// A bell whose owner has not come yet: a ring is remembered until its first wait.
    pub fn new() -> Bell {
        Bell { inner: Padded(Inner { state: AtomicU8::new(PARKED), waker: Mutex::new(None) }) }
    }

    /// Wakes the owner if it is parked. Call it **after** publishing the work: once per batch of it is enough.
    /// From any thread.
    #[inline]
    pub fn ring(&self) {
        // Orders the publishing before the load; see the top of this file.
        fence(Ordering::SeqCst);
        if self.state().load(Ordering::Relaxed) == PARKED {
            self.wake();
        }
    }

    /// Ready if there is work, or the bell was rung since the last wait parked; otherwise arms the bell to wake the
    /// task. `has_work` may be called twice: before arming, which costs more, and after.
    ///
    /// There is one owner: of two tasks that wait at the same time, only the last is woken. Who stops waiting after
    /// a `Pending` should [`disarm`](Bell::disarm), which [`wait`](Bell::wait) does by itself.
    pub fn poll_wait(&self, cx: &mut Context<'_>, mut has_work: impl FnMut() -> bool) -> Poll<()> {
        if has_work() {
            return self.stay_awake();
        }
        self.replace_waker(Some(cx.waker().clone()));
        if self.state().swap(PARKED, Ordering::AcqRel) == RUNG {
            return self.stay_awake();
        }
        // Orders the swap before the look; see the top of this file.
        fence(Ordering::SeqCst);
        if has_work() {
            return self.stay_awake();
        }
        Poll::Pending
    }

    /// Waits until there is work or somebody rings. Dropped before that, it disarms the bell.
    ///
    /// ```
    /// use std::future::Future;
    /// use std::pin::pin;
    /// use std::task::{Context, Poll, Waker};
    /// use millstream_ring::Bell;
    ///
    /// let bell = Bell::new();
    /// let mut wait = pin!(bell.wait(|| false));
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert_eq!(wait.as_mut().poll(&mut cx), Poll::Pending);
    /// bell.ring();
    /// assert_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(()));
    /// ```
    pub fn wait<F: FnMut() -> bool>(&self, has_work: F) -> Wait<'_, F> {
        Wait { bell: self, has_work, pending: false }
    }

    /// Stops waiting: forgets the task, so that ringing costs little again. A ring that came before is remembered,
    /// and ends the next wait at once.
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    /// use millstream_ring::Bell;
    ///
    /// let bell = Bell::new();
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert_eq!(bell.poll_wait(&mut cx, || false), Poll::Pending);
    /// // Work came by another way.
    /// bell.disarm();
    /// bell.ring();
    /// assert_eq!(bell.poll_wait(&mut cx, || false), Poll::Pending, "who is awake is not rung");
    /// ```
    pub fn disarm(&self) {
        // If it fails, the state is already `AWAKE`, or `RUNG`, which is for the next wait.
        let _ = self.state().compare_exchange(PARKED, AWAKE, Ordering::AcqRel, Ordering::Relaxed);
        self.replace_waker(None);
    }

    fn state(&self) -> &AtomicU8 {
        &self.inner.0.state
    }

    /// The owner need not park. Acquire: it sees what was published before a ring that this forgets.
    fn stay_awake(&self) -> Poll<()> {
        if self.state().swap(AWAKE, Ordering::AcqRel) == PARKED {
            self.replace_waker(None);
        }
        Poll::Ready(())
    }

    /// Only the ringer that finds the owner parked wakes it. A late one, which saw it parked once before, may wake
    /// it without need, and takes the waker with it: the woken task leaves another when it waits again.
    #[cold]
    fn wake(&self) {
        if self.state().compare_exchange(PARKED, RUNG, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            && let Some(waker) = self.replace_waker(None)
        {
            waker.wake();
        }
    }

    /// Leaves another waker, and returns the old one for the caller to drop or wake outside of the lock.
    fn replace_waker(&self, waker: Option<Waker>) -> Option<Waker> {
        let mut slot = self.inner.0.waker.lock().expect("no foreign code runs under this lock");
        std::mem::replace(&mut *slot, waker)
    }
}

impl Default for Bell {
    fn default() -> Bell {
        Bell::new()
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

/// What [`Bell::wait`] returns.
///
/// ```
/// use std::task::{Context, Poll, Waker};
/// use millstream_ring::{Bell, Wait};
///
/// fn is_over<F: FnMut() -> bool>(wait: &mut Wait<'_, F>) -> bool {
///     let mut cx = Context::from_waker(Waker::noop());
///     std::pin::Pin::new(wait).poll(&mut cx) == Poll::Ready(())
/// }
///
/// let bell = Bell::new();
/// let mut wait = bell.wait(|| false);
/// assert!(!is_over(&mut wait));
/// bell.ring();
/// assert!(is_over(&mut wait));
/// ```
#[must_use = "a future does nothing unless awaited"]
pub struct Wait<'a, F> {
    bell: &'a Bell,
    has_work: F,
    /// The last poll armed the bell.
    pending: bool,
}

// `has_work` is never pinned.
impl<F> Unpin for Wait<'_, F> {}

impl<F: FnMut() -> bool> Future for Wait<'_, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let poll = this.bell.poll_wait(cx, &mut this.has_work);
        this.pending = poll.is_pending();
        poll
    }
}

impl<F> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        if self.pending {
            self.bell.disarm();
        }
    }
}

impl<F> fmt::Debug for Wait<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("pending", &self.pending).finish_non_exhaustive()
    }
}
