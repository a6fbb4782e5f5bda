//! Going through a batch, run by run and mark by mark, with the right to stop in between.

use std::mem::ManuallyDrop;
use std::ptr;

use crate::failure::{Place, leave_batch};
use crate::record::{Barrier, Batch, MarkKind, Tail};
use crate::time::Timestamp;

/// A batch being consumed. Records are moved out one by one; the buffers stay, to be used again.
pub(crate) struct Cursor<T> {
    /// Its records have length 0: those in `next .. len` are owned by the cursor.
    batch: Box<Batch<T>>,
    next: usize,
    len: usize,
    mark: usize,
}

/// What a cursor stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This many records, with no mark between them.
    Records(usize),
    Mark(MarkKind),
    /// The tail.
    End,
}

impl<T> Cursor<T> {
    pub(crate) fn new(mut batch: Box<Batch<T>>) -> Cursor<T> {
        let len = batch.records.len();
        // SAFETY: 0 is within the capacity. The first `len` records stay initialised, and from here on the
        // cursor owns them: each is read or dropped exactly once, by `take`, `skip_to` or `drop`.
        unsafe { batch.records.set_len(0) };
        Cursor { batch, next: 0, len, mark: 0 }
    }

    pub(crate) fn peek(&self) -> Next {
        let until = match self.batch.marks.get(self.mark) {
            Some(mark) if mark.at as usize <= self.next => return Next::Mark(mark.kind),
            Some(mark) => (mark.at as usize).min(self.len),
            None => self.len,
        };
        if until > self.next { Next::Records(until - self.next) } else { Next::End }
    }

    /// The next `n` records. What is not taken of them is dropped with the run.
    pub(crate) fn run(&mut self, n: usize) -> Run<'_, T> {
        let end = self.next + n;
        assert!(end <= self.len, "a run lies within its batch");
        Run { cursor: self, end, one_by_one: false }
    }

    /// The next records, up to `n`, to be looked at before they are worked on.
    pub(crate) fn view(&self, n: usize) -> View<'_, T> {
        let (start, end) = (self.next, (self.next + n).min(self.len));
        let Batch { records, times, hashes, .. } = &*self.batch;
        // SAFETY: `next .. len` are initialised records that the cursor owns.
        let records = unsafe { std::slice::from_raw_parts(records.as_ptr().add(start), end - start) };
        View { records, times: &times[start..end], hashes: hashes.get(start..end).unwrap_or(&[]) }
    }

    /// Its barrier has overtaken it.
    pub(crate) fn pass_barrier(&mut self, barrier: Barrier) {
        if self.batch.tail == Tail::Barrier(barrier) {
            self.batch.tail = Tail::None;
        }
    }

    pub(crate) fn pass_mark(&mut self) {
        self.mark += 1;
    }

    /// The emptied batch; what was not consumed is dropped.
    pub(crate) fn into_batch(mut self) -> Box<Batch<T>> {
        self.skip_to(self.len);
        let consumed = ManuallyDrop::new(self);
        // SAFETY: the cursor is not dropped, so the batch is moved out once; the cursor owns nothing else, now that
        // every record was consumed.
        unsafe { ptr::read(&consumed.batch) }
    }

    fn skip_to(&mut self, end: usize) {
        let start = std::mem::replace(&mut self.next, end);
        // SAFETY: `start .. end` lies within the records that the cursor owns (see `new`), and `next` has moved
        // past them already, so that a panic in a destructor cannot drop one twice.
        unsafe {
            let first = self.batch.records.as_mut_ptr().add(start);
            ptr::drop_in_place(ptr::slice_from_raw_parts_mut(first, end - start));
        }
    }
}

impl<T> Drop for Cursor<T> {
    fn drop(&mut self) {
        if self.next < self.len {
            self.skip_to(self.len);
        }
    }
}

/// Records that are still to be worked on.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, T> {
    pub records: &'a [T],
    pub times: &'a [Timestamp],
    /// Nothing on an edge that is not keyed.
    pub hashes: &'a [u64],
}

/// Consecutive records with no mark between them.
pub(crate) struct Run<'a, T> {
    cursor: &'a mut Cursor<T>,
    end: usize,
    /// What is being worked on has been taken; otherwise it is yet to be taken or skipped.
    one_by_one: bool,
}

impl<T> Run<'_, T> {
    /// Says that each record is taken before it is worked on: for messages only.
    pub(crate) fn one_by_one(mut self) -> Self {
        self.one_by_one = true;
        self
    }

    /// The records that are left.
    pub(crate) fn records(&self) -> &[T] {
        let start = self.cursor.next;
        // SAFETY: `next .. end` are initialised records that the cursor owns.
        unsafe { std::slice::from_raw_parts(self.cursor.batch.records.as_ptr().add(start), self.end - start) }
    }

    /// Their times.
    pub(crate) fn times(&self) -> &[Timestamp] {
        &self.cursor.batch.times[self.cursor.next..self.end]
    }

    /// The hashes of their keys.
    ///
    /// # Panics
    /// If the edge is not keyed.
    pub(crate) fn hashes(&self) -> &[u64] {
        &self.cursor.batch.hashes[self.cursor.next..self.end]
    }

    /// The hash of the next record's key, if the edge is keyed.
    #[inline]
    pub(crate) fn hash(&self) -> Option<u64> {
        self.cursor.batch.hashes.get(self.cursor.next).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cursor.next == self.end
    }

    /// Drops the next `n` records.
    pub(crate) fn skip(&mut self, n: usize) {
        let until = self.cursor.next + n;
        assert!(until <= self.end, "records are skipped within their run");
        self.cursor.skip_to(until);
    }

    /// Moves the next record out.
    pub(crate) fn take(&mut self) -> Option<(Timestamp, T)> {
        let i = self.cursor.next;
        if i == self.end {
            return None;
        }
        self.cursor.next = i + 1;
        // SAFETY: record `i` is initialised and owned by the cursor, and `next` has moved past it.
        let record = unsafe { ptr::read(self.cursor.batch.records.as_ptr().add(i)) };
        Some((self.cursor.batch.times[i], record))
    }
}

impl<T> Drop for Run<'_, T> {
    fn drop(&mut self) {
        leave_batch(|| {
            let next = self.cursor.next;
            let records = if self.one_by_one { next.saturating_sub(1)..next } else { next..self.end };
            Place::of(records, &self.cursor.batch.times)
        });
        if self.cursor.next < self.end {
            self.cursor.skip_to(self.end);
        }
    }
}
