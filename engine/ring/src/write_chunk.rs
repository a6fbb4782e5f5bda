//! Many items in, one store to show them.

use std::fmt;

use crate::producer::Producer;

/// Reserved slots of a ring, to write and then show all at once; made by
/// [`Producer::write_chunk`](crate::Producer::write_chunk).
///
/// Dropped without [`commit`](WriteChunk::commit), its items are dropped: the consumer never sees them.
///
/// ```
/// use millstream_ring::{WriteChunk, ring};
///
/// let (mut producer, mut consumer) = ring(8);
/// let mut chunk: WriteChunk<'_, u64> = producer.write_chunk(4);
/// chunk.extend([1, 2, 3].into_iter());
/// assert_eq!(chunk.remaining(), 1);
/// assert_eq!(chunk.push(4), Ok(()));
/// assert_eq!(chunk.push(5), Err(5), "no slot was reserved for it");
/// assert_eq!(chunk.commit(), 4);
/// assert_eq!(consumer.slots(), 4);
/// ```
#[must_use = "items are shown to the consumer only by `commit`"]
pub struct WriteChunk<'a, T> {
    producer: &'a mut Producer<T>,
    /// Free slots after the tail that this chunk may write.
    reserved: usize,
    /// How many of them hold an item, from the first.
    written: usize,
}

impl<'a, T> WriteChunk<'a, T> {
    /// `reserved` slots are known to be free.
    #[inline]
    pub(crate) fn new(producer: &'a mut Producer<T>, reserved: usize) -> WriteChunk<'a, T> {
        WriteChunk { producer, reserved, written: 0 }
    }

    /// How many more items may be written.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.reserved - self.written
    }

    /// Writes the next item.
    ///
    /// # Errors
    /// The item, if no reserved slot remains.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.remaining() == 0 {
            return Err(item);
        }
        // SAFETY: this slot was reserved and not yet written.
        unsafe { self.producer.write_ahead(self.written, item) };
        self.written += 1;
        Ok(())
    }

    /// Writes items until no reserved slot remains or there are no more. Takes no item that does not fit.
    #[inline]
    pub fn extend(&mut self, mut items: impl Iterator<Item = T>) {
        // SAFETY: these slots were reserved and not yet written.
        for part in unsafe { self.producer.empty_ahead(self.written, self.reserved - self.written) } {
            for slot in part {
                let Some(item) = items.next() else { return };
                slot.write(item);
                // One by one: if the iterator panics, what is written is dropped.
                self.written += 1;
            }
        }
    }

    /// Shows the written items to the consumer, with one store; returns their number.
    #[inline]
    pub fn commit(mut self) -> usize {
        let written = std::mem::take(&mut self.written);
        if written > 0 {
            self.producer.publish(written);
        }
        written
    }
}

impl<T> Drop for WriteChunk<'_, T> {
    #[inline]
    fn drop(&mut self) {
        while self.written > 0 {
            self.written -= 1;
            // SAFETY: written, not published, and forgotten by the line above: taken once even if its drop panics.
            drop(unsafe { self.producer.take_back(self.written) });
        }
    }
}

impl<T> fmt::Debug for WriteChunk<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteChunk")
            .field("reserved", &self.reserved)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}
