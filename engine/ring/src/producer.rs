//! The end of a ring that puts items in.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::error::PushError;
use crate::shared::Shared;
use crate::sync::{Arc, Ordering};
use crate::write_chunk::WriteChunk;

/// Puts items into a ring; made by [`ring`](crate::ring). Dropping it closes the ring: the consumer still gets
/// every item, then [`PopError::Closed`](crate::PopError::Closed).
///
/// It may move to another thread but cannot be shared or duplicated:
///
/// ```compile_fail,E0277
/// fn shared_by_threads<T: Sync>() {}
/// shared_by_threads::<millstream_ring::Producer<u64>>();
/// ```
/// ```compile_fail,E0277
/// fn duplicated<T: Clone>() {}
/// duplicated::<millstream_ring::Producer<u64>>();
/// ```
/// ```compile_fail,E0277
/// // Items change threads.
/// fn moved<T: Send>() {}
/// moved::<millstream_ring::Producer<std::rc::Rc<u64>>>();
/// ```
///
/// ```
/// use millstream_ring::{Producer, ring};
///
/// /// Fills the ring unless nobody listens.
/// fn fill(producer: &mut Producer<u64>) -> usize {
///     if producer.is_closed() { 0 } else { producer.push_chunk(0..) }
/// }
///
/// let (mut producer, consumer) = ring(8);
/// assert_eq!(fill(&mut producer), producer.capacity());
/// assert_eq!(producer.slots(), 0);
/// drop(consumer);
/// assert_eq!(fill(&mut producer), 0);
/// ```
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// The next index to push: the truth, of which the shared one is a copy.
    tail: usize,
    /// `head + capacity` when the head was last looked at; the true one may be further, never behind.
    limit: usize,
    not_sync: PhantomData<Cell<()>>,
}

