//! How long a file is while it is being written, and how much of the disk it holds ahead of its end.
//!
//! A write that makes a file longer locks the file: the kernel hands it to a worker, and such writes run one after
//! the other. So a file that grows is given room ahead of its writes and is cut to its true length before it is
//! synced or closed. Room that a crash leaves behind reads as zeros, in a file that was never synced.

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, Waker};

/// A file shorter than this is not worth the two changes of its length, in bytes.
const START: u64 = 512 << 10;

/// Room given at a time, in bytes.
const STEP: u64 = 16 << 20;

/// The length of one file that this core alone writes.
pub(super) struct Extent {
    // The end of the last byte that was written, or is being written.
    reach: Cell<u64>,
    // The end of the last byte that was written.
    written: Cell<u64>,
    writes: Cell<usize>,
    // The file's length as the kernel sees it, where room was given; writes below it need no leave.
    room: Cell<u64>,
    grows: Cell<bool>,
    // Changing the length has failed, maybe half way: the file may be longer than `room`.
    torn: Cell<bool>,
    resizing: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

/// What a write has to do before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Nothing: it counts as under way until [`Extent::wrote`].
    Write,
    /// Lengthen the file, tell [`Extent::resized`], and ask again.
    Grow {
        /// Where the new room begins.
        from: u64,
        /// Its length.
        len: u64,
    },
}

impl Extent {
    /// A file of this length; `grows` if room may be given ahead of its writes.
    pub(super) fn new(grows: bool, len: u64) -> Extent {
        Extent {
            reach: Cell::new(len),
            written: Cell::new(len),
            writes: Cell::new(0),
            room: Cell::new(len),
            grows: Cell::new(grows),
            torn: Cell::new(false),
            resizing: Cell::new(false),
            waiting: RefCell::default(),
        }
    }

    /// The file's true length.
    pub(super) fn len(&self) -> u64 {
        self.reach.get()
    }

    /// Asks for leave to write up to `end`. Waits while the length is being changed by somebody else.
    pub(super) async fn leave(&self, end: u64) -> Leave {
        poll_fn(|context| self.poll_leave(end, context)).await
    }

    fn poll_leave(&self, end: u64, context: &mut Context<'_>) -> Poll<Leave> {
        if end > self.room.get() {
            if self.resizing.get() {
                return self.wait(context);
            }
            let from = self.room.get();
            // A write far behind the end leaves a hole, which no room is wasted on.
            let near = end - from.max(self.reach.get()).min(end) <= STEP;
            if self.grows.get() && near && end > START {
                self.resizing.set(true);
                return Poll::Ready(Leave::Grow { from, len: end.next_multiple_of(STEP) - from });
            }
        }
        self.writes.set(self.writes.get() + 1);
        self.reach.set(self.reach.get().max(end));
        Poll::Ready(Leave::Write)
    }

    fn wait<T>(&self, context: &mut Context<'_>) -> Poll<T> {
        self.waiting.borrow_mut().push(context.waker().clone());
        Poll::Pending
    }

    /// A write up to `end` is over.
    pub(super) fn wrote(&self, end: u64, well: bool) {
        if well {
            self.written.set(self.written.get().max(end));
        }
        self.writes.set(self.writes.get() - 1);
        if self.writes.get() == 0 {
            // What failed does not count.
            self.reach.set(self.written.get());
        }
    }

    /// The length of the file is now `room`, or could not be changed. Growing is not tried again after a failure:
    /// a disk without room for a step may have room for a write.
    pub(super) fn resized(&self, room: Option<u64>) {
        match room {
            Some(room) => {
                self.room.set(room);
                self.torn.set(false);
            }
            None => {
                self.grows.set(false);
                self.torn.set(true);
            }
        }
        self.resizing.set(false);
        let waiting = mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The length to cut the file to before it is synced, if it holds or may hold room; [`Extent::resized`] follows. Waits
    /// while the length is being changed by somebody else.
    pub(super) async fn cut(&self) -> Option<u64> {
        poll_fn(|context| {
            if self.resizing.get() {
                return self.wait(context);
            }
            let cut = self.excess();
            if let Some(len) = cut {
                self.resizing.set(true);
                // Writes below this go on meanwhile.
                self.room.set(len);
            }
            Poll::Ready(cut)
        })
        .await
    }

    /// The true length, if the file is or may be longer than that.
    pub(super) fn excess(&self) -> Option<u64> {
        (self.torn.get() || self.room.get() > self.reach.get()).then(|| self.reach.get())
    }
}
