//! The byte ranges that are not durable yet.

use std::collections::BTreeMap;
use std::sync::Arc;

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
