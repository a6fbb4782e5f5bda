//! Segments: allocation, accounting of what is live in them, and release.

use std::sync::Arc;

use super::evict::Evicted;
use super::pending::Range;
use super::{ADDRESS_BITS, Address, Log, Place, block};
use crate::memory::{HUGE_PAGE, Pages};

/// Freed segments kept for reuse: enough to smooth the turnover of windows, not enough to matter.
const SPARE: usize = 4;

/// What is known of a segment besides its memory's place.
pub(crate) struct Segment {
    /// Nothing once it was evicted.
    pub(crate) memory: Option<Arc<Pages>>,
    /// Where it lies on disk, once it was evicted.
    pub(crate) evicted: Option<Box<Evicted>>,
    pub(crate) sequence: u64,
    /// End of the last closed block, in bytes from the start.
    pub(crate) end: u32,
    /// Bytes of its blocks that are durable.
    pub(crate) durable: u32,
    /// Bytes of records that the index names.
    pub(crate) live: u32,
    /// Bytes of tombstones.
    pub(crate) tombstones: u32,
}

impl Segment {
    /// One that has neither memory nor a place on disk yet.
    pub(super) fn empty(sequence: u64) -> Segment {
        Segment { memory: None, evicted: None, sequence, end: 0, durable: 0, live: 0, tombstones: 0 }
    }
}

impl Log {
    /// Makes a new segment the tail. The old tail is freed at once if nothing in it lives.
    pub(super) fn open_segment(&mut self) {
        let old = self.tail.slot;
        let memory = self.spare.pop().unwrap_or_else(|| self.new_memory());
        let slot = self.take_slot();
        let sequence = self.take_sequence();
        self.places[slot as usize] = Place { base: memory.as_ptr(), stamp: self.generation };
        self.segments[slot as usize] = Some(Segment { memory: Some(memory), ..Segment::empty(sequence) });
        self.order.insert(sequence, slot);
        self.resident.insert(sequence);
        self.tail.slot = slot;
        self.tail.block = 0;
        self.tail.position = 0;
        self.tail.limit = 0;
        if old != u32::MAX {
            self.release_if_dead(old);
        }
    }

