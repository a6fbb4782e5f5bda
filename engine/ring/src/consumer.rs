//! The end of a ring that takes items out.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use crate::error::PopError;
use crate::read_chunk::ReadChunk;
use crate::shared::Shared;
use crate::sync::{Arc, Ordering};

/// Takes items out of a ring; made by [`ring`](crate::ring). Dropping it closes the ring: the producer gets
/// [`PushError::Closed`](crate::PushError::Closed) from then on, and what is left in the ring is dropped with the
/// producer.
///
/// It may move to another thread but cannot be shared or duplicated:
///
/// ```compile_fail,E0277
/// fn shared_by_threads<T: Sync>() {}
/// shared_by_threads::<millstream_ring::Consumer<u64>>();
/// ```
/// ```compile_fail,E0277
/// fn duplicated<T: Clone>() {}
/// duplicated::<millstream_ring::Consumer<u64>>();
/// ```
/// ```compile_fail,E0277
/// // Items change threads.
/// fn moved<T: Send>() {}
/// moved::<millstream_ring::Consumer<std::rc::Rc<u64>>>();
/// ```
///
/// ```
/// use millstream_ring::{Consumer, ring};
///
/// /// Whether there will never be another item.
/// fn is_done(consumer: &mut Consumer<u64>) -> bool {
///     consumer.is_closed() && consumer.slots() == 0
/// }
///
/// let (mut producer, mut consumer) = ring(8);
/// producer.push_chunk(0..3);
/// drop(producer);
/// assert_eq!((consumer.capacity(), consumer.slots()), (8, 3));
/// assert!(!is_done(&mut consumer));
/// consumer.read_chunk(3).for_each(drop);
/// assert!(is_done(&mut consumer));
/// ```
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// The next index to pop: the truth, of which the shared one is a copy.
    head: usize,
    /// The tail when it was last looked at; the true one may be further, never behind.
    tail: usize,
    not_sync: PhantomData<Cell<()>>,
}

impl<T> Consumer<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>) -> Consumer<T> {
        let start = Shared::<T>::start(shared.capacity());
        Consumer { shared, head: start, tail: start, not_sync: PhantomData }
    }

    /// Takes the oldest item out. Never waits.
    ///
    /// # Errors
    /// [`PopError::Empty`] if there is none, [`PopError::Closed`] if there will never be another.
    ///
    /// ```
    /// use millstream_ring::{PopError, ring};
    ///
    /// let (mut producer, mut consumer) = ring(8);
    /// assert_eq!(consumer.pop(), Err(PopError::Empty));
    /// producer.push(1)?;
    /// drop(producer);
    /// assert_eq!(consumer.pop(), Ok(1));
    /// assert_eq!(consumer.pop(), Err(PopError::Closed));
    /// # Ok::<(), millstream_ring::PushError<i32>>(())
    /// ```
    #[inline]
    pub fn pop(&mut self) -> Result<T, PopError> {
        if self.head == self.tail {
            self.look()?;
        }
        // SAFETY: there is an item, and the oldest is at the head.
        let item = unsafe { self.take_ahead(0) };
        self.release(1);
        Ok(item)
    }

    /// The oldest item, left where it is.
    ///
    /// ```
    /// let (mut producer, mut consumer) = millstream_ring::ring(8);
    /// assert_eq!(consumer.peek(), None);
    /// producer.push(1)?;
    /// assert_eq!(consumer.peek(), Some(&1));
    /// assert_eq!(consumer.pop(), Ok(1));
    /// # Ok::<(), millstream_ring::PushError<i32>>(())
    /// ```
    #[inline]
    pub fn peek(&mut self) -> Option<&T> {
        let n = self.ready_at_least(1).min(1);
        // SAFETY: at most the one item that is known to be there; it stays while `self` is borrowed.
        unsafe { self.slices_ahead(0, n) }.0.first()
    }

    /// Borrows up to `n` of the oldest items, to take or look at; none if the ring is empty. The producer gets back
    /// the slots of those taken when the chunk is dropped, all at once; the others stay.
    ///
    /// ```
    /// let (mut producer, mut consumer) = millstream_ring::ring(8);
    /// producer.push_chunk(0..8);
    /// let sum: i32 = consumer.read_chunk(4).sum();
    /// assert_eq!(sum, 0 + 1 + 2 + 3);
    /// assert_eq!(producer.slots(), 4);
    ///
    /// let mut chunk = consumer.read_chunk(4);
    /// let (first, second) = chunk.as_slices();
    /// assert_eq!([first, second].concat(), [4, 5, 6, 7]);
    /// chunk.discard(3);
    /// drop(chunk);
    /// assert_eq!(consumer.pop(), Ok(7));
    /// ```
    #[inline]
    pub fn read_chunk(&mut self, n: usize) -> ReadChunk<'_, T> {
        let len = self.ready_at_least(n).min(n);
        ReadChunk::new(self, len)
    }

    /// How many items can be popped now; more as soon as the producer pushes.
    #[inline]
    pub fn slots(&mut self) -> usize {
        self.ready_at_least(usize::MAX)
    }

    /// How many items the ring holds at most.
    pub fn capacity(&self) -> usize {
        self.shared.capacity()
    }

    /// Whether the producer is gone. Items may be left to pop.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.shared.producer_gone()
    }

    /// Asks the producer for more when all known items are taken.
    #[inline]
    fn look(&mut self) -> Result<(), PopError> {
        // The flag before the tail: the producer raises it after its last item, so with it the tail is final.
        let closed = self.is_closed();
        match self.ready_at_least(1) {
            0 if closed => Err(PopError::Closed),
            0 => Err(PopError::Empty),
            _ => Ok(()),
        }
    }

    /// The items in the ring; the producer is asked only if fewer than `n` are known, as its line may be far away.
    #[inline]
    fn ready_at_least(&mut self, n: usize) -> usize {
        let ready = self.tail.wrapping_sub(self.head);
        if ready >= n {
            return ready;
        }
        // Acquire: the items before this tail are seen with it.
        self.tail = self.shared.tail.0.load(Ordering::Acquire);
        self.tail.wrapping_sub(self.head)
    }

    /// Takes the item `ahead` slots after the head; the slot is not yet given back.
    ///
    /// # Safety
    /// More than `ahead` items are known to be there, and this one was not taken.
    #[inline]
    pub(crate) unsafe fn take_ahead(&mut self, ahead: usize) -> T {
        // SAFETY: a slot between head and tail holds an item and is the consumer's alone.
        unsafe { self.shared.slots().take(self.head.wrapping_add(ahead)) }
    }

    /// The `len` items from `ahead` slots after the head.
    ///
    /// # Safety
    /// `ahead + len` items are known to be there; these were not taken and are not while the slices live.
    #[inline]
    pub(crate) unsafe fn slices_ahead(&self, ahead: usize, len: usize) -> (&[T], &[T]) {
        // SAFETY: as for `take_ahead`.
        unsafe { self.shared.slots().slices(self.head.wrapping_add(ahead), len) }
    }

    /// Gives the producer back the slots of the `n` items taken after the head.
    #[inline]
    pub(crate) fn release(&mut self, n: usize) {
        self.head = self.head.wrapping_add(n);
        // Release: the items were taken before who sees the head writes others.
        self.shared.head.0.store(self.head, Ordering::Release);
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.shared.leave_consumer();
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}
