//! The durable delta files that hold live segments, oldest first.

use crate::log::pending::Range;
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
    pub(super) file: DeltaFile,
    pub(super) spans: Vec<Span>,
}

/// Blocks that lie one behind the other in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The segment's sequence number.
    pub(super) sequence: u64,
    /// In bytes from the segment's start.
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn of((sequence, start): (u64, u32), range: &Range) -> Span {
        Span { sequence, start, end: range.end }
    }
}

impl Files {
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// Adds the newest file, unless nothing of it lives in memory.
    pub(super) fn add(&mut self, file: DeltaFile, spans: Vec<Span>) {
        if !spans.is_empty() {
            self.live.push(LiveFile { file, spans });
        }
    }

    /// Forgets freed segments, and the files that held nothing else.
    pub(super) fn forget_segments(&mut self, mut freed: Vec<u64>) {
        freed.sort_unstable();
        self.live.retain_mut(|file| {
            file.spans.retain(|span| freed.binary_search(&span.sequence).is_err());
            !file.spans.is_empty()
        });
    }

    /// The newest files that one with `bytes` new ones should replace: none while they are few.
    pub(super) fn to_fold(&self, bytes: u64) -> &[LiveFile] {
        let mut newer = bytes;
        let small = self.live.iter().rev().take_while(|live| {
            let small = live.file.bytes <= newer.min(LONG);
            newer += live.file.bytes;
            small
        });
        let count = small.count();
        &self.live[self.live.len() - if count < FOLD { 0 } else { count }..]
    }

    /// The files of epochs before one.
    pub(super) fn before(&self, epoch: u64) -> impl Iterator<Item = &DeltaFile> {
        self.live.iter().map(|live| &live.file).filter(move |file| file.epoch < epoch)
    }

    /// Removes the files from an epoch on.
    pub(super) fn remove_from(&mut self, epoch: u64) {
        self.live.retain(|live| live.file.epoch < epoch);
    }
}
