//! One open-addressing array of index lines.

use std::ops::Range;

use super::group::{self, Group, Line, SLOTS};
use super::{DELETED, DELETED_ENTRY, EMPTY, tag_of};
use crate::memory::{HUGE_PAGE, Pages};

/// The upper halves of the hashes in a line: what growing and scanning need, and searches never look at.
type Heads = [u32; SLOTS];

/// So many lines that were left are given back to the system at a time: a huge page of them.
const GIVEN_BACK: usize = HUGE_PAGE / size_of::<Line>();
/// Lines whose heads fill a page: less cannot be given back.
const GIVEN_BACK_UNIT: usize = 4096 / size_of::<Heads>();

/// A power of two of lines. An entry lies in the line that its hash's top bits name, or, where lines are full,
/// in the next that was not: a search ends at the first line with an empty slot.
pub(super) struct Lines {
    /// The lines, then their heads.
    memory: Pages,
    mask: usize,
    /// How far to shift half a hash to get its line.
    shift: u32,
    /// Second hashes of the keys, by slot,, while a store is restored under a limit of memory.
    checks: Option<Vec<u64>>,
    /// The lines whose memory was given back while they were left.
    given_back: Range<usize>,
}

impl Lines {
    pub(super) fn new(count: usize, checked: bool) -> Lines {
        debug_assert!(count.is_power_of_two(), "lines are counted in powers of two");
        assert!(count <= 1 << 31, "an index has at most 2^31 lines: use more cores");
        let bytes = count * (size_of::<Line>() + size_of::<Heads>());
        let memory = Pages::zeroed(bytes, bytes >= 2 * HUGE_PAGE);
        let checks = checked.then(|| vec![0; count * SLOTS]);
        Lines { memory, mask: count - 1, shift: 63 - count.trailing_zeros(), checks, given_back: 0..0 }
    }

    pub(super) fn count(&self) -> usize {
        self.mask + 1
    }

    /// Memory that lines use: all of them, or for a growing array those up to `touched`.
    pub(super) fn bytes(&self, touched: usize) -> usize {
        let checks = if self.checks.is_some() { SLOTS * size_of::<u64>() } else { 0 };
        let line = size_of::<Line>() + size_of::<Heads>() + checks;
        touched.min(self.count()).saturating_sub(self.given_back.len()) * line
    }

    /// Begins to leave this array: the first lines, to which others may have wrapped around, stay to the end.
    pub(super) fn leave(&mut self) {
        let wrapped = (0..self.count()).take_while(|&line| !self.has_empty(line)).count();
        let start = (wrapped + 1).next_multiple_of(GIVEN_BACK_UNIT);
        self.given_back = start..start;
    }

    /// Gives the memory of the lines below `end` back, all of which were moved. They read as empty from then on.
    pub(super) fn give_back(&mut self, end: usize) {
        let from = self.given_back.end;
        let end = end / GIVEN_BACK_UNIT * GIVEN_BACK_UNIT;
        if end < from + GIVEN_BACK {
            return;
        }
        let heads = self.count() * size_of::<Line>();
        for (start, size) in [(0, size_of::<Line>()), (heads, size_of::<Heads>())] {
            self.memory.give_back(start + from * size..start + end * size);
        }
        self.given_back.end = end;
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
    fn heads_pointer(&self, line: usize) -> *mut Heads {
        debug_assert!(line <= self.mask, "a line outside the index");
        // SAFETY: the heads lie behind the lines, as many; a line's size keeps them aligned.
        unsafe { self.memory.as_ptr().add(self.count() * size_of::<Line>()).cast::<Heads>().add(line) }
    }

    /// The upper half of the hash of the entry in a slot.
    #[inline(always)]
    pub(super) fn head(&self, line: usize, slot: usize) -> u32 {
        // SAFETY: zeroed memory is valid, and changing it takes `&mut self`.
        unsafe { (*self.heads_pointer(line))[slot] }
    }

    #[inline(always)]
    fn set_head(&mut self, line: usize, slot: usize, head: u32) {
        // SAFETY: as above; `&mut self` excludes other borrows.
        unsafe { (*self.heads_pointer(line))[slot] = head }
    }

    /// The second hash of the entry in a slot, while these are kept.
    pub(super) fn check(&self, line: usize, slot: usize) -> Option<u64> {
        self.checks.as_ref().map(|checks| checks[line * SLOTS + slot])
    }

    pub(super) fn set_check(&mut self, line: usize, slot: usize, check: u64) {
        if let Some(checks) = &mut self.checks {
            checks[line * SLOTS + slot] = check;
        }
    }

    pub(super) fn drop_checks(&mut self) {
        self.checks = None;
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

    /// Asks the CPU for the heads of a hash's home line.
    #[inline(always)]
    pub(super) fn prefetch_heads(&self, hash: u64) {
        crate::prefetch::read(self.heads_pointer(self.home(hash)).cast());
    }

    /// The line and slot of the entry with this hash for which `is` holds.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, is: impl Fn(u64) -> bool) -> Option<(usize, usize)> {
        self.find_slot(hash, |line, slot| is(super::address(self.line(line).0[slot])))
    }

    /// The line and slot with this hash's tag for which `is` holds.
    #[inline(always)]
    pub(super) fn find_slot(
        &self,
        hash: u64,
        mut is: impl FnMut(usize, usize) -> bool,
    ) -> Option<(usize, usize)> {
        let tag = tag_of(hash);
        let mut line = self.home(hash);
        loop {
            let group = self.group(line);
            for slot in group::slots(group.matches(tag)) {
                if is(line, slot) {
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

    /// Adds an entry whose key is absent: of its hash, the upper half is enough. Returns whether it took a slot that
    /// was empty until now.
    #[inline]
    pub(super) fn insert(&mut self, head: u32, entry: u64, check: Option<u64>) -> bool {
        let mut line = self.home(u64::from(head) << 32);
        loop {
            let group = self.group(line);
            let free = group.matches(EMPTY) | group.matches(DELETED);
            if free != 0 {
                let slot = (free.trailing_zeros() >> 2) as usize;
                self.set_head(line, slot, head);
                if let Some(check) = check {
                    self.set_check(line, slot, check);
                }
                return std::mem::replace(&mut self.line_mut(line).0[slot], entry) == 0;
            }
            line = self.after(line);
        }
    }

    /// Empties a slot. Returns whether it counts as empty again: searches must still pass a line that was full.
    pub(super) fn remove(&mut self, line: usize, slot: usize) -> bool {
        let empty = self.has_empty(line);
        self.line_mut(line).0[slot] = if empty { 0 } else { DELETED_ENTRY };
        empty
    }

    /// The entries of a line: slot, upper half of the hash, and entry.
    #[inline]
    pub(super) fn entries(&self, line: usize) -> impl Iterator<Item = (usize, u32, u64)> + use<> {
        // SAFETY: as in `head`.
        let heads = unsafe { *self.heads_pointer(line) };
        let entries = self.line(line).0.into_iter().enumerate();
        entries
            .filter(|(_, entry)| super::is_entry(*entry))
            .map(move |(slot, entry)| (slot, heads[slot], entry))
    }
}