    pub(super) fn take_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| self.new_slot())
    }

    pub(super) fn take_sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence - 1
    }

    /// Small stores stay on small pages: their segment is touched page by page.
    fn new_memory(&self) -> Arc<Pages> {
        let segment = self.geometry.segment();
        Arc::new(Pages::mapped(segment, segment >= HUGE_PAGE && !self.order.is_empty()))
    }

    fn new_slot(&mut self) -> u32 {
        let slot = self.places.len();
        assert!(
            (slot as u64) < 1 << (ADDRESS_BITS - self.geometry.shift),
            "one store cannot address more than 2^{ADDRESS_BITS} bytes"
        );
        self.places.push(Place { base: std::ptr::null_mut(), stamp: super::FROZEN });
        self.segments.push(None);
        slot as u32
    }

    pub(crate) fn segment(&self, slot: u32) -> &Segment {
        self.segments[slot as usize]
            .as_ref()
            .expect("records and the order of the log name live segments only")
    }

    pub(crate) fn segment_mut(&mut self, slot: u32) -> &mut Segment {
        self.segments[slot as usize]
            .as_mut()
            .expect("records and the order of the log name live segments only")
    }

    /// Counts a record as live.
    #[inline]
    pub(crate) fn count_live(&mut self, address: Address, bytes: usize) {
        let slot = self.slot_of(address);
        self.segment_mut(slot).live += bytes as u32;
        self.live_bytes += bytes as u64;
    }

    /// Counts a tombstone. It keeps its segment until nothing older is left that it could hide.
    pub(crate) fn count_tombstone(&mut self, address: Address, bytes: usize) {
        let slot = self.slot_of(address);
        self.segment_mut(slot).tombstones += bytes as u32;
    }

    /// Counts `bytes` of records in a segment as dead, and frees what can be.
    #[inline]
    pub(crate) fn count_dead(&mut self, slot: u32, bytes: usize) {
        let segment = self.segment_mut(slot);
        segment.live -= bytes as u32;
        let dead = segment.live == 0;
        self.live_bytes -= bytes as u64;
        if dead {
            self.release_if_dead(slot);
        }
    }

    /// Frees a segment that nothing needs: no live record, and no tombstone unless it is the oldest. Freeing the
    /// oldest may allow the next.
    #[cold]
    pub(crate) fn release_if_dead(&mut self, slot: u32) {
        let segment = self.segment(slot);
        let oldest = self.order.first_key_value().is_some_and(|(_, first)| *first == slot);
        if slot == self.tail.slot || segment.live > 0 || (segment.tombstones > 0 && !oldest) {
            return;
        }
        self.free_segment(slot);
        while oldest
            && let Some((_, &next)) = self.order.first_key_value()
            && next != self.tail.slot
            && self.segment(next).live == 0
        {
            self.free_segment(next);
        }
    }

    fn free_segment(&mut self, slot: u32) {
        let segment = self.segments[slot as usize].take().expect("only live segments are freed");
        self.order.remove(&segment.sequence);
        self.resident.remove(&segment.sequence);
        if let Some(evicted) = &segment.evicted {
            self.evicted -= 1;
            self.evicted_places -= evicted.bytes();
        }
        self.pending.forget(segment.sequence);
        self.freed.push(segment.sequence);
        self.free.push(slot);
        self.places[slot as usize] = Place { base: std::ptr::null_mut(), stamp: super::FROZEN };
        if let Some(memory) = segment.memory {
            self.keep_spare(memory);
        }
    }

    /// Keeps memory for the next segments, unless enough is kept or somebody still reads it.
    pub(super) fn keep_spare(&mut self, mut memory: Arc<Pages>) {
        if self.spare.len() < SPARE && Arc::get_mut(&mut memory).is_some() {
            self.spare.push(memory);
        }
    }

    /// Gives the memory that is kept for the next segments back.
    pub(crate) fn drop_spare(&mut self) {
        self.spare.clear();
    }

    /// The sequence numbers of the segments freed since the last call.
    pub(crate) fn take_freed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.freed)
    }

    /// The oldest segment's sequence number and slot.
    pub(crate) fn oldest(&self) -> Option<(u64, u32)> {
        self.order.first_key_value().map(|(sequence, slot)| (*sequence, *slot))
    }

    /// Blocks of a live segment up to `end` that were written before: to be written again from a copy.
    pub(crate) fn range(&self, sequence: u64, end: u32) -> Range {
        let memory = self.segment(self.order[&sequence]).memory.clone();
        Range { memory: memory.expect("files of evicted segments are not folded"), end, shared: true }
    }

    /// The slot of the segment with this sequence number, if it is alive.
    pub(crate) fn slot_at(&self, sequence: u64) -> Option<u32> {
        self.order.get(&sequence).copied()
    }

    /// The live segments from a sequence number on, in the order of the log: number and slot.
    pub(crate) fn segments_from(&self, sequence: u64) -> impl Iterator<Item = (u64, u32)> {
        self.order.range(sequence..).map(|(sequence, slot)| (*sequence, *slot))
    }

    /// Whether a segment of this sequence number is alive.
    pub(crate) fn is_alive(&self, sequence: u64) -> bool {
        self.order.contains_key(&sequence)
    }

    /// Closes the tail segment and begins another.
    pub(crate) fn leave_tail(&mut self) {
        self.close_block();
        self.open_segment();
    }

    /// The header of the closed block at an offset of a segment that is not the tail, or `None` at its end.
    pub(crate) fn block_at(&self, slot: u32, offset: u32) -> Option<block::Header> {
        debug_assert!(slot != self.tail.slot, "the tail's blocks are still being written");
        self.closed_block_at(slot, offset)
    }

    /// As [`Log::block_at`], in the tail too.
    pub(super) fn closed_block_at(&self, slot: u32, offset: u32) -> Option<block::Header> {
        let segment = self.segment(slot);
        let memory = segment.memory.as_ref().expect("blocks of resident segments are looked at");
        if offset >= segment.end {
            return None;
        }
        // SAFETY: closed blocks lie one behind the other up to `end`, and begin with an initialised header. Its
        // lengths do not change; a flush on this same thread may fill in the rest.
        let bytes = unsafe { memory.as_ptr().add(offset as usize).cast::<[u8; block::HEADER]>().read() };
        Some(block::Header::decode(&bytes))
    }

    /// The address of a byte in a segment.
    pub(crate) fn address(&self, slot: u32, offset: u32) -> Address {
        u64::from(slot) << self.geometry.shift | u64::from(offset)
    }

    /// Whether the tail is this slot.
    pub(crate) fn is_tail(&self, slot: u32) -> bool {
        slot == self.tail.slot
    }

    /// Bytes of records that the index names.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Bytes of the log: full segments, and the tail up to its end.
    pub(crate) fn log_bytes(&self) -> u64 {
        match self.order.len() as u64 {
            segments if !self.tail.exists() => segments * self.geometry.segment() as u64,
            segments => (segments - 1) * self.geometry.segment() as u64 + u64::from(self.tail.position),
        }
    }

    /// Bytes of memory held for segments, spare ones included.
    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.resident.len() + self.spare.len()) as u64 * self.geometry.segment() as u64
    }
}
