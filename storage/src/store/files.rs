//! The durable delta files that hold live segments, oldest first.

use std::rc::Rc;

use crate::log::evict::Part;
use crate::log::pending::Ranges;
use crate::snapshot::DeltaFile;

/// As many files as are folded into one at least. A file is folded only with as much that is newer, so that a
/// byte is rewritten a few times at most while files are few: some ten, and one per doubling of their length.
const FOLD: usize = 8;
/// Longer files are never folded, in bytes.
const LONG: u64 = 16 << 20;

/// The files of a store.
#[derive(Default)]
pub(super) struct Files {
    live: Vec<LiveFile>,
}

/// A durable file, and what it holds of the log as it is in memory.
pub(super) struct LiveFile {
    pub(super) file: Rc<DeltaFile>,
    pub(super) spans: Vec<Span>,
    /// Whether something of it is not in memory any more, so that it cannot be written again.
    evicted: bool,
    /// Whether more spans will follow.
    open: bool,
}

/// Blocks that lie one behind the other in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The segment's sequence number.
    pub(super) sequence: u64,
    /// In bytes from the segment's start.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Where the first of them lies in the file, and how many blocks precede it there.
    pub(super) offset: u64,
    pub(super) index: u32,
}

/// Where ranges lie in the file that they were written to, one after the other.
pub(super) fn spans<'a>(ranges: impl Iterator<Item = (&'a (u64, u32), u32, u32)>) -> Vec<Span> {
    let (mut offset, mut index) = (0, 0);
    let place = |(&(sequence, start), end, blocks): (&(u64, u32), u32, u32)| {
        let span = Span { sequence, start, end, offset, index };
        offset += u64::from(end - start);
        index += blocks;
        span
    };
    ranges.map(place).collect()
}

/// Ranges as [`spans`] wants them.
pub(super) fn counted(ranges: &Ranges) -> impl Iterator<Item = (&(u64, u32), u32, u32)> {
    ranges.iter().map(|(at, range)| (at, range.end, range.blocks(at.1)))
}

impl Files {
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// Adds the newest file, unless nothing of it lives.
    pub(super) fn add(&mut self, file: DeltaFile, spans: Vec<Span>) {
        if !spans.is_empty() {
            self.live.push(LiveFile { file: Rc::new(file), spans, evicted: false, open: false });
        }
    }

    /// Adds the newest file before it is known what lives of it; [`Files::extend`] tells.
    pub(super) fn begin(&mut self, file: DeltaFile) {
        self.live.push(LiveFile { file: Rc::new(file), spans: Vec::new(), evicted: false, open: true });
    }

    /// The newest file, of which something is not going to be in memory.
    pub(super) fn leave_newest(&mut self) -> Option<Rc<DeltaFile>> {
        let newest = self.live.last_mut()?;
        newest.evicted = true;
        Some(newest.file.clone())
    }

    /// The index of the newest file is not to be read again.
    pub(super) fn mark_index_damaged(&mut self) {
        let newest = self.live.last_mut().map(|live| Rc::make_mut(&mut live.file));
        if let Some(index) = newest.and_then(|file| file.index.as_mut()) {
            index.damaged = true;
        }
    }

    /// All is known of the newest file; it goes if nothing of it lives.
    pub(super) fn end(&mut self) {
        if let Some(newest) = self.live.last_mut() {
            newest.open = false;
        }
        self.live.retain(|live| live.open || !live.spans.is_empty());
    }

    /// Adds a block behind the last span of the newest file, or begins another.
    pub(super) fn extend(&mut self, block: Span) {
        let Some(newest) = self.live.last_mut() else { return };
        match newest.spans.last_mut() {
            Some(last) if last.sequence == block.sequence && last.end == block.start => last.end = block.end,
            _ => newest.spans.push(block),
        }
    }

    /// Where a segment lies on disk, up to `end`, in order. Nothing if some of it does not. What it names is not
    /// written again from then on.
    pub(super) fn locate(&mut self, sequence: u64, end: u32) -> Option<Vec<Part>> {
        let mut parts = Vec::new();
        let mut next = 0;
        // A segment's blocks follow each other, also from file to file.
        for (number, live) in self.live.iter().enumerate() {
            let first = live.spans.partition_point(|span| span.sequence < sequence);
            for span in live.spans[first..].iter().take_while(|span| span.sequence == sequence) {
                if span.start != next {
                    return None;
                }
                next = span.end;
                let Span { start, end, offset, index, .. } = *span;
                parts.push((number, Part { start, end, file: live.file.clone(), offset, index }));
            }
        }
        if next != end {
            return None;
        }
        parts.iter().for_each(|(number, _)| self.live[*number].evicted = true);
        Some(parts.into_iter().map(|(_, part)| part).collect())
    }

    /// Forgets freed segments, and the files that held nothing else.
    pub(super) fn forget_segments(&mut self, mut freed: Vec<u64>) {
        freed.sort_unstable();
        self.live.retain_mut(|file| {
            file.spans.retain(|span| freed.binary_search(&span.sequence).is_err());
            file.open || !file.spans.is_empty()
        });
    }

    /// The newest files that one with `bytes` new ones should replace: none while they are few.
    pub(super) fn to_fold(&self, bytes: u64) -> &[LiveFile] {
        let mut newer = bytes;
        let small = self.live.iter().rev().take_while(|live| {
            let small = live.file.bytes <= newer.min(LONG) && !live.evicted;
            newer += live.file.bytes;
            small
        });
        let count = small.count();
        &self.live[self.live.len() - if count < FOLD { 0 } else { count }..]
    }

    /// The files before one, by epoch and part.
    pub(super) fn before(&self, first: (u64, u32)) -> impl Iterator<Item = &DeltaFile> {
        self.live.iter().map(|live| &*live.file).filter(move |file| (file.epoch, file.part) < first)
    }

    /// Removes the files from one on, by epoch and part.
    pub(super) fn remove_from(&mut self, first: (u64, u32)) {
        self.live.retain(|live| (live.file.epoch, live.file.part) < first);
    }
}
