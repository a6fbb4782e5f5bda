//! One table: an index, and how many of its bytes live in which segment.

use crate::index::Index;
use crate::log::{Address, Log};

/// A table of a store: its keys are its own, and it is dropped as a whole. Valid for the store that gave it, until
/// the table is dropped.
///
/// ```
/// use millstream_storage::store::{Store, StoreConfig, TableId};
///
/// let mut store = Store::new(StoreConfig::new("counts", 1));
/// let table: TableId = store.create_table(0, 0);
/// assert_eq!(store.table(0, 0), Some(table));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    /// Where the store keeps it.
    pub(crate) slot: u32,
    /// Its number in the log, never used twice.
    pub(crate) id: u32,
}

pub(crate) struct Table {
    pub(crate) id: u32,
    pub(crate) state: u32,
    pub(crate) namespace: i64,
    pub(crate) index: Index,
    pub(crate) shares: Shares,
}

impl Table {
    pub(crate) fn new(id: u32, state: u32, namespace: i64) -> Table {
        Table { id, state, namespace, index: Index::new(), shares: Shares::default() }
    }

    /// Enters a record that was just appended for an absent key.
    #[inline]
    pub(crate) fn enter(&mut self, log: &mut Log, hash: u64, address: Address) {
        let bytes = log.header(address).size();
        log.count_live(address, bytes);
        self.shares.add(log.slot_of(address), bytes);
        let prefetch = |address| crate::prefetch::read(log.pointer(address));
        self.index.insert(hash, address, |address| log.hash(address), prefetch);
    }

    /// Counts the record at `old` as dead, and the one at `new`, which took its place, as live.
    pub(crate) fn supersede(&mut self, log: &mut Log, old: Address, new: Address) {
        let bytes = log.header(new).size();
        log.count_live(new, bytes);
        self.shares.add(log.slot_of(new), bytes);
        self.forget(log, old);
    }

    /// Counts the record at `address` as dead.
    pub(crate) fn forget(&mut self, log: &mut Log, address: Address) {
        let bytes = log.header(address).size();
        let slot = log.slot_of(address);
        self.shares.subtract(slot, bytes);
        log.count_dead(slot, bytes);
    }
}

/// Live bytes of one table per segment slot, so that dropping the table need not look at its records.
#[derive(Default)]
pub(crate) struct Shares {
    /// (slot, bytes), by slot. A table lies in few segments, or has many records per segment.
    shares: Vec<(u32, u32)>,
    /// Where the last one was found: mostly the tail.
    recent: usize,
}

impl Shares {
    #[inline]
    fn add(&mut self, slot: u32, bytes: usize) {
        match self.shares.get_mut(self.recent) {
            Some(share) if share.0 == slot => share.1 += bytes as u32,
            _ => self.add_elsewhere(slot, bytes),
        }
    }

    #[cold]
    fn add_elsewhere(&mut self, slot: u32, bytes: usize) {
        self.recent = self.shares.partition_point(|share| share.0 < slot);
        match self.shares.get_mut(self.recent) {
            Some(share) if share.0 == slot => share.1 += bytes as u32,
            _ => self.shares.insert(self.recent, (slot, bytes as u32)),
        }
    }

    #[inline]
    fn subtract(&mut self, slot: u32, bytes: usize) {
        let at = match self.shares.get(self.recent) {
            Some(share) if share.0 == slot => self.recent,
            _ => self.shares.partition_point(|share| share.0 < slot),
        };
        self.shares[at].1 -= bytes as u32;
    }

    /// The segments that hold live bytes of the table.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, usize)> {
        self.shares.iter().filter(|share| share.1 > 0).map(|share| (share.0, share.1 as usize))
    }
}
