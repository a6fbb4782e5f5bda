//! One ring's sending end with the batch that is being filled for it.

use std::collections::VecDeque;

use millstream_ring::PushError;
use millstream_storage::planted;

use crate::exchange::edge::Sender;
use crate::record::{Batch, MarkKind, Tail};
use crate::time::Timestamp;

/// Fills batches for one receiver.
pub(crate) struct Port<T> {
    sender: Sender<T>,
    batch: Box<Batch<T>>,
    /// Full batches for which the ring had no room. The stage stops while there are any.
    backlog: VecDeque<Box<Batch<T>>>,
    batch_size: usize,
    keyed: bool,
}

impl<T> Port<T> {
    pub(crate) fn new(sender: Sender<T>, batch_size: usize, keyed: bool) -> Port<T> {
        let batch = Box::new(Batch::with_capacity(batch_size, keyed));
        Port { sender, batch, backlog: VecDeque::new(), batch_size, keyed }
    }

    #[inline]
    pub(crate) fn push(&mut self, time: Timestamp, record: T) {
        self.batch.push(time, record);
        if self.batch.records.len() >= self.batch_size {
            self.send();
        }
    }

    #[inline]
    pub(crate) fn push_keyed(&mut self, time: Timestamp, hash: u64, record: T) {
        self.batch.hashes.push(hash);
        self.push(time, record);
    }

    #[inline]
    pub(crate) fn mark(&mut self, kind: MarkKind) {
        self.batch.mark(kind);
    }

    /// Ends the batch with `tail` and sends it.
    pub(crate) fn tail(&mut self, tail: Tail) {
        self.batch.tail = tail;
        self.send();
    }

    /// Whether the receiver keeps up.
    pub(crate) fn has_room(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Sends what there is, as far as there is room. Returns whether anything was sent.
    pub(crate) fn flush(&mut self) -> bool {
        if !self.batch.is_empty() && self.backlog.is_empty() {
            self.send();
            return true;
        }
        self.drain_backlog()
    }

    /// Whether a flush would send something.
    pub(crate) fn can_flush(&mut self) -> bool {
        let waiting = !self.backlog.is_empty() || !self.batch.is_empty();
        waiting && self.sender.full.slots() > 0
    }

    #[inline(never)]
    fn send(&mut self) {
        let next = match self.sender.empty.pop() {
            Ok(empty) => empty,
            Err(_) => Box::new(Batch::with_capacity(self.batch_size, self.keyed)),
        };
        let batch = std::mem::replace(&mut self.batch, next);
        self.backlog.push_back(batch);
        self.drain_backlog();
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
