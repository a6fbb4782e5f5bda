//! What the two ends of a ring share: the slots, and the indices by which each tells the other how far it is.
//!
//! `head` is the next index to pop, `tail` the next to push. Both only grow, and wrap around `usize`. At all times
//! `tail - head <= capacity`: the slots of `head .. tail` hold items and are the consumer's, the others are empty
//! and the producer's. Slots change hands by a release-store of an index that the other end loads with acquire.

use crate::slots::Slots;
use crate::sync::{AtomicBool, AtomicUsize, Ordering, Padded};

/// Three regions of cache lines: written by the consumer, by the producer, and by nobody until an end is dropped.
pub(crate) struct Shared<T> {
    pub(crate) head: Padded<AtomicUsize>,
    pub(crate) tail: Padded<AtomicUsize>,
    rest: Padded<Rest<T>>,
}

struct Rest<T> {
    slots: Slots<T>,
    capacity: usize,
    producer_gone: AtomicBool,
    consumer_gone: AtomicBool,
}

impl<T> Shared<T> {
    pub(crate) fn new(capacity: usize) -> Shared<T> {
        assert!(capacity > 0, "a ring of capacity 0 could never pass an item: ask for at least 1");
        let start = Shared::<T>::start(capacity);
        Shared {
            head: Padded(AtomicUsize::new(start)),
            tail: Padded(AtomicUsize::new(start)),
            rest: Padded(Rest {
                slots: Slots::new(capacity),
                capacity,
                producer_gone: AtomicBool::new(false),
                consumer_gone: AtomicBool::new(false),
            }),
        }
    }

    /// The first index. Indices wrap around `usize` when the ring was filled once, so that what would otherwise
    /// happen after centuries happens in every test.
    pub(crate) fn start(capacity: usize) -> usize {
        capacity.wrapping_neg()
    }

    #[inline]
    pub(crate) fn slots(&self) -> &Slots<T> {
        &self.rest.0.slots
    }

    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.rest.0.capacity
    }

    #[inline]
    pub(crate) fn producer_gone(&self) -> bool {
        self.rest.0.producer_gone.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn consumer_gone(&self) -> bool {
        self.rest.0.consumer_gone.load(Ordering::Acquire)
    }

    /// After the last item: who sees the flag sees the final tail.
    pub(crate) fn leave_producer(&self) {
        self.rest.0.producer_gone.store(true, Ordering::Release);
    }

    pub(crate) fn leave_consumer(&self) {
        self.rest.0.consumer_gone.store(true, Ordering::Release);
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Both ends are gone, and the count of their references ordered all they did before this.
        let head = self.head.0.load(Ordering::Relaxed);
        let tail = self.tail.0.load(Ordering::Relaxed);
        // SAFETY: the slots of `head .. tail` hold items, and nobody else is left.
        unsafe { self.rest.0.slots.drop_items(head, tail.wrapping_sub(head)) };
    }
}
