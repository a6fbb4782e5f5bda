//! Compaction: the live records of a mostly dead segment move to the tail, and it is freed.
//!
//! The order of a key's records never changes: what moves is the newest, and it moves to the end. A tombstone cannot be
//! moved, as its key may have come back since; so a segment with tombstones is freed only when it is the oldest, where
//! whatever they could hide is gone already. Of the others the deadest is chosen, in memory or not.

use super::Store;
use super::fetch::{block_ends, parse};
use crate::disk::SECTOR;
use crate::expiry;
use crate::log::{Address, Log, block, record};
use crate::planted;
use crate::table::Table;

/// Logs shorter than this are not worth compacting, in bytes.
const NOT_WORTH_IT: u64 = 256 << 10;

/// The next record to look at, in the segment that is being compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The segment's sequence number.
    sequence: u64,
    /// The block, and the record in it, both in bytes from the segment's start.
    block: u32,
    record: u32,
}

/// How things were when compaction last began to move what lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    log: u64,
    live: u64,
    compacted: u64,
    added: u64,
}

impl Cursor {
    fn at_start(sequence: u64) -> Cursor {
        Cursor { sequence, block: 0, record: block::HEADER as u32 }
    }

    fn next_block(&mut self, block: u32) {
        self.block = block;
        self.record = block + block::HEADER as u32;
    }
}

impl Store {
    /// Keeps the store within its limits: evicts what memory is short of, and compacts when less than half of the log
    /// is alive, by looking at records worth up to about `budget` bytes. Returns how many bytes it dealt with; zero
    /// says that there is nothing to do now. Call it between batches. It may leave reads in [`Store::take_reads`].
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// let keys = || (0..50_000_u32).map(|n| n.to_le_bytes());
    /// for key in keys() {
    ///     store.put(table, stable_hash(&key), &key, &[0; 8])?;
    /// }
    /// for key in keys().skip(100) {
    ///     store.remove(table, stable_hash(&key), &key);
    /// }
    /// let before = store.stats();
    /// while store.maintain(64 << 10) > 0 {
    ///     // Between two calls the store does its work.
    /// }
    /// assert!(store.stats().log_bytes < before.log_bytes / 2);
    /// assert_eq!(store.len(table), 100);
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    pub fn maintain(&mut self, budget: usize) -> usize {
        self.settle_spill();
        let mut done = self.evict();
        // What moves to the tail takes memory, a segment at most before it is looked at again.
        let piece = self.config.segment_bytes;
        while done < budget && self.scanning.is_none() && self.has_room() && self.is_worth_compacting() {
            let Some(cursor) = self.compaction_cursor() else { break };
            let looked_at = self.compact(cursor, piece.min(budget - done));
            if looked_at == 0 {
                break;
            }
            done += looked_at;
        }
        done
    }

    /// Whether the log is mostly dead; or may be, for all that is known, as its records expire: then the oldest segment
    /// is looked through for every two that were added.
    fn is_worth_compacting(&mut self) -> bool {
        if self.is_sweep_due() {
            return true;
        }
        let enough = NOT_WORTH_IT.min(4 * self.config.segment_bytes as u64);
        // Records that hardly miss fitting two by two fill a little less than half of their segments, also when they have
        // just been compacted: there is nothing to gain then.
        let live = self.log.live_bytes();
        if self.log.log_bytes() <= enough + 2 * live + live / 4 {
            self.pass = None;
            return false;
        }
        !self.is_futile()
    }

    /// Whether all that lives was moved once and the log did not become shorter: with segments for a few records each, those
    /// that fit together badly fill less than half of them in any order. Until much has changed there is nothing to gain.
    fn is_futile(&mut self) -> bool {
        let two_segments = 2 * self.config.segment_bytes as u64;
        let now = Pass {
            log: self.log.log_bytes(),
            live: self.log.live_bytes(),
            compacted: self.compacted_bytes,
            added: self.appended_bytes + self.fetched_bytes,
        };
        let pass = *self.pass.get_or_insert(now);
        let all_moved = now.compacted - pass.compacted > now.live + two_segments;
        let has_changed =
            now.added >= pass.added + pass.live / 4 + two_segments || now.live < pass.live / 4 * 3;
        if all_moved && (has_changed || now.log + two_segments < pass.log) {
            self.pass = Some(now);
            return false;
        }
        all_moved
    }

    fn is_sweep_due(&self) -> bool {
        self.expires && self.appended_bytes + self.fetched_bytes >= self.sweep_at
    }

