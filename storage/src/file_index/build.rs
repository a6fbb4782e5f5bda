//! Gathering the index of a file while its blocks are written.

use super::{ENTRY, FORMAT, GROUP, entries_of};
use crate::disk::SECTOR;
use crate::log::block::{self, Header, Identity};
use crate::log::pending::Ranges;

/// Bytes of a block of an index, unless one block of records alone has more entries: what is lost of the index with a
/// damaged byte, and what is gathered before it is written.
const BLOCK: usize = 64 << 10;
/// An index is written if it is no longer than the blocks by this factor: of shorter records reading the index costs
/// nearly as much as reading the records, and writing it half as much again.
const WORTH: u64 = 8;

/// The index of a file, as far as it is not written yet.
pub(crate) struct Builder {
    seed: u64,
    /// The block that is being filled, with room for its header.
    block: Vec<u8>,
    /// The number of the first block of records that it tells of, and of the next one.
    first: u32,
    next: u32,
}

/// A block that is to be written.
pub(crate) struct Full {
    bytes: Vec<u8>,
    used: usize,
    first: u32,
    seed: u64,
}

impl Builder {
    pub(crate) fn new(seed: u64) -> Builder {
        Builder { seed, block: vec![0; block::HEADER], first: 0, next: 0 }
    }

    /// Adds the records of the next block. Returns a block of the index that is full.
    pub(crate) fn add(&mut self, records: &[u8]) -> Option<Full> {
        let start = self.block.len();
        self.block.extend_from_slice(&(records.len() as u32).to_le_bytes());
        self.block.extend_from_slice(&[0; 4]);
        entries_of(records, self.seed, &mut self.block).expect("the log holds whole records");
        let count = (self.block.len() - start - GROUP) / ENTRY;
        self.block[start + 4..start + GROUP].copy_from_slice(&(count as u32).to_le_bytes());
        let full = (self.block.len() > BLOCK && start > block::HEADER).then(|| {
            let group = self.block.split_off(start);
            let full = self.take();
            self.block.extend_from_slice(&group);
            full
        });
        self.next += 1;
        full
    }

    /// The last block, if anything was added since the one before it.
    pub(crate) fn finish(mut self) -> Option<Full> {
        (self.next > self.first).then(|| self.take())
    }

    fn take(&mut self) -> Full {
        let mut bytes = std::mem::replace(&mut self.block, vec![0; block::HEADER]);
        let used = bytes.len().next_multiple_of(8);
        bytes.resize(used.next_multiple_of(SECTOR), 0);
        let first = std::mem::replace(&mut self.first, self.next);
        Full { bytes, used, first, seed: self.seed }
    }
}

impl Full {
    /// The block, for a place in a file.
    pub(crate) fn place(self, identity: Identity) -> Vec<u8> {
        let Full { mut bytes, used, first, seed } = self;
        let header = Header { format: FORMAT, identity, ..Header::unplaced(bytes.len(), used) };
        bytes[..block::HEADER].copy_from_slice(&header.encode());
        bytes[52..56].copy_from_slice(&first.to_le_bytes());
        bytes[56..block::HEADER].copy_from_slice(&seed.to_le_bytes());
        let checksum = block::checksum(&bytes);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

/// Whether an index of what is to be written is worth its bytes, as far as the first block of each range tells.
pub(crate) fn is_worth_it(ranges: &Ranges) -> bool {
    let bytes: u64 = ranges.iter().map(|(at, range)| u64::from(range.end - at.1)).sum();
    let (mut seen, mut entries) = (0, 0);
    for ((_, start), range) in ranges {
        let (len, records) = range.count_records(*start);
        seen += u64::from(len);
        entries += (GROUP + records * ENTRY) as u64;
    }
    let expected = block::HEADER as u64 + bytes * entries / seen.max(1);
    expected.next_multiple_of(SECTOR as u64) * WORTH <= bytes
}
