//! Segments that never were in memory: a restore makes them out of the indexes of files.

use std::rc::Rc;

use super::evict::{Evicted, Part};
use super::segments::Segment;
use super::{Address, Log, Place};
use crate::disk::SECTOR;
use crate::file_index::check::Rules;
use crate::snapshot::DeltaFile;

/// A block of records that stays on disk.
pub(crate) struct Absent<'a> {
    /// Its bytes.
    pub(crate) len: u32,
    pub(crate) file: &'a Rc<DeltaFile>,
    /// Where it lies in the file, and how many precede it there.
    pub(crate) offset: u64,
    pub(crate) index: u32,
    /// The digest of its entries.
    pub(crate) promised: u32,
}

impl Log {
    /// Appends a block that stays where it is. Returns the sequence number of its segment, and the address of the
    /// block's start.
    pub(crate) fn adopt_absent(&mut self, block: &Absent<'_>, rules: &Rc<Rules>) -> (u64, Address) {
        self.close_block();
        let segment = self.geometry.segment();
        assert!(
            block.len as usize <= segment,
            "blocks larger than a segment are refused before they are adopted"
        );
        if !self.has_absent_room(block.len) {
            self.open_absent(rules);
        }
        let (slot, start) = (self.tail.slot, self.tail.block);
        let end = start + block.len;
        (self.tail.block, self.tail.position, self.tail.limit) = (end, end, 0);
        let segment = self.segment_mut(slot);
        (segment.end, segment.durable) = (end, end);
        let sequence = segment.sequence;
        self.change_absent(slot, |evicted| evicted.add(start, block));
        (sequence, self.address(slot, start))
    }

    /// Whether the next absent block fits into the segment of the last one.
    pub(crate) fn has_absent_room(&self, len: u32) -> bool {
        self.is_tail_absent() && self.geometry.segment() - self.tail.block as usize >= len as usize
    }

    fn is_tail_absent(&self) -> bool {
        self.tail.exists() && self.segment(self.tail.slot).evicted.is_some()
    }

    /// Ends the segment of the last absent block, so that what follows is in memory.
    pub(crate) fn leave_absent(&mut self) {
        if self.is_tail_absent() {
            let old = std::mem::replace(&mut self.tail, super::Tail::none());
            self.change_absent(old.slot, Evicted::shrink);
            self.release_if_dead(old.slot);
        }
    }

    /// Changes what is known of an absent segment, and counts its memory.
    fn change_absent(&mut self, slot: u32, change: impl FnOnce(&mut Evicted)) {
        let evicted = self.segment_mut(slot).evicted.as_mut().expect("it is absent");
        let before = evicted.bytes();
        change(evicted);
        let after = evicted.bytes();
        self.evicted_places = self.evicted_places - before + after;
    }

    fn open_absent(&mut self, rules: &Rc<Rules>) {
        let old = self.tail.slot;
        if self.is_tail_absent() {
            self.change_absent(old, Evicted::shrink);
        }
        let slot = self.take_slot();
        let sequence = self.take_sequence();
        self.places[slot as usize] = Place { base: std::ptr::null_mut(), stamp: super::FROZEN };
        let evicted = Evicted::absent(rules.clone());
        self.evicted_places += evicted.bytes();
        let segment = Segment { memory: None, evicted: Some(Box::new(evicted)), ..Segment::empty(sequence) };
        self.segments[slot as usize] = Some(segment);
        self.order.insert(sequence, slot);
        self.evicted += 1;
        self.tail = super::Tail { slot, ..super::Tail::none() };
        if old != u32::MAX {
            self.release_if_dead(old);
        }
    }
}

impl Evicted {
    fn absent(rules: Rc<Rules>) -> Evicted {
        Evicted { starts: Vec::new(), parts: Vec::new(), promised: Some((rules, Vec::new())) }
    }

    /// No block is going to be added.
    fn shrink(&mut self) {
        self.starts.shrink_to_fit();
        self.parts.shrink_to_fit();
        if let Some((_, promised)) = &mut self.promised {
            promised.shrink_to_fit();
        }
    }

    fn add(&mut self, start: u32, block: &Absent<'_>) {
        self.starts.push((start as usize / SECTOR) as u16);
        if let Some((_, promised)) = &mut self.promised {
            promised.push(block.promised);
        }
        let end = start + block.len;
        match self.parts.last_mut() {
            Some(last) if Rc::ptr_eq(&last.file, block.file) => last.end = end,
            _ => {
                let (offset, index) = (block.offset, block.index);
                self.parts.push(Part { start, end, file: block.file.clone(), offset, index });
            }
        }
    }
}
