//! The hash index of a table: where the newest record of each key lies.
//!
//! A slot holds a 16-bit tag and a 48-bit address. The home line comes from the top bits of the hash, the tag from
//! the middle: the low bits are the key group, and say nothing on a core that owns few of them. Because the top
//! bits place them, entries lie in the order of their hashes, whatever the capacity: growth is a sequential copy
//! that can stop anywhere, and [`Index::scan`] visits keys in an order that history does not change.
//!
//! Beside the slots, in memory of their own, lie the upper halves of the hashes. Growing and scanning need no record
//! for them; and a record that was evicted is known by 48 bits of its hash, so that an absent key hardly ever costs
//! a read.
//!
//! Growth is incremental: the next array is filled from the old one, a few lines per insertion, from line 0 up, and
//! the memory of what was left is given back on the way. No insertion waits for more than a few lines, and the
//! memory in use grows as evenly as the entries do.

pub(crate) mod bulk;
mod group;
mod lines;
mod scan;

use crate::log::ADDRESS_BITS;
use group::SLOTS;
use lines::Lines;

/// The tag of a slot that never held an entry since its line was last not full.
const EMPTY: u16 = 0;
/// The tag of a slot that searches must pass.
const DELETED: u16 = 1;
const DELETED_ENTRY: u64 = (DELETED as u64) << ADDRESS_BITS;
/// Lines moved per insertion while growing: enough to end long before the new array is full.
const MOVED_LINES: usize = 2;

#[inline(always)]
fn tag_of(hash: u64) -> u16 {
    let bits = (hash >> 16) as u16;
    if bits <= DELETED { bits + 2 } else { bits }
}

#[inline(always)]
fn head_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[inline(always)]
fn entry(hash: u64, address: u64) -> u64 {
    u64::from(tag_of(hash)) << ADDRESS_BITS | address
}

#[inline(always)]
fn address(entry: u64) -> u64 {
    entry & ((1 << ADDRESS_BITS) - 1)
}

#[inline(always)]
fn is_entry(slot: u64) -> bool {
    slot >> ADDRESS_BITS > u64::from(DELETED)
}

/// The array that is being left, lines below `moved` already.
struct Leaving {
    lines: Lines,
    moved: usize,
}

/// Where an entry was found. Valid until the index changes.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    leaving: bool,
    line: usize,
    slot: usize,
}

/// The index of one table.
pub(crate) struct Index {
    lines: Lines,
    /// Slots of `lines` that are not empty, deleted ones included.
    filled: usize,
    len: usize,
    leaving: Option<Box<Leaving>>,
    /// Whether second hashes are kept.
    checked: bool,
}

impl Index {
    pub(crate) fn new() -> Index {
        Index { lines: Lines::new(1, false), filled: 0, len: 0, leaving: None, checked: false }
    }

    /// An index that need not grow for so many keys. A `checked` one keeps a second hash of every key, until
    /// [`Index::drop_checks`]: for a restore in which records are evicted before it is known which of them are the
    /// newest.
    pub(crate) fn sized(keys: usize, checked: bool) -> Index {
        let mut lines = Lines::new(1, checked);
        if keys > limit(1) {
            let count = keys.div_ceil(13).saturating_mul(2).next_power_of_two();
            lines = Lines::new(count, checked);
        }
        Index { lines, filled: 0, len: 0, leaving: None, checked }
    }

    pub(crate) fn drop_checks(&mut self) {
        self.checked = false;
        self.lines.drop_checks();
        if let Some(leaving) = &mut self.leaving {
            leaving.lines.drop_checks();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Memory in use, in bytes: of an array that is being filled, the part that was.
    pub(crate) fn bytes(&self) -> usize {
        match &self.leaving {
            None => self.lines.bytes(usize::MAX),
            Some(leaving) => {
                let filled = leaving.moved * (self.lines.count() / leaving.lines.count());
                self.lines.bytes(filled) + leaving.lines.bytes(usize::MAX)
            }
        }
    }

    /// The array that has the home of this hash, and whether it is the one being left.
    #[inline(always)]
    fn array(&self, hash: u64) -> (&Lines, bool) {
        match &self.leaving {
            Some(leaving) if leaving.lines.home(hash) >= leaving.moved => (&leaving.lines, true),
            _ => (&self.lines, false),
        }
    }

    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u64) {
        self.array(hash).0.prefetch(hash);
    }

    /// As [`Index::prefetch`], also what an insertion needs.
    #[inline(always)]
    pub(crate) fn prefetch_both(&self, hash: u64) {
        let lines = self.array(hash).0;
        lines.prefetch(hash);
        lines.prefetch_heads(hash);
    }

    /// The address that is likely this hash's: to be prefetched, or checked.
    #[inline(always)]
    pub(crate) fn candidate(&self, hash: u64) -> Option<u64> {
        self.array(hash).0.candidate(hash)
    }

    /// The candidates of many hashes, each as `locate` has it; null where there is none.
    #[inline(always)]
    pub(crate) fn candidates(&self, hashes: &[u64], out: &mut [*mut u8], locate: impl Fn(u64) -> *mut u8) {
        let located = |lines: &Lines, hash: u64| match lines.candidate(hash) {
            Some(address) => locate(address),
            None => {
                // Likely to be inserted.
                lines.prefetch_heads(hash);
                std::ptr::null_mut()
            }
        };
        let pairs = out.iter_mut().zip(hashes);
        // The same loop twice: the usual one need not ask for every hash whether the index is growing.
        match self.leaving {
            None => pairs.for_each(|(out, &hash)| *out = located(&self.lines, hash)),
            Some(_) => pairs.for_each(|(out, &hash)| *out = located(self.array(hash).0, hash)),
        }
    }

    /// Finds the entry with this hash whose address satisfies `is`.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u64) -> bool) -> Option<(Found, u64)> {
        let (lines, leaving) = self.array(hash);
        let (line, slot) = lines.find(hash, is)?;
        Some((Found { leaving, line, slot }, address(lines.line(line).0[slot])))
    }

