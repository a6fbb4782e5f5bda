//! How other threads wake the tasks of a core.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::schedule::{Ready, Scheduler};

thread_local! {
    // The scheduler of the core that lives on this thread.
    static LOCAL: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

/// The scheduler of this thread, if it is the one that `remote` belongs to.
pub(crate) fn local(remote: &Arc<Remote>) -> Option<Rc<Scheduler>> {
    LOCAL
        .try_with(|local| local.borrow().as_ref().filter(|own| Arc::ptr_eq(own.remote(), remote)).cloned())
        .ok()
        .flatten()
}

/// Makes a scheduler this thread's own until dropped.
pub(crate) struct Seated(());

impl Seated {
    /// Seats `scheduler` on this thread.
    pub(crate) fn new(scheduler: &Rc<Scheduler>) -> Seated {
        LOCAL.with(|local| *local.borrow_mut() = Some(scheduler.clone()));
        Seated(())
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        if let Some(scheduler) = LOCAL.with(|local| local.borrow_mut().take()) {
            scheduler.remote().close();
        }
    }
}

/// What rings a parked core.
pub(crate) type Bell = Box<dyn Fn() + Send + Sync>;

/// The side of a core that other threads see: an inbox of tasks to run, and a bell.
pub(crate) struct Remote {
    inbox: Mutex<Inbox>,
    // There may be something in the inbox, or a stop.
    pending: AtomicBool,
    // The core is about to park, or parked: whoever clears this rings the bell.
    sleeping: AtomicBool,
    stopped: AtomicBool,
    bell: Bell,
}

#[derive(Default)]
struct Inbox {
    ready: Vec<Ready>,
    closed: bool,
}

impl Remote {
    /// A remote side that wakes its core with `bell`.
    pub(crate) fn new(bell: Bell) -> Arc<Remote> {
        Arc::new(Remote {
            inbox: Mutex::default(),
            pending: AtomicBool::new(false),
            sleeping: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            bell,
        })
    }

    /// Hands a task to the core.
    pub(crate) fn push(&self, ready: Ready) {
        let mut inbox = self.lock();
        if inbox.closed {
            // The core has gone and dropped its futures; running or dropping the task here is not allowed.
            return mem::forget(ready);
        }
        inbox.ready.push(ready);
        drop(inbox);
        self.notify();
    }

    /// Asks the core to end.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.notify();
    }

    /// Whether the core was asked to end.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    // Store, then look at `sleeping`; `prepare_to_sleep` stores `sleeping` and its caller then looks at `pending`.
    // All four are sequentially consistent, so one of the two sides sees the other.
    fn notify(&self) {
        self.pending.store(true, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst) {
            (self.bell)();
        }
    }

    /// Whether [`take`](Self::take) may find something.
    pub(crate) fn pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst)
    }

    /// Announces that the core may park. It looks at [`pending`](Self::pending) once more before it does.
    pub(crate) fn prepare_to_sleep(&self) {
        self.sleeping.store(true, Ordering::SeqCst);
    }

    /// Announces that the core will not park before it calls [`prepare_to_sleep`](Self::prepare_to_sleep) again.
    pub(crate) fn stay_awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    /// What other threads left.
    pub(crate) fn take(&self) -> Vec<Ready> {
        self.pending.store(false, Ordering::SeqCst);
        mem::take(&mut self.lock().ready)
    }

    // What is left belongs to futures that are dropped already.
    fn close(&self) {
        let mut inbox = self.lock();
        inbox.closed = true;
        let rest = mem::take(&mut inbox.ready);
        drop(inbox);
        drop(rest);
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        // A push cannot be interrupted half way; a poisoned lock guards a whole inbox.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
