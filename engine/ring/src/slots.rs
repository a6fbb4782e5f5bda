//! The memory of a ring: slots addressed by ever-growing indices, initialised or not as the two ends know.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// A power of two of slots. An index names the slot at `index % len`, so indices may wrap around `usize`.
pub(crate) struct Slots<T> {
    memory: Box<[UnsafeCell<MaybeUninit<T>>]>,
    /// What the model checker watches in place of `memory`: its own cells cannot be lent as a slice.
    #[cfg(loom)]
    watched: Box<[loom::cell::UnsafeCell<()>]>,
}

// SAFETY: items only move through the slots, from the thread that writes one to the thread that takes it; who may
// touch which slot when is the contract of the unsafe methods.
unsafe impl<T: Send> Send for Slots<T> {}
// SAFETY: as above. A slot is never reached by two threads at once, so `T: Sync` is not needed.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Slots<T> {
    /// At least `capacity` empty slots.
    ///
    /// # Panics
    /// If the next power of two does not fit `usize`, or its slots do not fit the address space.
    pub(crate) fn new(capacity: usize) -> Slots<T> {
        let len = capacity.checked_next_power_of_two().expect("a ring's capacity is at most half of usize");
        Slots {
            memory: (0..len).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
            #[cfg(loom)]
            watched: (0..len).map(|_| loom::cell::UnsafeCell::new(())).collect(),
        }
    }

    fn offset(&self, index: usize) -> usize {
        index & (self.memory.len() - 1)
    }

    fn slot(&self, index: usize) -> *mut MaybeUninit<T> {
        // SAFETY: the length is a power of two, so the masked index is below it.
        unsafe { self.memory.get_unchecked(self.offset(index)) }.get()
    }

    /// Puts an item into an empty slot.
    ///
    /// # Safety
    /// The slot is empty, and no other thread reaches it during the call.
    #[inline]
    pub(crate) unsafe fn write(&self, index: usize, item: T) {
        self.watch_write(index);
        // SAFETY: the pointer is to a slot that the caller alone reaches.
        unsafe { (*self.slot(index)).write(item) };
    }

    /// `len` consecutive empty slots, in order: up to the end of the memory, and on from its start.
    ///
    /// # Safety
    /// `len` is at most the number of slots; all of them are empty, and nobody else reaches one of them while the
    /// slices live.
    #[inline]
    #[expect(
        clippy::mut_from_ref,
        reason = "the slots are cells; who may write which is the caller's promise"
    )]
    pub(crate) unsafe fn empty(&self, index: usize, len: usize) -> [&mut [MaybeUninit<T>]; 2] {
        (0..len).for_each(|i| self.watch_write(index.wrapping_add(i)));
        let offset = self.offset(index);
        let first = len.min(self.memory.len() - offset);
        let base = UnsafeCell::raw_get(self.memory.as_ptr());
        // SAFETY: `offset + first` and `len - first` are within the memory, do not overlap, and are the caller's.
        unsafe {
            [
                std::slice::from_raw_parts_mut(base.add(offset), first),
                std::slice::from_raw_parts_mut(base, len - first),
            ]
        }
    }

    /// Takes the item out of a slot, which is empty afterwards.
    ///
    /// # Safety
    /// The slot holds an item, and no other thread reaches it during the call.
    #[inline]
    pub(crate) unsafe fn take(&self, index: usize) -> T {
        self.watch_write(index);
        // SAFETY: the slot is initialised and the caller's alone; the caller treats it as empty from here on.
        unsafe { (*self.slot(index)).assume_init_read() }
    }

    /// The items in `len` consecutive slots, in order: up to the end of the memory, and on from its start.
    ///
    /// # Safety
    /// `len` is at most the number of slots; all of them hold items, and no thread writes or takes one of them
    /// while the slices live.
    #[inline]
    pub(crate) unsafe fn slices(&self, index: usize, len: usize) -> (&[T], &[T]) {
        (0..len).for_each(|i| self.watch_read(index.wrapping_add(i)));
        let offset = self.offset(index);
        let first = len.min(self.memory.len() - offset);
        let base = self.memory.as_ptr().cast::<T>();
        // SAFETY: `UnsafeCell<MaybeUninit<T>>` is laid out as `T`; `offset + first` and `len - first` are within
        // the memory, and the caller vouches for what the slots hold.
        unsafe {
            (
                std::slice::from_raw_parts(base.add(offset), first),
                std::slice::from_raw_parts(base, len - first),
            )
        }
    }

    /// Drops the items in `len` consecutive slots. If one panics the others are still dropped.
    ///
    /// # Safety
    /// As for [`Slots::slices`]; the slots are empty afterwards.
    pub(crate) unsafe fn drop_items(&mut self, index: usize, len: usize) {
        /// Drops a part even while the part before it unwinds.
        struct Part<T>(*mut [T]);
        impl<T> Drop for Part<T> {
            fn drop(&mut self) {
                // SAFETY: made below from initialised slots that nothing else reaches.
                unsafe { self.0.drop_in_place() };
            }
        }
        // SAFETY: the contract is the same.
        let (first, second) = unsafe { self.slices(index, len) };
        let (first, second, at) = (first.len(), second.len(), self.offset(index));
        let base = self.memory.as_mut_ptr().cast::<T>();
        let _second = Part(std::ptr::slice_from_raw_parts_mut(base, second));
        // SAFETY: `offset` is within the memory.
        let _first = Part(std::ptr::slice_from_raw_parts_mut(unsafe { base.add(at) }, first));
    }

    #[cfg(not(loom))]
    #[inline(always)]
    fn watch_write(&self, _index: usize) {}

    #[cfg(not(loom))]
    #[inline(always)]
    fn watch_read(&self, _index: usize) {}

    #[cfg(loom)]
    fn watch_write(&self, index: usize) {
        self.watched[self.offset(index)].with_mut(|_| ());
    }

    #[cfg(loom)]
    fn watch_read(&self, index: usize) {
        self.watched[self.offset(index)].with(|_| ());
    }
}
