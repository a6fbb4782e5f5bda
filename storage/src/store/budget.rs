//! A limit of memory: the oldest segments are written ahead of checkpoints, and evicted once they are durable.
//!
//! The newest half of the segments that fit stays mutable, so that what is hot is changed where it lies. Older ones
//! are frozen, written together, and then evictable. What cannot be evicted yet holds the owner up:
//! [`Store::has_room`].

use super::Store;
use crate::disk::SECTOR;
use crate::log::block;
use crate::planted;
use crate::spill::Spill;
use crate::table::Table;

/// Bytes that are written together at most: enough to make a file worth its sync, and files so few that most of them
/// can stay open to be read.
const TOGETHER: usize = 16 << 20;
/// A store needs as many segments besides its index: one to fill, one to write, one to evict, one to spare.
const LEAST: u64 = 4;

/// What must be in memory has outgrown the limit: the index, and the states that are never evicted.
///
/// ```
/// use millstream_storage::store::OverBudget;
/// # use millstream_storage::hash::stable_hash;
/// # use millstream_storage::store::{Store, StoreConfig};
/// # let small = StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("counts", 1) };
///
/// let mut store = Store::new(StoreConfig { budget: Some(16 << 20), ..small });
/// let table = store.create_table(0, 0);
/// for n in 0..50_000_u32 {
///     store.put(table, stable_hash(&n.to_le_bytes()), &n.to_le_bytes(), &[0; 100])?;
/// }
/// assert_eq!(store.check_budget(), Ok(()));
/// assert!(store.least_bytes() < store.wanted_bytes(), "less would do, if most of the log was evicted");
///
/// store.set_budget(Some(100 << 10));
/// let refused: OverBudget = store.check_budget().unwrap_err();
/// assert!(refused.index > 100 << 10);
/// store.set_budget(None);
/// assert!(!store.is_limited() && store.check_budget().is_ok());
/// # Ok::<(), millstream_storage::store::TooLarge>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the index takes {index} bytes, and timers take {pinned}, which leaves too little of a budget of {budget} bytes \
     for records: keys are always indexed in memory; allow more memory, or use more cores"
)]
pub struct OverBudget {
    /// Memory of the indexes, and of what is known of evicted blocks.
    pub index: u64,
    /// Bytes of the states that are never evicted.
    pub pinned: u64,
    /// The limit.
    pub budget: u64,
}

impl Store {
    /// Changes the limit of memory. None is never reached; a smaller one is reached as segments are evicted.
    pub fn set_budget(&mut self, bytes: Option<u64>) {
        self.config.budget = bytes;
        self.leave_room(self.headroom);
    }

    /// Memory in use: segments, spare ones, indexes, what is known of evicted blocks, and reads that are under way or held.
    pub fn memory_bytes(&self) -> u64 {
        self.log.memory_bytes() + self.fixed_bytes()
    }

    /// What could be used if memory were without limit: the log that is worth keeping, and the indexes.
    pub fn wanted_bytes(&self) -> u64 {
        self.log.log_bytes() + self.fixed_bytes() + 2 * self.config.segment_bytes as u64
    }

    /// The least that the store can live with.
    pub fn least_bytes(&self) -> u64 {
        self.known_bytes() + self.pinned_bytes() + (LEAST + 4) * self.config.segment_bytes as u64
    }

    /// State on disk instead of in memory.
    pub fn evicted_bytes(&self) -> u64 {
        self.log.evicted() as u64 * self.config.segment_bytes as u64
    }

    fn fixed_bytes(&self) -> u64 {
        self.known_bytes() + self.fetch.bytes()
    }

    /// Memory of what tells where records are: of the indexes, and of what is known of evicted blocks.
    fn known_bytes(&self) -> u64 {
        self.index_bytes() + self.log.evicted_places()
    }

    /// Memory of the indexes, at a cost per table.
    pub(super) fn index_bytes(&self) -> u64 {
        self.tables.iter().flatten().map(|table| table.index.bytes() as u64).sum()
    }

    /// Whether a batch may be worked on: there is memory for what it may add. If not, something is being written;
    /// [`Store::maintain`] sees to it, and the owner waits.
    pub fn has_room(&self) -> bool {
        let segment = self.config.segment_bytes as u64;
        self.config.budget.is_none_or(|budget| self.memory_bytes() + segment + self.headroom <= budget)
    }

