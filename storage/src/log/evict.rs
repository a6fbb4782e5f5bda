//! Segments whose memory was given up: what is left of them is where their blocks lie in which files.
//!
//! A place without memory has a null base. Addresses keep naming it; whoever follows one to its bytes asks before.

use std::rc::Rc;
use std::sync::Arc;

use super::{Address, Log, Place, block};
use crate::disk::SECTOR;
use crate::file_index::check::Rules;
use crate::snapshot::DeltaFile;

/// A run of blocks of a segment in a file, one behind the other in both.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// In bytes from the segment's start.
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) file: Rc<DeltaFile>,
    /// Where the first block lies in the file, in bytes, and how many blocks precede it there.
    pub(crate) offset: u64,
    pub(crate) index: u32,
}

/// What is known of an evicted segment.
pub(crate) struct Evicted {
    /// Where blocks start, in sectors from the segment's start, ascending.
    pub(super) starts: Vec<u16>,
    /// By place, without a gap.
    pub(super) parts: Vec<Part>,
    /// If nobody has looked at the records of its blocks: the digest of each block's entries, and what is known of all.
    pub(super) promised: Option<(Rc<Rules>, Vec<u32>)>,
}

/// What an index has promised of blocks that lie one behind the other.
#[derive(Clone)]
pub(crate) struct Promise {
    pub(crate) rules: Rc<Rules>,
    /// The digest of each block's entries.
    pub(crate) digests: Vec<u32>,
}

impl std::fmt::Debug for Promise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.digests).finish()
    }
}

/// Blocks on disk that are read together.
pub(crate) struct Extent {
    pub(crate) start: u32,
    pub(crate) len: u32,
    pub(crate) file: Rc<DeltaFile>,
    pub(crate) offset: u64,
    pub(crate) index: u32,
    pub(crate) promise: Option<Promise>,
}

impl Evicted {
    /// Of a segment whose blocks start there.
    fn new(mut starts: Vec<u16>, mut parts: Vec<Part>) -> Evicted {
        starts.shrink_to_fit();
        parts.shrink_to_fit();
        Evicted { starts, parts, promised: None }
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let promised = self.promised.as_ref().map_or(0, |(_, digests)| digests.capacity() * size_of::<u32>());
        let starts = self.starts.capacity() * size_of::<u16>();
        size_of::<Evicted>() + starts + self.parts.capacity() * size_of::<Part>() + promised
    }

    /// The blocks from the one that holds a byte on, as many as fit into `most` bytes but at least one, and all in one
    /// file.
    fn extent(&self, at: u32, most: usize) -> Extent {
        let sector = (at as usize / SECTOR) as u16;
        let first = self.starts.partition_point(|&start| start <= sector) - 1;
        let start = u32::from(self.starts[first]) * SECTOR as u32;
        let part = self.parts.iter().find(|part| part.end > start).expect("parts leave no gap");
        let byte = |block: usize| match self.starts.get(block) {
            Some(&start) => (u32::from(start) * SECTOR as u32).min(part.end),
            None => part.end,
        };
        let mut next = first + 1;
        while byte(next) < part.end && (byte(next + 1) - start) as usize <= most {
            next += 1;
        }
        let of_blocks = |(rules, digests): &(Rc<Rules>, Vec<u32>)| Promise {
            rules: rules.clone(),
            digests: digests[first..next].to_vec(),
        };
        let before = self.starts.partition_point(|&s| u32::from(s) * (SECTOR as u32) < part.start);
        Extent {
            start,
            len: byte(next) - start,
            file: part.file.clone(),
            offset: part.offset + u64::from(start - part.start),
            index: part.index + (first - before) as u32,
            promise: self.promised.as_ref().map(of_blocks),
        }
    }
}

impl Log {
    /// Whether the record at an address is not in memory.
    #[inline]
    pub(crate) fn is_evicted(&self, address: Address) -> bool {
        self.places[self.slot_of(address) as usize].base.is_null()
    }

    /// Whether nobody has looked at the records of a segment since it was restored.
    pub(crate) fn is_unread(&self, slot: u32) -> bool {
        self.segment(slot).evicted.as_ref().is_some_and(|evicted| evicted.promised.is_some())
    }

