//! Sealing: what a checkpoint of the store is, and what becomes of it.

use std::sync::Arc;

use super::Store;
use crate::log::pending::Ranges;
use crate::sealed::Sealed;
use crate::snapshot::{self, DeltaFile, StoreSnapshot, TableEntry};

/// The durable delta files that hold live segments, oldest first, and the one being written.
#[derive(Default)]
pub(super) struct Files {
    live: Vec<LiveFile>,
    in_flight: Option<InFlight>,
}

/// A durable file, and the segments that it holds blocks of.
struct LiveFile {
    file: DeltaFile,
    /// Sequence numbers, ascending.
    segments: Vec<u64>,
    /// How many of them are not freed.
    alive: usize,
}

struct InFlight {
    epoch: u64,
    ranges: Arc<Ranges>,
}

impl Files {
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// Adds a durable file with its segments that are alive.
    fn add(&mut self, file: DeltaFile, segments: Vec<u64>) {
        if !segments.is_empty() {
            let alive = segments.len();
            self.live.push(LiveFile { file, segments, alive });
        }
    }

    /// Drops the files of which no segment is left.
    fn forget_segments(&mut self, freed: &[u64]) {
        for sequence in freed {
            for file in &mut self.live {
                file.alive -= usize::from(file.segments.binary_search(sequence).is_ok());
            }
        }
        self.live.retain(|file| file.alive > 0);
    }
}

impl Store {
    /// Draws the line of a checkpoint: what was done before is in it, what is done after is not.
    ///
    /// It costs the same at any size of the state, but for listing tables and files. The bytes that are not
    /// durable yet are written by [`Sealed::write`] while the store goes on; then [`Store::flushed`] or
    /// [`Store::flush_failed`] must tell the store. If neither did before the next seal, the write counts as
    /// failed, and its bytes are written again.
    ///
    /// Epochs rise, and an epoch that failed is not used again: its file may exist.
    pub fn seal(&mut self, epoch: u64) -> Sealed {
        if let Some(unfinished) = self.files.in_flight.take() {
            self.put_back(&unfinished);
        }
        self.log.seal();
        self.drop_dead_files();
        let ranges = Arc::new(self.log.pending.take());
        self.files.in_flight = Some(InFlight { epoch, ranges: ranges.clone() });
        Sealed::new(self.snapshot(epoch), ranges)
    }

    /// Tells the store that the checkpoint of `epoch` is durable, and what [`Sealed::write`] returned for it.
    /// Ignored if that seal was given up meanwhile.
    pub fn flushed(&mut self, epoch: u64, snapshot: &StoreSnapshot) {
        let Some(flight) = self.files.in_flight.take_if(|flight| flight.epoch == epoch) else { return };
        let mut segments: Vec<u64> = flight.ranges.keys().map(|range| range.0).collect();
        segments.dedup();
        if let Some(file) = snapshot.files.last().filter(|_| !segments.is_empty()) {
            debug_assert_eq!(file.epoch, epoch, "another seal's snapshot came with this epoch");
            self.add_file(file.clone(), segments);
        }
    }

    /// Enters a durable file that holds blocks of these segments, in log order.
    pub(super) fn add_file(&mut self, file: DeltaFile, mut segments: Vec<u64>) {
        self.drop_dead_files();
        segments.retain(|sequence| self.log.is_alive(*sequence));
        self.files.add(file, segments);
    }

    /// Tells the store that the write of `epoch` failed or was given up: its bytes go into the next checkpoint.
    /// Ignored if that seal was given up already.
    pub fn flush_failed(&mut self, epoch: u64) {
        if let Some(failed) = self.files.in_flight.take_if(|flight| flight.epoch == epoch) {
            self.put_back(&failed);
        }
    }

    fn put_back(&mut self, failed: &InFlight) {
        for (at, range) in failed.ranges.iter() {
            if self.log.is_alive(at.0) {
                self.log.pending.put_back(*at, range.clone());
            }
        }
    }

    fn drop_dead_files(&mut self) {
        let freed = self.log.take_freed();
        self.files.forget_segments(&freed);
    }

    /// The snapshot of a seal, without the file that it is going to write.
    fn snapshot(&self, epoch: u64) -> StoreSnapshot {
        let tables = self.by_id.iter().filter_map(|(&id, &slot)| {
            let table = self.tables[slot as usize].as_ref()?;
            Some(TableEntry { id, state: table.state, namespace: table.namespace })
        });
        StoreSnapshot {
            format: snapshot::FORMAT,
            name: self.config.name.clone(),
            store_id: self.config.id,
            epoch,
            files: self.files.live.iter().map(|live| live.file.clone()).collect(),
            tables: tables.collect(),
            next_table: self.next_table,
            meta: self.meta.clone(),
        }
    }
}
