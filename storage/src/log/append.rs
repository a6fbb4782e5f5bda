//! The tail of the log: blocks are opened, filled and closed here.

use super::record::{self, Header};
use super::{Address, Log, block};
use crate::disk::SECTOR;
use crate::planted;

/// The open block at the end of the log. Offsets are bytes in the tail segment.
pub(super) struct Tail {
    pub(super) slot: u32,
    /// Start of the open block, or of the next one if none is open.
    pub(super) block: u32,
    /// The next free byte; `block` if no block is open.
    pub(super) position: u32,
    /// End of the open block.
    pub(super) limit: u32,
}

impl Tail {
    pub(super) fn none() -> Tail {
        Tail { slot: u32::MAX, block: 0, position: 0, limit: 0 }
    }

    pub(super) fn exists(&self) -> bool {
        self.slot != u32::MAX
    }
}

impl Log {
    /// Appends a record with a key and a value of zeros, and returns its address.
    ///
    /// The caller has checked the lengths. The record is not counted as live yet.
    #[inline]
    pub(crate) fn append(&mut self, table: u32, key: &[u8], value_len: usize) -> Address {
        let address = self.reserve(record::size(key.len(), value_len));
        let start = self.pointer(address).cast::<u64>();
        let key_words = key.len().div_ceil(8);
        // SAFETY: `reserve` gave `size` fresh bytes above the seal line: a header word, the key's words, the
        // value's words. The last word of the key is zeroed before the key's bytes overwrite its beginning.
        unsafe {
            start.write(Header::new(table, key.len(), value_len).word());
            if !key.len().is_multiple_of(8) {
                start.add(key_words).write(0);
            }
            let key_start = start.add(1).cast::<u8>();
            key_start.copy_from_nonoverlapping(key.as_ptr(), key.len());
            start.add(1 + key_words).write_bytes(0, value_len.div_ceil(8));
        }
        address
    }

    /// Appends a tombstone for a key.
    pub(crate) fn append_tombstone(&mut self, table: u32, key: &[u8]) -> Address {
        let address = self.append(table, key, 0);
        self.bury_in_place(address);
        address
    }

    /// Appends a copy of a record.
    pub(crate) fn append_copy(&mut self, from: Address) -> Address {
        let size = self.header(from).size();
        let to = self.reserve(size);
        // SAFETY: the source is a live record of `size` bytes in memory, the target `size` fresh bytes.
        unsafe { self.pointer(to).copy_from_nonoverlapping(self.pointer(from), size) }
        to
    }

    /// Appends a record as it was read back.
    pub(crate) fn append_bytes(&mut self, record: &[u8]) -> Address {
        let to = self.reserve(record.len());
        // SAFETY: the target is as many fresh bytes.
        unsafe { self.pointer(to).copy_from_nonoverlapping(record.as_ptr(), record.len()) }
        to
    }

    /// Room for a record at the tail.
    #[inline]
    fn reserve(&mut self, size: usize) -> Address {
        if self.tail.position as usize + size > self.tail.limit as usize {
            self.open_block(size);
        }
        let address = u64::from(self.tail.slot) << self.geometry.shift | u64::from(self.tail.position);
        self.tail.position += size as u32;
        address
    }

    /// Closes the open block and opens one with room for a record of `size` bytes.
    #[cold]
    #[inline(never)]
    fn open_block(&mut self, size: usize) {
        self.close_block();
        let segment = self.geometry.segment();
        let needed = block::HEADER + size;
        assert!(needed <= segment, "records larger than a segment are refused before they are appended");
        if !self.tail.exists() || segment - (self.tail.block as usize) < needed {
            self.open_segment();
        }
        let wanted = needed.next_multiple_of(SECTOR).max(self.geometry.block);
        self.tail.position = self.tail.block + block::HEADER as u32;
        self.tail.limit = (self.tail.block as usize + wanted).min(segment) as u32;
    }

    /// Closes the open block, if it holds a record: rounds it up to whole sectors, and makes it pending.
    pub(super) fn close_block(&mut self) {
        let start = self.tail.block as usize;
        let used = (self.tail.position as usize).saturating_sub(start);
        self.tail.limit = 0;
        self.tail.position = self.tail.block;
        if used <= block::HEADER {
            return;
        }
        let len = used.next_multiple_of(SECTOR);
        let header = block::Header::unplaced(len, used).encode();
        let base = self.places[self.tail.slot as usize].base;
        // SAFETY: the block lies in the tail segment, above the seal line; its records end at `used`.
        unsafe {
            base.add(start).copy_from_nonoverlapping(header.as_ptr(), header.len());
            base.add(start + used).write_bytes(0, len - used);
        }
        let end = (start + len) as u32;
        self.tail.block = end;
        self.tail.position = end;
        let segment = self.segment_mut(self.tail.slot);
        segment.end = end;
        let (sequence, memory) = (segment.sequence, segment.memory.clone().expect("the tail is in memory"));
        self.pending.add_block(sequence, start as u32, len as u32, memory);
    }

    /// Appends a block that is durable already, as it was read back and verified. Returns the sequence number of
    /// its segment, and the address of the block's start.
    pub(crate) fn adopt_block(&mut self, bytes: &[u8]) -> (u64, Address) {
        self.close_block();
        let segment = self.geometry.segment();
        assert!(bytes.len() <= segment, "blocks larger than a segment are refused before they are adopted");
        if !self.tail.exists() || segment - (self.tail.block as usize) < bytes.len() {
            self.open_segment();
        }
        let (slot, start) = (self.tail.slot, self.tail.block);
        // SAFETY: the tail segment has room for the block, and nothing else lies there.
        unsafe {
            let target = self.places[slot as usize].base.add(start as usize);
            target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        let end = start + bytes.len() as u32;
        (self.tail.block, self.tail.position) = (end, end);
        let segment = self.segment_mut(slot);
        segment.end = end;
        (segment.sequence, self.address(slot, start))
    }

    /// Closes the tail block and moves the seal line to the end of the log: nothing below it changes any more.
    pub(crate) fn seal(&mut self) {
        self.close_block();
        if planted!(seal_line_stays) {
            return;
        }
        self.generation += 1 << super::STAMP_BITS;
        if self.tail.exists() {
            let stamp = self.generation | u64::from(self.tail.block);
            self.places[self.tail.slot as usize].stamp = stamp;
        }
    }
}
