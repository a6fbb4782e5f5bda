//! What stays in memory whatever the limit: it is copied to the tail before its segment is evicted.
//!
//! Not while a checkpoint is read: what is appended then comes before later blocks of the checkpoint in the log, but
//! behind them on disk, and would hide what they say when it is read again. What was evicted meanwhile is brought back
//! afterwards.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use super::Store;
use super::fetch::{At, block_ends, parse};
use crate::disk::{Disk, SECTOR};
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
        let places = self.evicted_pinned();
        let mut rest = &places[..];
        while !rest.is_empty() {
            let asked = self.ask_for_pinned(&mut rest);
            self.perform_reads(reader).await?;
            for (sequence, at) in asked {
                if let Some(slot) = self.log.slot_at(sequence) {
                    self.bring_back(slot, sequence, at);
                }
            }
            self.fetch.release_before((u64::MAX, 0));
            self.make_room(disk, dir).await?;
        }
        Ok(())
    }

    /// The evicted blocks that hold something that must stay in memory, in the order of the log.
    fn evicted_pinned(&self) -> Vec<At> {
        let Some(from) = self.config.pinned_from else { return Vec::new() };
        let mut places = BTreeSet::new();
        for table in self.tables.iter().flatten().filter(|table| table.state >= from) {
            let visit = |address| {
                if self.log.is_evicted(address) {
                    let slot = self.log.slot_of(address);
                    let block = self.log.evicted_block_at(slot, self.log.offset_of(address));
                    places.insert((self.log.segment(slot).sequence, block));
                }
            };
            table.index.scan(0, usize::MAX, |_, _| Ordering::Equal, |_| (), visit);
        }
        places.into_iter().collect()
    }

    /// Asks for the first of some blocks, as many as there is memory for, and takes them off. Returns where reads begin.
    fn ask_for_pinned(&mut self, places: &mut &[At]) -> Vec<At> {
        let mut asked = Vec::new();
        while let Some(&(sequence, at)) = places.first() {
            let mut end = at + 1;
            if let Some(slot) = self.log.slot_at(sequence) {
                let most = self.stretch_of(places);
                let Some(held) = self.hold(slot, at, most, asked.is_empty()) else { break };
                asked.push((sequence, at));
                end = held;
            }
            *places = &places[places.partition_point(|place| *place < (sequence, end))..];
        }
        asked
    }

    /// How much to read at once where blocks are wanted, in bytes: a long stretch if it holds many of them.
    fn stretch_of(&self, places: &[At]) -> usize {
        let stretch = self.stretch();
        let (sequence, at) = places[0];
        let near = places
            .iter()
            .take_while(|place| place.0 == sequence && (place.1 - at) as usize + SECTOR <= stretch);
        let (count, last) = near.fold((0, at), |(count, _), place| (count + 1, place.1));
        let span = (last - at) as usize + self.config.block_bytes;
        if count * 4 * self.config.block_bytes >= span { span.min(stretch) } else { 0 }
    }

    /// Moves what must stay in memory out of the blocks that are held from a place on.
    fn bring_back(&mut self, slot: u32, sequence: u64, from: u32) {
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
        self.fetch.put_held((sequence, first), bytes);
    }
}