    /// How much the work on one key may add, in bytes: [`Store::has_room`] then asks for so much more than a segment, up
    /// to an eighth of the limit.
    ///
    /// ```
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let small = StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("counts", 1) };
    /// let mut store = Store::new(StoreConfig { budget: Some(1 << 20), ..small });
    /// store.leave_room(1 << 20);
    /// assert!(store.has_room());
    /// ```
    pub fn leave_room(&mut self, bytes: u64) {
        self.headroom = bytes.min(self.config.budget.unwrap_or(0) / 8);
    }

    /// How many keys of the usual size fill a segment, if all of their states are written: no more than these are to be
    /// worked on before [`Store::has_room`] is asked again. At least one.
    ///
    /// ```
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// let store = Store::new(StoreConfig::new("counts", 1));
    /// assert!(store.has_room() && store.records_per_segment() >= 1);
    /// ```
    pub fn records_per_segment(&self) -> usize {
        let (mut of_key, mut last) = (0, None);
        for ((state, _), id) in &self.by_name {
            let of_table = self.usual_size(self.table_ref(*id));
            // Of a state's windows a record is in one: the largest counts.
            match last.replace((*state, of_table)) {
                Some((before, size)) if before == *state => {
                    of_key += of_table.saturating_sub(size);
                    last = Some((*state, of_table.max(size)));
                }
                _ => of_key += of_table,
            }
        }
        (self.config.segment_bytes / of_key.max(1)).max(1)
    }

    /// What a record of a table takes in a segment, in bytes: long ones fill blocks of their own.
    fn usual_size(&self, table: &Table) -> usize {
        let size = (table.shares.total() / table.index.len().max(1) as u64) as usize;
        match size > self.config.block_bytes / 2 {
            true => (size + block::HEADER).next_multiple_of(SECTOR),
            false => size,
        }
    }

    /// The limit of memory, if there is one.
    ///
    /// ```
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// assert_eq!(Store::new(StoreConfig::new("counts", 1)).budget(), None);
    /// ```
    pub fn budget(&self) -> Option<u64> {
        self.config.budget
    }

    /// Whether there is a limit of memory.
    pub fn is_limited(&self) -> bool {
        self.config.budget.is_some()
    }

    /// Whether something is being written: a checkpoint's share, or segments ahead of one.
    pub fn is_writing(&mut self) -> bool {
        self.settle_spill();
        self.spilling.is_some() || self.in_flight.is_some()
    }

    /// Whether a write that was given up has not ended yet, and so holds memory that could else be evicted. Nobody tells
    /// when it has: ask again.
    ///
    /// ```
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// let store = Store::new(StoreConfig::new("counts", 1));
    /// assert!(!store.is_held());
    /// ```
    pub fn is_held(&self) -> bool {
        self.log.is_shared()
    }

    /// Whether the budget can hold the indexes, what is never evicted, and a few segments at all.
    ///
    /// # Errors
    /// If not: no waiting helps.
    pub fn check_budget(&self) -> Result<(), OverBudget> {
        let Some(budget) = self.config.budget else { return Ok(()) };
        let (index, pinned) = (self.known_bytes(), self.pinned_bytes());
        let least = index + pinned + LEAST * self.config.segment_bytes as u64;
        if least > budget { Err(OverBudget { index, pinned, budget }) } else { Ok(()) }
    }

    /// How many segments fit beside everything else.
    fn capacity(&self, budget: u64) -> usize {
        (budget.saturating_sub(self.fixed_bytes()) / self.config.segment_bytes as u64) as usize
    }

    /// Evicts the oldest segments until there is memory for two more, and for reads. Returns the bytes that were given
    /// up.
    pub(super) fn evict(&mut self) -> usize {
        let Some(budget) = self.config.budget else { return 0 };
        let segment = self.config.segment_bytes as u64;
        let mut given_up = 0;
        let free = |store: &Store| 2 * segment + store.unread() + store.headroom;
        while self.memory_bytes() + free(self) > budget {
            self.log.drop_spare();
            if self.memory_bytes() + free(self) <= budget || !self.evict_oldest() {
                break;
            }
            self.log.drop_spare();
            given_up += segment as usize;
        }
        given_up
    }

    /// Evicts one segment. False if none can be.
    pub(super) fn evict_oldest(&mut self) -> bool {
        let Some((sequence, slot)) = self.log.resident().find(|(_, slot)| self.log.is_evictable(*slot))
        else {
            return false;
        };
        self.drop_dead_files();
        self.move_pinned(slot);
        if self.log.slot_at(sequence) != Some(slot) {
            // Nothing but what was moved had kept it.
            return true;
        }
        let parts = self.files.locate(sequence, self.log.segment(slot).end);
        debug_assert!(parts.is_some(), "a durable segment lies in files, in the order of the log");
        let Some(parts) = parts else { return false };
        self.log.evict(slot, parts);
        self.evictions += 1;
        self.fetch.forget_absent();
        true
    }

    /// The next segments that are to be written ahead of a checkpoint, if there are any: to be written in the
    /// background by [`Spill::write`]. One spill is under way at a time, and none while a checkpoint is being written.
    ///
    /// Without a budget nothing is written ahead: as long as records can change where they lie, every checkpoint writes
    /// each of them at most once.
    pub fn spill(&mut self) -> Option<Spill> {
        self.settle_spill();
        let budget = self.config.budget?;
        if self.spilling.is_some() || self.in_flight.is_some() || self.log.pending.is_empty() {
            return None;
        }
        let (capacity, resident) = (self.capacity(budget), self.log.resident().count());
        // The newest half may still change where it lies; when memory is out, only the tail.
        let mutable = if self.has_room() { (capacity / 2).max(2) } else { 1 };
        let together = (TOGETHER / self.config.segment_bytes).max(1);
        let count = resident.saturating_sub(mutable).min(together.min(capacity / 4).max(1));
        let dirty: Vec<(u64, u32)> = {
            let (log, older) = (&self.log, resident.saturating_sub(mutable));
            let not_durable = |slot: &u32| log.segment(*slot).durable < log.segment(*slot).end;
            log.resident().take(older).filter(|(_, slot)| not_durable(slot)).take(count).collect()
        };
        // A few at a time: a sync for every segment would cost more than it frees.
        let enough = (capacity / 8).clamp(1, together);
        if dirty.is_empty() || (dirty.len() < enough && self.memory_bytes() + self.headroom() <= budget) {
            return None;
        }
        let last = dirty.last().map_or(0, |(sequence, _)| *sequence);
        dirty.iter().filter(|_| !planted!(spill_not_frozen)).for_each(|(_, slot)| self.log.freeze(*slot));
        let ranges = self.log.pending.take_through(last);
        debug_assert!(ranges.keys().all(|at| self.log.is_alive(at.0)), "freed segments are not pending");
        if ranges.is_empty() {
            return None;
        }
        self.part += 1;
        let id = (self.last_epoch.unwrap_or(0), self.part);
        let spill = Spill::new(self.config.name.clone(), (self.config.id, self.seed), id, ranges);
        self.spilling = Some(spill.ticket());
        Some(spill)
    }

    /// Memory that should be free before the next segments are written.
    fn headroom(&self) -> u64 {
        4 * self.config.segment_bytes as u64 + self.unread() + self.headroom
    }

    /// Takes notice of what became of the spill.
    pub(super) fn settle_spill(&mut self) {
        let Some(outcome) = self.spilling.as_ref().and_then(crate::spill::Ticket::poll) else { return };
        let ticket = self.spilling.take().expect("it had an outcome");
        match outcome {
            Ok(file) => {
                for (at, range) in ticket.ranges.iter() {
                    self.log.count_durable(at.0, range.end - at.1);
                }
                self.written_bytes += file.file_bytes();
                self.failed_spills = 0;
                let spans = super::files::spans(super::files::counted(&ticket.ranges));
                self.add_file(file, spans);
            }
            Err(ranges) => {
                self.failed_spills += 1;
                if planted!(failed_spill_forgotten) {
                    return;
                }
                for (at, range) in ranges.iter() {
                    if self.log.is_alive(at.0) {
                        self.log.pending.put_back(*at, range.clone());
                    }
                }
            }
        }
    }

    /// How many spills in a row have failed.
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # use millstream_storage::disk::{StdDisk, block_on};
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let dir = tempfile::tempdir()?;
    /// # let small = StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("counts", 1) };
    /// # let mut store = Store::new(StoreConfig { budget: Some(1 << 20), ..small });
    /// # let table = store.create_table(0, 0);
    /// # let mut next = 0_u32;
    /// while store.has_room() {
    ///     let key = next.to_le_bytes();
    ///     store.put(table, stable_hash(&key), &key, &[0; 100])?;
    ///     next += 1;
    /// }
    /// let spill = store.spill().expect("the memory is used up");
    /// assert!(store.is_writing());
    /// drop(spill);
    /// assert_eq!(store.failed_spills(), 1);
    ///
    /// let again = store.spill().expect("it is still to be written");
    /// block_on(again.write(Rc::new(StdDisk), dir.path().to_owned()))?;
    /// assert_eq!((store.failed_spills(), store.is_writing()), (0, false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn failed_spills(&mut self) -> u32 {
        self.settle_spill();
        self.failed_spills
    }
}