    /// Finds the first entry that agrees with this hash as far as it is kept, and whose address and second hash
    /// satisfy `is`.
    pub(crate) fn find_alike(
        &self,
        hash: u64,
        mut is: impl FnMut(u64, Option<u64>) -> bool,
    ) -> Option<(Found, u64)> {
        let (lines, leaving) = self.array(hash);
        let (line, slot) = lines.find_slot(hash, |line, slot| {
            lines.head(line, slot) == head_of(hash)
                && is(address(lines.line(line).0[slot]), lines.check(line, slot))
        })?;
        Some((Found { leaving, line, slot }, address(lines.line(line).0[slot])))
    }

    /// Points an entry that was found at another record of the same key.
    #[inline]
    pub(crate) fn replace(&mut self, found: Found, hash: u64, address: u64) {
        let lines = match &mut self.leaving {
            Some(leaving) if found.leaving => &mut leaving.lines,
            _ => &mut self.lines,
        };
        lines.line_mut(found.line).0[found.slot] = entry(hash, address);
    }

    /// As [`Index::replace`], with the second hash that goes with the record.
    pub(crate) fn replace_checked(&mut self, found: Found, hash: u64, address: u64, check: Option<u64>) {
        self.replace(found, hash, address);
        let lines = match &mut self.leaving {
            Some(leaving) if found.leaving => &mut leaving.lines,
            _ => &mut self.lines,
        };
        if let Some(check) = check {
            lines.set_check(found.line, found.slot, check);
        }
    }

    /// Adds an entry whose key is absent.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, address: u64) {
        self.insert_checked(hash, address, None);
    }

    /// As [`Index::insert`], with the key's second hash.
    #[inline]
    pub(crate) fn insert_checked(&mut self, hash: u64, address: u64, check: Option<u64>) {
        if self.leaving.is_some() || self.filled >= limit(self.lines.count()) {
            self.make_room();
        }
        self.len += 1;
        let (head, entry) = (head_of(hash), entry(hash, address));
        match &mut self.leaving {
            Some(leaving) if leaving.lines.home(hash) >= leaving.moved => {
                leaving.lines.insert(head, entry, check);
            }
            _ => self.filled += usize::from(self.lines.insert(head, entry, check)),
        }
    }

    /// Removes an entry that was found.
    pub(crate) fn remove(&mut self, found: Found) {
        self.len -= 1;
        match &mut self.leaving {
            Some(leaving) if found.leaving => {
                leaving.lines.remove(found.line, found.slot);
            }
            _ => self.filled -= usize::from(self.lines.remove(found.line, found.slot)),
        }
    }

    /// Starts to grow when full, and moves a few lines while growing.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self) {
        if self.filled >= limit(self.lines.count()) {
            while self.leaving.is_some() {
                self.move_lines();
            }
            let count = self.lines.count();
            // Many deleted slots need cleaning, not room.
            let count = if self.len * 2 < limit(self.lines.count()) { count } else { count * 2 };
            let mut lines = std::mem::replace(&mut self.lines, Lines::new(count, self.checked));
            lines.leave();
            self.leaving = Some(Box::new(Leaving { lines, moved: 0 }));
            self.filled = 0;
        }
        self.move_lines();
    }

    /// Moves the entries of the next few lines. It stops behind a line with an empty slot, so that no entry at
    /// home in the lines that were left lies beyond them.
    fn move_lines(&mut self) {
        let Some(mut leaving) = self.leaving.take() else { return };
        let count = leaving.lines.count();
        let enough = leaving.moved + MOVED_LINES;
        let mut ended_run = false;
        while leaving.moved < count && (leaving.moved < enough || !ended_run) {
            ended_run = leaving.lines.has_empty(leaving.moved);
            self.move_line(&mut leaving.lines, leaving.moved, false);
            leaving.moved += 1;
        }
        if leaving.moved < count {
            leaving.lines.give_back(leaving.moved);
            self.leaving = Some(leaving);
            return;
        }
        // What wrapped around from the last lines to the first is all that is left.
        for line in 0..count {
            let ends = leaving.lines.has_empty(line);
            self.move_line(&mut leaving.lines, line, true);
            if ends {
                break;
            }
        }
    }

    /// Moves the entries of one line: those that wrapped around only at the end.
    fn move_line(&mut self, from: &mut Lines, line: usize, wrapped: bool) {
        for (slot, head, entry) in from.entries(line) {
            if !wrapped && from.home(u64::from(head) << 32) > line {
                continue;
            }
            let check = from.check(line, slot);
            from.line_mut(line).0[slot] = DELETED_ENTRY;
            self.filled += usize::from(self.lines.insert(head, entry, check));
        }
    }
}

/// How many slots of so many lines may be filled: 13 of 16, where a search for an absent key still looks at about two lines.
fn limit(lines: usize) -> usize {
    lines * SLOTS / 16 * 13 + lines % 2 * 6
}

#[cfg(test)]
mod tests;
