//! One ring's sending end with the batch that is being filled for it.

use std::collections::VecDeque;

use millstream_ring::PushError;
use millstream_storage::planted;

use crate::exchange::edge::Sender;
use crate::record::{Batch, MarkKind, Tail};
use crate::time::Timestamp;

/// Fills batches for one receiver.
pub(crate) struct Port<T> {
    /// Where the columns of `batch` are, so that a record costs three writes and one counter.
    columns: Columns<T>,
    /// Records written to the columns; the vectors learn of them when the batch is sent.
    len: usize,
    batch_size: usize,
    keyed: bool,
    batch: Box<Batch<T>>,
    sender: Sender<T>,
    /// Full batches for which the ring had no room. The stage stops while there are any.
    backlog: VecDeque<Box<Batch<T>>>,
    /// The stage was told that there is no room, although there is no backlog: too much is aside.
    held_back: bool,
}

struct Columns<T> {
    records: *mut T,
    times: *mut Timestamp,
    hashes: *mut u64,
}

// SAFETY: the columns point into the port's own batch, and go wherever it goes.
unsafe impl<T: Send> Send for Port<T> {}

impl<T> Port<T> {
    pub(crate) fn new(sender: Sender<T>, batch_size: usize, keyed: bool) -> Port<T> {
        let mut batch = Box::new(Batch::with_capacity(batch_size, keyed));
        let columns = Columns::of(&mut batch, batch_size, keyed);
        Port { columns, len: 0, batch_size, keyed, batch, sender, backlog: VecDeque::new(), held_back: false }
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, time: Timestamp, record: T) {
        // SAFETY: each column has room for `batch_size` records, and `len` is less: a full batch is sent at once.
        unsafe {
            self.columns.records.add(self.len).write(record);
            self.columns.times.add(self.len).write(time);
        }
        self.len += 1;
        if self.len == self.batch_size {
            self.send();
        }
    }

    #[inline(always)]
    pub(crate) fn push_keyed(&mut self, time: Timestamp, hash: u64, record: T) {
        debug_assert!(self.keyed, "hashes travel on keyed edges");
        // SAFETY: as in `push`; a keyed port has a column of hashes.
        unsafe { self.columns.hashes.add(self.len).write(hash) };
        self.push(time, record);
    }

    #[inline]
    pub(crate) fn mark(&mut self, kind: MarkKind) {
        self.batch.mark_at(self.len, kind);
    }

    /// Ends the batch with `tail` and sends it.
    pub(crate) fn tail(&mut self, tail: Tail) {
        self.batch.tail = tail;
        self.send();
    }

    /// Whether the receiver keeps up. If it once says no, it does until the next flush: that is how whoever has heard it is
    /// asked again.
    pub(crate) fn has_room(&mut self) -> bool {
        if !self.backlog.is_empty() || self.held_back {
            return false;
        }
        self.held_back = !self.keeps_up();
        !self.held_back
    }

    /// Whether no more is aside than the ring has room for.
    fn keeps_up(&mut self) -> bool {
        let Sender { full, aside, .. } = &mut self.sender;
        let aside = aside.as_ref().map_or(0, |aside| aside.get());
        aside == 0 || aside <= full.slots()
    }

    /// Sends what there is, as far as there is room. Returns whether anything was sent, or there is room again.
    pub(crate) fn flush(&mut self) -> bool {
        let released = self.held_back && self.keeps_up();
        self.held_back &= !released;
        // With no room in the ring the batch goes on filling: more of it will leave at once.
        if self.has_batch() && self.backlog.is_empty() && self.sender.full.slots() > 0 {
            self.send();
            return true;
        }
        self.drain_backlog() | released
    }

    /// Whether a flush would do something. Asked once more before the core is parked: whoever was held back must not
    /// sleep through the receiver's last word.
    pub(crate) fn can_flush(&mut self) -> bool {
        let waiting = !self.backlog.is_empty() || self.has_batch();
        (waiting && self.sender.full.slots() > 0) || (self.held_back && self.keeps_up())
    }

    #[inline(never)]
    fn send(&mut self) {
        let next = match self.sender.empty.pop() {
            Ok(empty) => empty,
            Err(_) => Box::new(Batch::with_capacity(self.batch_size, self.keyed)),
        };
        self.own_records();
        let batch = std::mem::replace(&mut self.batch, next);
        self.columns = Columns::of(&mut self.batch, self.batch_size, self.keyed);
        self.backlog.push_back(batch);
        self.drain_backlog();
    }

    /// Tells the batch's vectors of the records in its columns.
    fn own_records(&mut self) {
        let len = std::mem::take(&mut self.len);
        // SAFETY: `len` records, times and, if keyed, hashes were written since the batch was empty.
        unsafe {
            self.batch.records.set_len(len);
            self.batch.times.set_len(len);
            self.batch.hashes.set_len(if self.keyed { len } else { 0 });
        }
    }

    fn has_batch(&self) -> bool {
        self.len > 0 || !self.batch.is_empty()
    }

    fn drain_backlog(&mut self) -> bool {
        let mut sent = false;
        while let Some(batch) = self.backlog.pop_front() {
            match self.sender.full.push(batch) {
                Ok(()) => sent = true,
                Err(PushError::Full(batch)) => {
                    if planted!(batch_lost_at_barrier) && matches!(batch.tail, Tail::Barrier(_)) {
                        self.backlog.push_front(Box::new(Batch { tail: batch.tail, ..Batch::default() }));
                        break;
                    }
                    self.backlog.push_front(batch);
                    break;
                }
                // The receiving core has gone: the job is being stopped, and nobody waits for this.
                Err(PushError::Closed(_)) => {}
            }
        }
        if sent && let Some(bell) = &self.sender.bell {
            bell.ring();
        }
        sent
    }
}

impl<T> Drop for Port<T> {
    fn drop(&mut self) {
        self.own_records();
    }
}

impl<T> Columns<T> {
    /// The columns of an empty batch, with room for `batch_size` records.
    fn of(batch: &mut Batch<T>, batch_size: usize, keyed: bool) -> Columns<T> {
        debug_assert!(batch.records.is_empty(), "a batch comes back empty");
        batch.records.reserve(batch_size);
        batch.times.reserve(batch_size);
        batch.hashes.reserve(if keyed { batch_size } else { 0 });
        Columns {
            records: batch.records.as_mut_ptr(),
            times: batch.times.as_mut_ptr(),
            hashes: batch.hashes.as_mut_ptr(),
        }
    }
}

#[cfg(test)]
mod tests;
