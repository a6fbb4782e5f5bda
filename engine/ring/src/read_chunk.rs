//! Many items out, one store to give their slots back.

use std::fmt;
use std::iter::FusedIterator;

use crate::consumer::Consumer;

/// The oldest items of a ring, as an iterator that takes them and as slices to look at; made by
/// [`Consumer::read_chunk`](crate::Consumer::read_chunk).
///
/// When it is dropped, the producer gets the slots of the taken items back, all at once. Items not taken stay in
/// the ring.
///
/// ```
/// use millstream_ring::{ReadChunk, ring};
///
/// let (mut producer, mut consumer) = ring(8);
/// producer.push_slice(&[1, 2, 3, 4, 5]);
///
/// let mut chunk: ReadChunk<'_, u64> = consumer.read_chunk(4);
/// assert_eq!(chunk.as_slices().0, [1, 2, 3, 4]);
/// assert_eq!(chunk.next(), Some(1));
/// chunk.discard(2);
/// drop(chunk);
/// assert_eq!(consumer.pop(), Ok(4), "it was looked at, and stayed");
/// ```
#[must_use = "items are taken by iterating or `discard`; the others stay in the ring"]
pub struct ReadChunk<'a, T> {
    consumer: &'a mut Consumer<T>,
    /// How many items after the head were taken.
    taken: usize,
    /// How many items after the head this chunk may take.
    len: usize,
}

impl<'a, T> ReadChunk<'a, T> {
    /// `len` items are known to be there.
    #[inline]
    pub(crate) fn new(consumer: &'a mut Consumer<T>, len: usize) -> ReadChunk<'a, T> {
        ReadChunk { consumer, taken: 0, len }
    }

    /// The items not yet taken, in order: the second slice follows the first, and is empty unless the memory of the
    /// ring ends between them.
    #[inline]
    pub fn as_slices(&self) -> (&[T], &[T]) {
        // SAFETY: these items are there and not taken, and cannot be while the chunk is borrowed.
        unsafe { self.consumer.slices_ahead(self.taken, self.len - self.taken) }
    }

    /// Drops the next `n` items, or as many as there are.
    #[inline]
    pub fn discard(&mut self, n: usize) {
        self.take(n).for_each(drop);
    }
}

impl<T> Iterator for ReadChunk<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.taken == self.len {
            return None;
        }
        // SAFETY: this item is there and not taken; the line below remembers that it now is.
        let item = unsafe { self.consumer.take_ahead(self.taken) };
        self.taken += 1;
        Some(item)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len - self.taken, Some(self.len - self.taken))
    }

    /// Without the search for each item's slot: `for_each`, `sum` and the like run at the speed of slices.
    #[inline]
    fn fold<B, F: FnMut(B, T) -> B>(mut self, init: B, mut f: F) -> B {
        let mut folded = init;
        // SAFETY: these items are there and not taken.
        let (first, second) = unsafe { self.consumer.slices_ahead(self.taken, self.len - self.taken) };
        // Two plain loops: the compiler turns them into vector instructions, which it does not with one over both.
        for part in [first, second] {
            for item in part {
                // Before `f`, which may panic: the item is then gone, and not taken again.
                self.taken += 1;
                // SAFETY: taken once, and not looked at again through the slices.
                folded = f(folded, unsafe { std::ptr::read(item) });
            }
        }
        folded
    }
}

impl<T> ExactSizeIterator for ReadChunk<'_, T> {}
impl<T> FusedIterator for ReadChunk<'_, T> {}

impl<T> Drop for ReadChunk<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.taken > 0 {
            self.consumer.release(self.taken);
        }
    }
}

impl<T> fmt::Debug for ReadChunk<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadChunk")
            .field("taken", &self.taken)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