    /// Where the block starts that holds a byte of an evicted segment.
    pub(crate) fn evicted_block_at(&self, slot: u32, at: u32) -> u32 {
        let evicted = self.segment(slot).evicted.as_ref().expect("only evicted segments are read");
        let after = evicted.starts.partition_point(|&start| start <= (at as usize / SECTOR) as u16);
        u32::from(evicted.starts[after - 1]) * SECTOR as u32
    }

    /// How many segments are not in memory.
    #[inline]
    pub(crate) fn evicted(&self) -> usize {
        self.evicted
    }

    /// Memory of what is known of those, in bytes: where their blocks lie, and what these must hold.
    pub(crate) fn evicted_places(&self) -> u64 {
        self.evicted_places as u64
    }

    /// The segments in memory, oldest first: sequence number and slot.
    pub(crate) fn resident(&self) -> impl DoubleEndedIterator<Item = (u64, u32)> {
        self.resident.iter().map(|sequence| (*sequence, self.order[sequence]))
    }

    /// Counts bytes of a segment that have become durable.
    pub(crate) fn count_durable(&mut self, sequence: u64, bytes: u32) {
        if let Some(&slot) = self.order.get(&sequence) {
            self.segment_mut(slot).durable += bytes;
        }
    }

    /// Whether a segment can be evicted: it is not the tail, all of it is durable, and nothing is writing it.
    pub(crate) fn is_evictable(&self, slot: u32) -> bool {
        let segment = self.segment(slot);
        let unshared = segment.memory.as_ref().is_some_and(|memory| Arc::strong_count(memory) == 1);
        slot != self.tail.slot && unshared && segment.durable == segment.end
    }

    /// Whether a write of some segment is still under way, so that it cannot be evicted.
    pub(crate) fn is_shared(&self) -> bool {
        let shared = |slot: u32| {
            let memory = self.segment(slot).memory.as_ref();
            slot != self.tail.slot && memory.is_some_and(|memory| Arc::strong_count(memory) > 1)
        };
        self.resident().any(|(_, slot)| shared(slot))
    }

    /// Gives the memory of an evictable segment up. `parts` say where it lies on disk, without a gap.
    pub(crate) fn evict(&mut self, slot: u32, parts: Vec<Part>) {
        debug_assert!(self.is_evictable(slot), "a segment was evicted that is not durable");
        let mut starts = Vec::new();
        let mut at = 0;
        while let Some(header) = self.block_at(slot, at) {
            starts.push((at as usize / SECTOR) as u16);
            at += header.len;
        }
        debug_assert!(
            parts.first().is_some_and(|part| part.start == 0)
                && parts.last().is_some_and(|part| part.end == at),
            "an evicted segment lies on disk as a whole"
        );
        self.places[slot as usize] = Place { base: std::ptr::null_mut(), stamp: super::FROZEN };
        let segment = self.segment_mut(slot);
        let memory = segment.memory.take().expect("it is evictable");
        let evicted = Evicted::new(starts, parts);
        let bytes = evicted.bytes();
        segment.evicted = Some(Box::new(evicted));
        let sequence = segment.sequence;
        self.resident.remove(&sequence);
        self.evicted += 1;
        self.evicted_places += bytes;
        self.keep_spare(memory);
    }

    /// Where the block with an evicted record lies, and up to `most` bytes of blocks behind it.
    pub(crate) fn extent(&self, slot: u32, at: u32, most: usize) -> Extent {
        let segment = self.segment(slot);
        let evicted = segment.evicted.as_ref().expect("only evicted segments are read");
        evicted.extent(at, most)
    }

    /// Makes a full segment immutable, so that it can be written.
    pub(crate) fn freeze(&mut self, slot: u32) {
        debug_assert!(slot != self.tail.slot, "the tail is still being filled");
        self.places[slot as usize].stamp = super::FROZEN;
    }

    /// The records of the block at an offset of a resident segment, the tail's open block included: where they start
    /// and end, and where the next block starts. `None` behind the last.
    pub(crate) fn records_at(&self, slot: u32, block: u32) -> Option<(u32, u32, u32)> {
        if slot == self.tail.slot && block >= self.segment(slot).end {
            let open = self.tail.block..self.tail.position;
            let records = (self.tail.block + block::HEADER as u32, self.tail.position, self.tail.position);
            return (open.len() > block::HEADER && block == open.start).then_some(records);
        }
        let header = self.closed_block_at(slot, block)?;
        Some((block + block::HEADER as u32, block + header.used, block + header.len))
    }
}
