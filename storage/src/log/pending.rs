//! The byte ranges that are not durable yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{block, record};
use crate::memory::Pages;

/// Whole blocks, one behind the other, in one segment.
#[derive(Clone)]
pub(crate) struct Range {
    pub(crate) memory: Arc<Pages>,
    /// End of the range, in bytes from the segment's start.
    pub(crate) end: u32,
    /// Whether an earlier write may still read these bytes, so that headers must be placed in a copy.
    pub(crate) shared: bool,
}

impl Range {
    /// How many blocks lie in it, from `start` on.
    pub(crate) fn blocks(&self, start: u32) -> u32 {
        let (mut at, mut blocks) = (start, 0);
        while at < self.end {
            // SAFETY: blocks lie one behind the other up to the range's end, each with its header, whose lengths
            // do not change.
            let header =
                unsafe { self.memory.as_ptr().add(at as usize).cast::<[u8; block::HEADER]>().read() };
            at += block::Header::decode(&header).len;
            blocks += 1;
        }
        blocks
    }

    /// The length of the block at `start`, and how many records lie in it.
    pub(crate) fn count_records(&self, start: u32) -> (u32, usize) {
        // SAFETY: as above.
        let at = unsafe { self.memory.as_ptr().add(start as usize) };
        // SAFETY: as above; the block's bytes do not change but for the rest of its header.
        let header = block::Header::decode(&unsafe { at.cast::<[u8; block::HEADER]>().read() });
        let (mut record, mut records) = (block::HEADER, 0);
        while record < header.used as usize {
            // SAFETY: records lie one behind the other up to `used`, each with its header, aligned.
            let word = unsafe { at.add(record).cast::<u64>().read() };
            record += record::Header::from_word(word).size();
            records += 1;
        }
        (header.len, records)
    }
}

/// Ranges by the segment's sequence number and their start: in log order.
pub(crate) type Ranges = BTreeMap<(u64, u32), Range>;

/// What the next checkpoint must write.
#[derive(Default)]
pub(crate) struct Pending {
    ranges: Ranges,
    /// The key of the range that the next block may continue.
    last: Option<(u64, u32)>,
}

impl Pending {
    pub(crate) fn add_block(&mut self, sequence: u64, start: u32, len: u32, memory: Arc<Pages>) {
        if let Some(range) = self.last.filter(|last| last.0 == sequence).and_then(|k| self.ranges.get_mut(&k))
            && range.end == start
        {
            range.end += len;
            return;
        }
        self.last = Some((sequence, start));
        self.ranges.insert((sequence, start), Range { memory, end: start + len, shared: false });
    }

    /// Everything that is pending; nothing is afterwards.
    pub(crate) fn take(&mut self) -> Ranges {
        self.last = None;
        std::mem::take(&mut self.ranges)
    }

    /// The ranges of segments up to one, which are pending no more.
    pub(crate) fn take_through(&mut self, sequence: u64) -> Ranges {
        let rest = self.ranges.split_off(&(sequence + 1, 0));
        self.last = self.last.filter(|last| last.0 > sequence);
        std::mem::replace(&mut self.ranges, rest)
    }

    /// Whether nothing is pending.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Forgets ranges that were written with others.
    pub(crate) fn remove(&mut self, at: (u64, u32)) {
        self.ranges.remove(&at);
    }

    /// Takes a range back whose write failed. It may be under way still.
    pub(crate) fn put_back(&mut self, at: (u64, u32), range: Range) {
        self.ranges.insert(at, Range { shared: true, ..range });
    }

    /// Forgets the ranges of a segment that is freed.
    pub(crate) fn forget(&mut self, sequence: u64) {
        while let Some((&at, _)) = self.ranges.range((sequence, 0)..=(sequence, u32::MAX)).next() {
            self.ranges.remove(&at);
        }
    }
}