    /// Where compaction goes on. The tail is left for a new segment when nothing else is there.
    fn compaction_cursor(&mut self) -> Option<Cursor> {
        if let Some(cursor) = self.compaction.filter(|cursor| self.log.is_alive(cursor.sequence)) {
            return Some(cursor);
        }
        let (oldest, slot) = self.log.oldest()?;
        if self.log.is_tail(slot) {
            self.log.leave_tail();
            return self.log.oldest().filter(|first| first.0 == oldest).map(|_| Cursor::at_start(oldest));
        }
        let dead = |slot: u32| {
            let segment = self.log.segment(slot);
            segment.end.saturating_sub(segment.live)
        };
        let movable =
            |slot: u32| slot_is_free_of_tombstones(self, slot) || planted!(tombstone_compacted_early);
        let others = self.log.segments_from(oldest + 1).filter(|(_, slot)| !self.log.is_tail(*slot));
        let sweep = self.is_sweep_due();
        let deadest = others.filter(|(_, slot)| !sweep && movable(*slot)).max_by_key(|(_, slot)| dead(*slot));
        // The oldest has to go some day, and takes the tombstones of others with it: a little less dead will do.
        let chosen = deadest.filter(|(_, other)| dead(*other) > dead(slot) + dead(slot) / 2);
        Some(Cursor::at_start(chosen.map_or(oldest, |(sequence, _)| sequence)))
    }

    /// Moves live records from the cursor on; frees the segment at its end. Returns the bytes it looked at: none while
    /// they are on their way from disk.
    fn compact(&mut self, mut cursor: Cursor, budget: usize) -> usize {
        let slot = self.log.slot_at(cursor.sequence).expect("the cursor lies in a live segment");
        let evicted = self.log.segment(slot).evicted.is_some();
        let mut looked_at = 0;
        self.compaction = Some(cursor);
        while looked_at < budget {
            let ended = match evicted {
                true => self.compact_evicted_block(slot, &mut cursor),
                false => self.compact_block(slot, &mut cursor),
            };
            let Some(bytes) = ended else { return looked_at };
            if !self.log.is_alive(cursor.sequence) {
                self.compaction = None;
                self.sweep_at =
                    self.appended_bytes + self.fetched_bytes + 2 * self.config.segment_bytes as u64;
                return looked_at + bytes;
            }
            if bytes == 0 {
                self.end_compaction(slot);
                return looked_at.max(SECTOR);
            }
            looked_at += bytes;
            self.compaction = Some(cursor);
        }
        looked_at
    }

    fn end_compaction(&mut self, slot: u32) {
        let sequence = self.log.segment(slot).sequence;
        self.compaction = None;
        self.sweep_at = self.appended_bytes + self.fetched_bytes + 2 * self.config.segment_bytes as u64;
        if planted!(tombstone_compacted_early) {
            self.log.segment_mut(slot).tombstones = 0;
        }
        self.log.release_if_dead(slot);
        self.fetch.release_before((sequence + 1, 0));
    }

    /// The bytes of the block at the cursor, which is moved behind it; zero behind the last.
    fn compact_block(&mut self, slot: u32, cursor: &mut Cursor) -> Option<usize> {
        let Some(header) = self.log.block_at(slot, cursor.block) else { return Some(0) };
        let end = cursor.block + header.used;
        self.prefetch_records(slot, cursor.record, end);
        while cursor.record < end {
            let address = self.log.address(slot, cursor.record);
            cursor.record += self.log.header(address).size() as u32;
            self.move_if_live(address);
            if !self.log.is_alive(cursor.sequence) {
                break;
            }
        }
        cursor.next_block(cursor.block + header.len);
        Some(header.len as usize)
    }

    /// Asks for the lines of the index that say which records of a block live.
    fn prefetch_records(&self, slot: u32, mut at: u32, end: u32) {
        while at < end {
            let address = self.log.address(slot, at);
            let header = self.log.header(address);
            at += header.size() as u32;
            if let Some(table) = self.by_id.get(&header.table) {
                let table = self.tables[*table as usize].as_ref();
                table.iter().for_each(|table| table.index.prefetch_both(self.log.hash(address)));
            }
        }
    }