impl<T> Producer<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>) -> Producer<T> {
        let tail = Shared::<T>::start(shared.capacity());
        let limit = tail.wrapping_add(shared.capacity());
        Producer { shared, tail, limit, not_sync: PhantomData }
    }

    /// Puts one item in. Never waits.
    ///
    /// # Errors
    /// [`PushError::Full`] or [`PushError::Closed`], with the item. An item that the consumer leaves behind when it
    /// goes was pushed all the same: it is dropped with the ring.
    ///
    /// ```
    /// use millstream_ring::{PushError, ring};
    ///
    /// let (mut producer, mut consumer) = ring(1);
    /// assert_eq!(producer.push(1), Ok(()));
    /// assert_eq!(producer.push(2), Err(PushError::Full(2)));
    /// assert_eq!(consumer.pop(), Ok(1));
    /// drop(consumer);
    /// assert_eq!(producer.push(2), Err(PushError::Closed(2)));
    /// ```
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), PushError<T>> {
        if self.is_closed() {
            return Err(PushError::Closed(item));
        }
        if self.free_at_least(1) == 0 {
            return Err(PushError::Full(item));
        }
        // SAFETY: there is a free slot, and the next is the one at the tail.
        unsafe { self.write_ahead(0, item) };
        self.publish(1);
        Ok(())
    }

    /// Moves items into the ring until it is full or there are no more, and shows them to the consumer all at once
    /// at the end. Returns how many it moved; 0 at once if the consumer is gone. No item is taken from the iterator
    /// that does not fit, so pass `&mut iterator` to go on with the rest later.
    ///
    /// # Panics
    /// If the iterator does; the items of this call are then dropped.
    ///
    /// ```
    /// let (mut producer, mut consumer) = millstream_ring::ring(3);
    /// let mut items = 1..=5;
    /// assert_eq!(producer.push_chunk(&mut items), 3);
    /// assert_eq!(consumer.read_chunk(2).collect::<Vec<_>>(), [1, 2]);
    /// assert_eq!(producer.push_chunk(&mut items), 2);
    /// assert_eq!(consumer.read_chunk(9).collect::<Vec<_>>(), [3, 4, 5]);
    /// ```
    #[inline]
    pub fn push_chunk(&mut self, items: impl Iterator<Item = T>) -> usize {
        let mut chunk = self.write_chunk(usize::MAX);
        chunk.extend(items);
        chunk.commit()
    }

    /// Copies items from the front of a slice until the ring is full, and shows them to the consumer all at once.
    /// Returns how many; 0 if the consumer is gone. The fastest way in.
    ///
    /// ```
    /// let (mut producer, mut consumer) = millstream_ring::ring(3);
    /// assert_eq!(producer.push_slice(&[1, 2, 3, 4]), 3);
    /// assert_eq!(consumer.read_chunk(9).as_slices().0, [1, 2, 3]);
    /// ```
    #[inline]
    pub fn push_slice(&mut self, items: &[T]) -> usize
    where
        T: Copy,
    {
        if self.is_closed() {
            return 0;
        }
        let n = self.free_at_least(items.len()).min(items.len());
        let mut rest = items;
        // SAFETY: that many slots are free.
        for part in unsafe { self.empty_ahead(0, n) } {
            let (now, later) = rest.split_at(part.len());
            part.iter_mut().zip(now).for_each(|(slot, &item)| _ = slot.write(item));
            rest = later;
        }
        if n > 0 {
            self.publish(n);
        }
        n
    }

    /// Reserves up to `n` free slots, none if the consumer is gone. What is written into them is shown to the
    /// consumer by [`WriteChunk::commit`], all at once.
    ///
    /// ```
    /// let (mut producer, mut consumer) = millstream_ring::ring(4);
    /// let mut chunk = producer.write_chunk(3);
    /// assert_eq!(chunk.push('a'), Ok(()));
    /// assert_eq!(chunk.push('b'), Ok(()));
    /// assert_eq!(chunk.remaining(), 1);
    /// assert_eq!(chunk.commit(), 2);
    /// assert_eq!(consumer.slots(), 2);
    /// ```
    #[inline]
    pub fn write_chunk(&mut self, n: usize) -> WriteChunk<'_, T> {
        let reserved = if self.is_closed() { 0 } else { self.free_at_least(n).min(n) };
        WriteChunk::new(self, reserved)
    }

    /// How many items fit now; more as soon as the consumer pops.
    #[inline]
    pub fn slots(&mut self) -> usize {
        self.free_at_least(usize::MAX)
    }

    /// How many items the ring holds at most.
    pub fn capacity(&self) -> usize {
        self.shared.capacity()
    }

    /// Whether the consumer is gone.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.shared.consumer_gone()
    }

    /// The free slots; the consumer is asked only if fewer than `n` are known, as its line may be far away.
    #[inline]
    fn free_at_least(&mut self, n: usize) -> usize {
        let free = self.limit.wrapping_sub(self.tail);
        if free >= n {
            return free;
        }
        // Acquire: what the consumer took out of the slots was taken before they are written again.
        let head = self.shared.head.0.load(Ordering::Acquire);
        self.limit = head.wrapping_add(self.capacity());
        self.limit.wrapping_sub(self.tail)
    }

    /// Writes an item `ahead` slots after the tail, not yet shown to the consumer.
    ///
    /// # Safety
    /// More than `ahead` slots are known to be free, and this one is empty.
    #[inline]
    pub(crate) unsafe fn write_ahead(&mut self, ahead: usize, item: T) {
        // SAFETY: a free slot is the producer's alone.
        unsafe { self.shared.slots().write(self.tail.wrapping_add(ahead), item) };
    }

    /// The `len` slots from `ahead` slots after the tail, to write.
    ///
    /// # Safety
    /// `ahead + len` slots are known to be free, and these are empty.
    #[inline]
    pub(crate) unsafe fn empty_ahead(&mut self, ahead: usize, len: usize) -> [&mut [MaybeUninit<T>]; 2] {
        // SAFETY: free slots are the producer's alone, and it is borrowed.
        unsafe { self.shared.slots().empty(self.tail.wrapping_add(ahead), len) }
    }

    /// Takes back an item that was written `ahead` slots after the tail.
    ///
    /// # Safety
    /// It was written there, and neither published nor taken back.
    pub(crate) unsafe fn take_back(&mut self, ahead: usize) -> T {
        // SAFETY: the slot is still the producer's, and holds an item.
        unsafe { self.shared.slots().take(self.tail.wrapping_add(ahead)) }
    }

    /// Shows the consumer the `n` items written after the tail.
    #[inline]
    pub(crate) fn publish(&mut self, n: usize) {
        self.tail = self.tail.wrapping_add(n);
        // Release: who sees the tail sees the items before it.
        self.shared.tail.0.store(self.tail, Ordering::Release);
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.shared.leave_producer();
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}
