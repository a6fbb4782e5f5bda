//! One table: an index, and how many of its bytes live in which segment.

use crate::collection::{self, Kind};
use crate::index::Index;
use crate::log::{Address, Log};
use crate::snapshot::Layout;

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
    pub(crate) layout: Layout,
    pub(crate) index: Index,
    pub(crate) shares: Shares,
    /// Of what kind its collections are, once that was told.
    pub(crate) kind: Option<Kind>,
}

impl Table {
    pub(crate) fn new(id: u32, state: u32, namespace: i64, layout: Layout) -> Table {
        Table { id, state, namespace, layout, index: Index::new(), shares: Shares::default(), kind: None }
    }

    /// Whether a record is the head of a collection of which other parts are left: it outlives them, so that a part that no
    /// head names is not there.
    pub(crate) fn has_parts(&self, log: &Log, key: &[u8], value: &[u8]) -> bool {
        if !self.layout.parts || !collection::is_head(key) {
            return false;
        }
        // Nobody knows what it names.
        let Some(kind) = self.kind else { return true };
        let may_be = |part: &[u8], address| log.is_evicted(address) || log.key_is(address, part);
        collection::named_parts(kind, self.layout, key, value)
            .any(|(part, hash)| self.index.find_alike(hash, |address, _| may_be(&part, address)).is_some())
    }

    /// Enters a record that was just appended for an absent key.
    #[inline]
    pub(crate) fn enter(&mut self, log: &mut Log, hash: u64, address: Address) {
        let bytes = log.header(address).size();
        log.count_live(address, bytes);
        self.shares.add(log.slot_of(address), bytes);
        self.index.insert(hash, address);
    }

    /// Counts bytes of records as live that lie in the segment of an address.
    pub(crate) fn count_live(&mut self, log: &mut Log, address: Address, bytes: usize) {
        log.count_live(address, bytes);
        self.shares.add(log.slot_of(address), bytes);
    }

    /// As [`Table::enter`], with the key's second hash.
    pub(crate) fn enter_checked(&mut self, log: &mut Log, hash: u64, address: Address, check: Option<u64>) {
        let bytes = log.header(address).size();
        self.count_live(log, address, bytes);
        self.index.insert_checked(hash, address, check);
    }

    /// Counts the record at `old` as dead, and the one at `new`, which took its place, as live.
    pub(crate) fn supersede(&mut self, log: &mut Log, old: Address, new: Address) {
        let size = log.header(old).size();
        self.supersede_sized(log, old, size, new);
    }

    /// As [`Table::supersede`], where the old record has this size and need not be in memory.
    pub(crate) fn supersede_sized(&mut self, log: &mut Log, old: Address, size: usize, new: Address) {
        let bytes = log.header(new).size();
        self.replaced(log, (old, size), (new, bytes));
    }

    /// Counts one record as dead, and the one that took its place as live: by address and size, as neither need be in
    /// memory.
    pub(crate) fn replaced(&mut self, log: &mut Log, old: (Address, usize), new: (Address, usize)) {
        self.count_live(log, new.0, new.1);
        self.forget_sized(log, old.0, old.1);
    }

    /// Counts the record at `old`, which has this size and need not be in memory, as dead, and its copy as live.
    pub(crate) fn moved(&mut self, log: &mut Log, old: Address, new: Address, bytes: usize) {
        self.replaced(log, (old, bytes), (new, bytes));
    }

    /// Counts the record at `address` as dead.
    pub(crate) fn forget(&mut self, log: &mut Log, address: Address) {
        let bytes = log.header(address).size();
        self.forget_sized(log, address, bytes);
    }

    /// As [`Table::forget`], for a record of this size that need not be in memory.
    pub(crate) fn forget_sized(&mut self, log: &mut Log, address: Address, bytes: usize) {
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
    /// All of them together.
    total: u64,
    /// Where the last one was found: mostly the tail.
    recent: usize,
}

impl Shares {
    #[inline]
    fn add(&mut self, slot: u32, bytes: usize) {
        self.total += bytes as u64;
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
        self.total -= bytes as u64;
        let at = match self.shares.get(self.recent) {
            Some(share) if share.0 == slot => self.recent,
            _ => self.shares.partition_point(|share| share.0 < slot),
        };
        self.shares[at].1 -= bytes as u32;
    }

    /// Live bytes of the table.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Live bytes of the table in a segment.
    pub(crate) fn of(&self, slot: u32) -> usize {
        match self.shares.binary_search_by_key(&slot, |share| share.0) {
            Ok(at) => self.shares[at].1 as usize,
            Err(_) => 0,
        }
    }

    /// The segments that hold live bytes of the table.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, usize)> {
        self.shares.iter().filter(|share| share.1 > 0).map(|share| (share.0, share.1 as usize))
    }
}
