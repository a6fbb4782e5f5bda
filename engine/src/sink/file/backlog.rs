//! What bounds the files of a shard: the bytes that wait to be written, and the files that are open.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::error::{Error, ErrorKind, Result};

/// The bytes of a shard that are not written yet, over all its files, and the files that are open.
///
/// ```
/// use std::task::Waker;
/// use millstream::sink::file::spool::Backlog;
///
/// let backlog = Backlog::new(1 << 20, 16, Waker::noop().clone());
/// assert!(backlog.has_room() && backlog.check().is_ok());
/// ```
pub struct Backlog {
    bytes: Cell<usize>,
    limit: usize,
    wake: Waker,
    /// What made a file fail: everything after it would be incomplete.
    failure: RefCell<Option<String>>,
    gate: RefCell<Gate>,
}

/// Lets a number of files be open at once, first come first served: one that is full and still waits comes before
/// those that are being filled, so it never waits for them.
struct Gate {
    most: usize,
    open: usize,
    /// Files that have come, and those of them that were let in.
    come: u64,
    let_in: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl Gate {
    fn wake_next(&mut self) {
        if self.open < self.most {
            self.waiting.remove(&self.let_in).into_iter().for_each(Waker::wake);
        }
    }
}

/// A file is open; until this is dropped.
pub(super) struct Open(Rc<Backlog>);

impl Drop for Open {
    fn drop(&mut self) {
        let mut gate = self.0.gate.borrow_mut();
        gate.open -= 1;
        gate.wake_next();
    }
}

impl Backlog {
    /// Calls `wake` when there is room again below `limit` bytes, or a write has failed. At most `most_open` files are
    /// open at once, at least 1.
    pub fn new(limit: usize, most_open: usize, wake: Waker) -> Rc<Backlog> {
        let gate = Gate { most: most_open.max(1), open: 0, come: 0, let_in: 0, waiting: BTreeMap::new() };
        Rc::new(Backlog {
            bytes: Cell::new(0),
            limit,
            wake,
            failure: RefCell::new(None),
            gate: RefCell::new(gate),
        })
    }

    /// Whether there is room for more; also after a failure, which would otherwise never be asked for: what a failed
    /// file holds is not written any more.
    pub fn has_room(&self) -> bool {
        self.bytes.get() < self.limit || self.failure.borrow().is_some()
    }

    /// Whether all is well.
    ///
    /// # Errors
    /// If a write has failed.
    pub fn check(&self) -> Result<()> {
        let failure = self.failure.borrow();
        failure.as_ref().map_or(Ok(()), |message| Err(Error::new(ErrorKind::Sink, message.clone())))
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    pub(super) fn written(&self, bytes: usize) {
        let had_room = self.has_room();
        self.bytes.set(self.bytes.get() - bytes);
        if !had_room && self.has_room() {
            self.wake.wake_by_ref();
        }
    }

    pub(super) fn fail(&self, error: &Error) {
        self.failure.borrow_mut().get_or_insert_with(|| error.to_string());
        self.wake.wake_by_ref();
    }

    /// The place in the queue of a file that is begun now.
    pub(super) fn queue(&self) -> u64 {
        let mut gate = self.gate.borrow_mut();
        gate.come += 1;
        gate.come - 1
    }

    /// Waits until the file with this place may be open.
    pub(super) async fn may_open(self: &Rc<Self>, place: u64) -> Open {
        poll_fn(|cx| {
            let mut gate = self.gate.borrow_mut();
            if gate.let_in < place || gate.open >= gate.most {
                gate.waiting.insert(place, cx.waker().clone());
                return Poll::Pending;
            }
            gate.let_in += 1;
            gate.open += 1;
            gate.wake_next();
            Poll::Ready(Open(self.clone()))
        })
        .await
    }
}
