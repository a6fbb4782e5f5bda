//! What stays in memory whatever the limit: it is copied to the tail before its segment is evicted.
//!
//! Not while a checkpoint is read: what is appended then comes before later blocks of the checkpoint in the log, but
//! behind them on disk, and would hide what they say when it is read again. What was evicted meanwhile is brought back
//! afterwards.

use std::path::Path;
use std::rc::Rc;

use super::Store;
use super::fetch::{block_ends, parse};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::log::block;
use crate::read::Reader;

impl Store {
    fn is_pinned(&self, table: u32) -> bool {
        let state = self.by_id.get(&table).and_then(|at| self.tables[*at as usize].as_ref());
        self.config.pinned_from.is_some_and(|from| state.is_some_and(|table| table.state >= from))
    }

    /// Bytes of what must stay in memory.
    pub(super) fn pinned_bytes(&self) -> u64 {
        let Some(from) = self.config.pinned_from else { return 0 };
        self.tables
            .iter()
            .flatten()
            .filter(|table| table.state >= from)
            .map(|table| table.shares.total())
            .sum()
    }

    /// Whether a segment holds something that must stay in memory.
    fn holds_pinned(&self, slot: u32) -> bool {
        let Some(from) = self.config.pinned_from else { return false };
        self.tables.iter().flatten().any(|table| table.state >= from && table.shares.of(slot) > 0)
    }

    /// Copies what must stay in memory from a segment to the tail.
    pub(super) fn move_pinned(&mut self, slot: u32) {
        let sequence = self.log.segment(slot).sequence;
        let (mut block, mut record) = (0, block::HEADER as u32);
        while self.log.slot_at(sequence) == Some(slot)
            && self.holds_pinned(slot)
            && let Some((_, end, next)) = self.log.records_at(slot, block)
        {
            while record < end && self.log.slot_at(sequence) == Some(slot) {
                let address = self.log.address(slot, record);
                let header = self.log.header(address);
                if self.is_pinned(header.table) {
                    self.move_if_live(address);
                }
                record += header.size() as u32;
            }
            block = next;
            record = next + block::HEADER as u32;
        }
    }

    /// From now on states with numbers from this on stay in memory: what of them was evicted is read back.
    pub(super) async fn pin(
        &mut self,
        from: Option<u32>,
        reader: &Reader,
        disk: &Rc<dyn Disk>,
        dir: &Path,
    ) -> Result<(), StoreError> {
        self.config.pinned_from = from;
        let mut next = 0;
        while let Some((sequence, slot)) = self.next_evicted_pinned(next) {
            next = sequence + 1;
            let mut at = 0;
            while self.log.slot_at(sequence) == Some(slot) && at < self.log.segment(slot).end {
                let stretch = self.stretch();
                self.hold(slot, at, stretch, true);
                self.perform_reads(reader).await?;
                at = self.bring_back(slot, sequence, at);
                self.fetch.release_before((sequence, at));
            }
            self.make_room(disk, dir).await?;
        }
        Ok(())
    }

    fn next_evicted_pinned(&self, from: u64) -> Option<(u64, u32)> {
        let evicted = |slot: u32| self.log.segment(slot).evicted.is_some();
        self.log.segments_from(from).find(|(_, slot)| evicted(*slot) && self.holds_pinned(*slot))
    }

    /// Moves what must stay in memory out of the blocks that are held from a place on. Returns where they end.
    fn bring_back(&mut self, slot: u32, sequence: u64, from: u32) -> u32 {
        let Some((first, Some(_))) = self.fetch.held_at((sequence, from)) else {
            unreachable!("what was to be held was read, or the restore has failed");
        };
        let bytes = self.fetch.take_held((sequence, first));
        let mut block = (from - first) as usize;
        while block < bytes.len() {
            let (end, next) = block_ends(&bytes, block);
            let mut at = block + block::HEADER;
            while at < end {
                let (header, key, value) = parse(&bytes, at);
                if self.is_pinned(header.table) {
                    let address = self.log.address(slot, first + at as u32);
                    self.move_evicted_if_live(address, header, key, value, &bytes[at..at + header.size()]);
                }
                at += header.size();
            }
            block = next;
        }
        let end = first + bytes.len() as u32;
        self.fetch.put_held((sequence, first), bytes);
        end
    }
}
