//! Records on the move: batches, and what travels among the records.

use crate::time::Timestamp;

/// What stands between two records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// No more records with a timestamp up to this one.
    Watermark(Timestamp),
    /// Nothing is expected from this input for now: it leaves the minimum.
    Idle,
    /// The input has records again.
    Active,
}

/// A mark and its place in a batch: before the record at index `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// How many records of the batch come before it.
    pub at: u32,
    /// What it says.
    pub kind: MarkKind,
}

/// A checkpoint barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// The checkpoint it belongs to.
    pub epoch: u64,
}

/// What comes after the last record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tail {
    /// The stream goes on.
    #[default]
    None,
    /// The stream begins: the first batch of a channel on which records will come. It carries nothing else.
    Start,
    /// A checkpoint's barrier.
    Barrier(Barrier),
    /// No more records: watermark MAX. Barriers may still follow in later batches.
    EndOfData,
}

/// Records with their times, the marks between them and what follows the last.
///
/// Batches move between stages by ownership, and their empty buffers come back. `hashes` is filled on keyed edges
/// only: the hash is computed once, by the sender.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// The records, in order.
    pub records: Vec<T>,
    /// The event time of each record.
    pub times: Vec<Timestamp>,
    /// The stable hash of each record's key, or nothing.
    pub hashes: Vec<u64>,
    /// Marks, ascending by place.
    pub marks: Vec<Mark>,
    /// What follows.
    pub tail: Tail,
}

impl<T> Default for Batch<T> {
    fn default() -> Batch<T> {
        Batch {
            records: Vec::new(),
            times: Vec::new(),
            hashes: Vec::new(),
            marks: Vec::new(),
            tail: Tail::None,
        }
    }
}

impl<T> Batch<T> {
    /// A batch with room for `n` records.
    pub(crate) fn with_capacity(n: usize, keyed: bool) -> Batch<T> {
        Batch {
            records: Vec::with_capacity(n),
            times: Vec::with_capacity(n),
            hashes: Vec::with_capacity(if keyed { n } else { 0 }),
            marks: Vec::new(),
            tail: Tail::None,
        }
    }

    /// Whether there is nothing in it at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.marks.is_empty() && self.tail == Tail::None
    }

    /// Empties it, keeping the buffers.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.times.clear();
        self.hashes.clear();
        self.marks.clear();
        self.tail = Tail::None;
    }

    /// Appends a record.
    #[inline]
    pub(crate) fn push(&mut self, time: Timestamp, record: T) {
        self.records.push(record);
        self.times.push(time);
    }

    /// Appends a mark behind the last record. A watermark replaces one at the same place: nothing came between
    /// them, so nobody can tell.
    #[inline]
    pub(crate) fn mark(&mut self, kind: MarkKind) {
        self.mark_at(self.records.len(), kind);
    }

    /// Appends a mark behind the first `at` records.
    #[inline]
    pub(crate) fn mark_at(&mut self, at: usize, kind: MarkKind) {
        let at = u32::try_from(at).expect("a batch holds fewer than 2^32 records");
        if let (Some(last), MarkKind::Watermark(_)) = (self.marks.last_mut(), kind)
            && last.at == at
            && matches!(last.kind, MarkKind::Watermark(_))
        {
            last.kind = kind;
            return;
        }
        self.marks.push(Mark { at, kind });
    }
}