    /// As [`Store::compact_block`]; nothing while the block is on its way.
    fn compact_evicted_block(&mut self, slot: u32, cursor: &mut Cursor) -> Option<usize> {
        if cursor.block >= self.log.segment(slot).end {
            return Some(0);
        }
        let at = (cursor.sequence, cursor.block);
        let stretch = self.stretch();
        let alone = self.fetch.held.is_empty();
        self.hold(slot, cursor.block, stretch, alone);
        let first = match self.fetch.held_at(at) {
            Some((first, Some(_))) => first,
            _ => return None,
        };
        // Taken out while its records move, so that the store can change.
        let bytes = self.fetch.take_held((cursor.sequence, first));
        let (end, next) = block_ends(&bytes, (cursor.block - first) as usize);
        while ((cursor.record - first) as usize) < end && self.log.is_alive(cursor.sequence) {
            let at = (cursor.record - first) as usize;
            let address = self.log.address(slot, cursor.record);
            let (header, key, value) = parse(&bytes, at);
            cursor.record += header.size() as u32;
            self.move_evicted_if_live(address, header, key, value, &bytes[at..at + header.size()]);
        }
        let looked_at = next - (cursor.block - first) as usize;
        cursor.next_block(first + next as u32);
        self.fetch.put_held((cursor.sequence, first), bytes);
        self.fetch.release_before((cursor.sequence, cursor.block));
        Some(looked_at)
    }

    /// Moves a record of a resident segment to the tail, if it is the newest of its key.
    pub(super) fn move_if_live(&mut self, address: Address) {
        let Store { tables, by_id, log, compacted_bytes, clock, appended_bytes, .. } = self;
        let header = log.header(address);
        let table = by_id.get(&header.table).and_then(|slot| tables[*slot as usize].as_mut());
        let Some(table) = table.filter(|_| !header.is_tombstone()) else { return };
        let hash = log.hash(address);
        let Some((found, _)) = table.index.find(hash, |candidate| candidate == address) else { return };
        if planted!(compaction_drops_live) && hash.is_multiple_of(16) {
            table.index.remove(found);
            return table.forget(log, address);
        }
        let expired = table.layout.expires && expiry::expired(log.value(address), *clock);
        if expired && !table.has_parts(log, log.key(address), log.value(address)) {
            table.index.remove(found);
            let key = log.key(address).to_vec();
            *appended_bytes += bury(log, table, &key, address);
            return table.forget(log, address);
        }
        let new = log.append_copy(address);
        *compacted_bytes += header.size() as u64;
        table.index.replace(found, hash, new);
        table.supersede(log, address, new);
    }

    /// As [`Store::move_if_live`], for a record of an evicted segment that was read.
    pub(super) fn move_evicted_if_live(
        &mut self,
        address: Address,
        header: record::Header,
        key: &[u8],
        value: &[u8],
        bytes: &[u8],
    ) {
        let Store { tables, by_id, log, compacted_bytes, clock, appended_bytes, .. } = self;
        let table = by_id.get(&header.table).and_then(|slot| tables[*slot as usize].as_mut());
        let Some(table) = table.filter(|_| !header.is_tombstone()) else { return };
        let hash = crate::hash::stable_hash(key);
        let Some((found, _)) = table.index.find(hash, |candidate| candidate == address) else { return };
        if table.layout.expires && expiry::expired(value, *clock) && !table.has_parts(log, key, value) {
            table.index.remove(found);
            *appended_bytes += bury(log, table, key, address);
            return table.forget_sized(log, address, header.size());
        }
        let new = log.append_bytes(bytes);
        *compacted_bytes += header.size() as u64;
        table.index.replace(found, hash, new);
        table.moved(log, address, new, header.size());
    }
}

/// Appends a tombstone for an expired record, unless it lies in the oldest segment: before others, older records of its
/// key may still lie in files. Returns its size.
///
/// The expired record itself may come back at a restore, as long as other segments of its file live. Alone it is still
/// expired then; but a part that no head names any more must not be there when a new one gets its number.
fn bury(log: &mut Log, table: &Table, key: &[u8], expired: Address) -> u64 {
    let is_oldest = log.oldest().is_some_and(|(_, slot)| slot == log.slot_of(expired));
    if is_oldest && (!table.layout.parts || planted!(expired_part_unburied)) {
        return 0;
    }
    let tombstone = log.append_tombstone(table.id, key);
    let size = log.header(tombstone).size();
    log.count_tombstone(tombstone, size);
    size as u64
}

fn slot_is_free_of_tombstones(store: &Store, slot: u32) -> bool {
    store.log.segment(slot).tombstones == 0
}
