//! One open-addressing array of index lines.

use super::group::{self, Group, Line};
use super::{DELETED, EMPTY, tag_of};
use crate::memory::{HUGE_PAGE, Pages};

/// A power of two of lines. An entry lies in the line that its hash's top bits name, or, where lines are full,
/// in the next that was not: a search ends at the first line with an empty slot.
pub(super) struct Lines {
    memory: Pages,
    mask: usize,
    /// How far to shift half a hash to get its line.
    shift: u32,
}

impl Lines {
    pub(super) fn new(count: usize) -> Lines {
        debug_assert!(count.is_power_of_two(), "lines are counted in powers of two");
        let bytes = count * size_of::<Line>();
        let memory = Pages::zeroed(bytes, bytes >= 2 * HUGE_PAGE);
        Lines { memory, mask: count - 1, shift: 63 - count.trailing_zeros() }
    }

    pub(super) fn count(&self) -> usize {
        self.mask + 1
    }

    pub(super) fn bytes(&self) -> usize {
        self.memory.len()
    }

    #[inline(always)]
    pub(super) fn home(&self, hash: u64) -> usize {
        ((hash >> 1) >> self.shift) as usize
    }

    #[inline(always)]
    pub(super) fn after(&self, line: usize) -> usize {
        (line + 1) & self.mask
    }

    #[inline(always)]
    fn pointer(&self, line: usize) -> *mut Line {
        debug_assert!(line <= self.mask, "a line outside the index");
        // SAFETY: callers pass `home` or `after`, both at most `mask`; memory is one `Line` per number.
        unsafe { self.memory.as_ptr().cast::<Line>().add(line) }
    }

    #[inline(always)]
    pub(super) fn line(&self, line: usize) -> &Line {
        // SAFETY: zeroed memory is a valid line, and changing one takes `&mut self`.
        unsafe { &*self.pointer(line) }
    }

    #[inline(always)]
    pub(super) fn line_mut(&mut self, line: usize) -> &mut Line {
        // SAFETY: as above; `&mut self` excludes other borrows.
        unsafe { &mut *self.pointer(line) }
    }

    #[inline(always)]
    pub(super) fn group(&self, line: usize) -> Group {
        Group::load(self.line(line))
    }

    #[inline(always)]
    pub(super) fn has_empty(&self, line: usize) -> bool {
        self.group(line).matches(EMPTY) != 0
    }

    /// Asks the CPU for the home line of a hash.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64) {
        crate::prefetch::read(self.pointer(self.home(hash)).cast());
    }

    /// The line and slot of the entry with this hash for which `is` holds.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, is: impl Fn(u64) -> bool) -> Option<(usize, usize)> {
        let tag = tag_of(hash);
        let mut line = self.home(hash);
        loop {
            let group = self.group(line);
            for slot in group::slots(group.matches(tag)) {
                if is(super::address(self.line(line).0[slot])) {
                    return Some((line, slot));
                }
            }
            if group.matches(EMPTY) != 0 {
                return None;
            }
            line = self.after(line);
        }
    }

    /// The first entry in the home line with this hash's tag; likely, not surely, the right one.
    #[inline(always)]
    pub(super) fn candidate(&self, hash: u64) -> Option<u64> {
        let line = self.home(hash);
        let mask = self.group(line).matches(tag_of(hash));
        (mask != 0).then(|| super::address(self.line(line).0[(mask.trailing_zeros() >> 2) as usize]))
    }

    /// Adds an entry whose key is absent. Returns whether it took a slot that was empty until now.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, entry: u64) -> bool {
        let mut line = self.home(hash);
        loop {
            let group = self.group(line);
            let free = group.matches(EMPTY) | group.matches(DELETED);
            if free != 0 {
                let slot = &mut self.line_mut(line).0[(free.trailing_zeros() >> 2) as usize];
                let was_empty = *slot == 0;
                *slot = entry;
                return was_empty;
            }
            line = self.after(line);
        }
    }

    /// Empties a slot. Returns whether it counts as empty again: searches must still pass a line that was full.
    pub(super) fn remove(&mut self, line: usize, slot: usize) -> bool {
        let empty = self.has_empty(line);
        self.line_mut(line).0[slot] = if empty { 0 } else { super::DELETED_ENTRY };
        empty
    }

    /// The entries of a line as addresses.
    pub(super) fn addresses(&self, line: usize) -> impl Iterator<Item = (usize, u64)> + use<> {
        let entries = self.line(line).0.into_iter().enumerate();
        entries
            .filter(|(_, entry)| super::is_entry(*entry))
            .map(|(slot, entry)| (slot, super::address(entry)))
    }
}
