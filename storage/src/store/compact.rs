//! Compaction: the oldest segment's live records move to the tail, and it is freed.
//!
//! Always the oldest: whatever a tombstone there could hide is gone already, so tombstones are simply left behind.

use super::Store;
use crate::disk::SECTOR;
use crate::log::{Address, block};
use crate::planted;

/// Logs shorter than this are not worth compacting, in bytes.
const NOT_WORTH_IT: u64 = 256 << 10;

/// The next record to look at, in the oldest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The segment's sequence number.
    pub(super) sequence: u64,
    /// The block, and the record in it, both in bytes from the segment's start.
    pub(super) block: u32,
    pub(super) record: u32,
}

impl Store {
    /// Compacts when less than half of the log is alive: looks at records worth up to about `budget` bytes, and
    /// returns how many bytes it looked at. Zero says that there is nothing to do. Call it between batches.
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
        let mut done = 0;
        while done < budget && self.is_worth_compacting() {
            let Some(cursor) = self.oldest_cursor() else { break };
            done += self.compact(cursor, budget - done);
        }
        done
    }

    fn is_worth_compacting(&self) -> bool {
        let enough = NOT_WORTH_IT.min(4 * self.config.segment_bytes as u64);
        self.log.log_bytes() > enough + 2 * self.log.live_bytes()
    }

    /// Where compaction goes on. The tail is left for a new segment when nothing else is there.
    fn oldest_cursor(&mut self) -> Option<Cursor> {
        let (sequence, slot) = self.log.oldest()?;
        if self.log.is_tail(slot) {
            self.log.leave_tail();
            return self.log.oldest().filter(|oldest| oldest.0 == sequence).map(|_| self.cursor_at(sequence));
        }
        Some(self.cursor_at(sequence))
    }

    fn cursor_at(&self, sequence: u64) -> Cursor {
        let start = Cursor { sequence, block: 0, record: block::HEADER as u32 };
        self.compaction.filter(|cursor| cursor.sequence == sequence).unwrap_or(start)
    }

    /// Moves live records from the cursor on; frees the segment at its end. Returns the bytes it looked at.
    fn compact(&mut self, mut cursor: Cursor, budget: usize) -> usize {
        let slot = self.log.oldest().map(|oldest| oldest.1).expect("the cursor lies in the oldest segment");
        let mut looked_at = 0;
        while looked_at < budget {
            let Some(header) = self.log.block_at(slot, cursor.block) else {
                self.compaction = None;
                self.log.release_if_dead(slot);
                return looked_at.max(SECTOR);
            };
            let end = cursor.block + header.used;
            while cursor.record < end && looked_at < budget {
                let address = self.log.address(slot, cursor.record);
                let size = self.log.header(address).size();
                self.move_if_live(address, size);
                cursor.record += size as u32;
                looked_at += size;
                if !self.log.is_alive(cursor.sequence) {
                    self.compaction = None;
                    return looked_at;
                }
            }
            if cursor.record >= end {
                cursor.block += header.len;
                cursor.record = cursor.block + block::HEADER as u32;
            }
        }
        self.compaction = Some(cursor);
        looked_at
    }

    fn move_if_live(&mut self, address: Address, size: usize) {
        let Store { tables, by_id, log, compacted_bytes, .. } = self;
        let header = log.header(address);
        let table = by_id.get(&header.table).and_then(|slot| tables[*slot as usize].as_mut());
        let Some(table) = table.filter(|_| !header.is_tombstone()) else { return };
        let hash = log.hash(address);
        let Some((found, _)) = table.index.find(hash, |candidate| candidate == address) else { return };
        if planted!(compaction_drops_live) && hash.is_multiple_of(16) {
            table.index.remove(found);
            return table.forget(log, address);
        }
        let new = log.append_copy(address);
        *compacted_bytes += size as u64;
        table.index.replace(found, hash, new);
        table.supersede(log, address, new);
    }
}
