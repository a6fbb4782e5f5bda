//! The store: tables over one log.
//!
//! A store belongs to one core and one stateful step. Not to the core alone: with aligned barriers the steps of a
//! core meet a barrier at different moments, and a seal must split each step's changes exactly there.
//!
//! ```
//! use millstream_storage::hash::stable_hash;
//! use millstream_storage::store::{Store, StoreConfig};
//!
//! let mut store = Store::new(StoreConfig::new("counts", 1));
//! let table = store.create_table(0, 0);
//! for key in ["JFK", "LAX", "JFK"] {
//!     store.upsert(table, stable_hash(key.as_bytes()), key.as_bytes(), 8, |zeros| zeros[0] = 1, |n| n[0] += 1)?;
//! }
//! assert_eq!(store.get(table, stable_hash(b"JFK"), b"JFK").unwrap()[0], 2);
//! # Ok::<(), millstream_storage::store::TooLarge>(())
//! ```
//!
//! # More state than memory
//!
//! With a budget the oldest records go to disk, and only the index stays in memory. Whoever works on keys asks for
//! their records first, and writes ahead and evicts between batches.
//!
//! ```
//! use std::rc::Rc;
//! use millstream_storage::disk::{StdDisk, block_on};
//! use millstream_storage::hash::stable_hash;
//! use millstream_storage::read::Reader;
//! use millstream_storage::store::{Presence, Store, StoreConfig};
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path().to_owned();
//!
//! let (disk, budget) = (Rc::new(StdDisk), 1 << 20);
//! let small = StoreConfig { segment_bytes: 64 << 10, block_bytes: 4 << 10, ..StoreConfig::new("counts", 1) };
//! let mut store = Store::new(StoreConfig { budget: Some(budget), ..small });
//! let table = store.create_table(0, 0);
//! for n in 0..20_000_u32 {
//!     let (key, hash) = (n.to_le_bytes(), stable_hash(&n.to_le_bytes()));
//!     assert!(store.is_present(table, hash), "a new key is not on disk");
//!     store.put(table, hash, &key, &[1; 100])?;
//!     while n % 100 == 0 && (store.maintain(64 << 10) > 0 || !store.has_room()) {
//!         if let Some(spill) = store.spill() {
//!             block_on(spill.write(disk.clone(), dir.clone()))?;
//!         }
//!     }
//! }
//! assert!(!store.is_resident() && store.memory_bytes() <= budget);
//! assert!(store.evicted_bytes() > budget);
//!
//! // A checkpoint writes what is not yet on disk, and names all of it.
//! let snapshot = block_on(store.seal(1).write(disk.clone(), dir.clone()))?;
//! store.flushed(1, &snapshot);
//!
//! // The first keys are on disk. As many reads as memory allows may be under way at a time.
//! let reader = Reader::new(disk, dir);
//! let wanted = [0, 1, 2].map(|n: u32| stable_hash(&n.to_le_bytes()));
//! while store.missing(table, wanted) != (Presence { covered: wanted.len(), complete: true }) {
//!     for read in store.take_reads() {
//!         match block_on(reader.perform(&read)) {
//!             Ok(fetched) => store.admit(fetched)?,
//!             Err(error) => store.refuse(&read, error)?,
//!         }
//!     }
//! }
//! assert!(store.may_ask(), "nothing is under way");
//! assert_eq!(store.get(table, wanted[2], &2_u32.to_le_bytes()), Some(&[1; 100][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod budget;
mod compact;
mod config;
mod fetch;
mod files;
mod lazy;
mod listed;
mod load;
mod operate;
mod pinned;
mod restore;
mod scan;
mod seal;
mod tables;

use std::collections::BTreeMap;

use crate::error::StoreError;
use crate::file_index::check::Rules;
use crate::log::Log;
use crate::table::Table;

pub use crate::log::record::{MAX_KEY, MAX_VALUE, TooLarge};
pub use crate::table::TableId;
pub use batch::Keys;
pub use budget::OverBudget;
pub use config::{StoreConfig, StoreStats};
pub use fetch::Presence;
pub(crate) use restore::check as check_snapshot;
pub use scan::{Scan, ScanStep};

/// The keyed state of one stateful step on one core. See the [module](self).
///
/// Every operation takes the key's [`stable_hash`](crate::hash::stable_hash), which the caller mostly has at hand;
/// another hash would lose the key when the index grows.
pub struct Store {
    config: StoreConfig,
    /// Of the indexes of its files: the same from the first run on, as they are compared.
    seed: u64,
    /// What is known of records that a restore has left on disk.
    rules: Option<std::rc::Rc<Rules>>,
    /// What was wrong with indexes, so that their files were read as a whole.
    damaged_indexes: Vec<StoreError>,
    log: Log,
    tables: Vec<Option<Table>>,
    /// Free slots of `tables`.
    free: Vec<u32>,
    next_table: u32,
    by_name: BTreeMap<(u32, i64), TableId>,
    by_id: BTreeMap<u32, u32>,
    meta: BTreeMap<String, String>,
    files: files::Files,
    in_flight: Option<seal::InFlight>,
    last_epoch: Option<u64>,
    /// The number of the last file that was written ahead since the last seal.
    part: u32,
    /// What is being written ahead.
    spilling: Option<crate::spill::Ticket>,
    failed_spills: u32,
    fetch: fetch::Fetch,
    /// The table that a scan is in the middle of.
    scanning: Option<TableId>,
    /// Where compaction is.
    compaction: Option<compact::Cursor>,
    /// Since when it moves what lives.
    pass: Option<compact::Pass>,
    /// What ends by now is dead: compaction leaves it behind.
    clock: i64,
    /// Whether there was ever a table whose values expire.
    expires: bool,
    /// How many bytes are to be appended before the oldest segment is looked through for what has expired.
    sweep_at: u64,
    appended_bytes: u64,
    compacted_bytes: u64,
    fetched_bytes: u64,
    written_bytes: u64,
    /// Segments evicted since it was made.
    evictions: u64,
    /// What the work on one key may add besides a segment, in bytes.
    headroom: u64,
}

impl Store {
    /// An empty store. It takes no memory until the first record.
    ///
    /// ```
    /// use millstream_storage::store::{Store, StoreConfig};
    ///
    /// let store = Store::new(StoreConfig::new("counts", 1));
    /// assert_eq!(store.stats().memory_bytes, 0);
    /// ```
    ///
    /// # Panics
    /// If the configuration's sizes or name are outside their range.
    pub fn new(config: StoreConfig) -> Store {
        let geometry = config.geometry();
        let last_epoch = config.after_epoch;
        Store {
            seed: config.id,
            rules: None,
            damaged_indexes: Vec::new(),
            config,
            log: Log::new(geometry),
            tables: Vec::new(),
            free: Vec::new(),
            next_table: 0,
            by_name: BTreeMap::new(),
            by_id: BTreeMap::new(),
            meta: BTreeMap::new(),
            files: files::Files::default(),
            in_flight: None,
            last_epoch,
            part: 0,
            spilling: None,
            failed_spills: 0,
            fetch: fetch::Fetch::default(),
            scanning: None,
            compaction: None,
            pass: None,
            clock: i64::MIN,
            expires: false,
            sweep_at: 0,
            appended_bytes: 0,
            compacted_bytes: 0,
            fetched_bytes: 0,
            written_bytes: 0,
            evictions: 0,
            headroom: 0,
        }
    }

    /// What the owner keeps with the state, named: it is part of every snapshot from the next seal on.
    pub fn meta(&self) -> &BTreeMap<String, String> {
        &self.meta
    }

    /// As [`Store::meta`], to be changed.
    ///
    /// ```
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// store.meta_mut().insert("watermark".to_owned(), "86400000".to_owned());
    /// assert_eq!(store.meta()["watermark"], "86400000");
    /// ```
    pub fn meta_mut(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.meta
    }

    /// Tells the time, in milliseconds since the epoch: compaction drops what has [expired](crate::expiry) by then. An
    /// earlier time than the last one changes nothing.
    ///
    /// ```
    /// # use millstream_storage::{expiry::{UNTIL, set_until}, hash::stable_hash, snapshot::Layout};
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// let table = store.create_table_of(0, 0, Layout { parts: false, expires: true });
    /// assert!(store.layout(table).expires);
    /// let keys = || (0..50_000_u32).map(|n| n.to_le_bytes());
    /// for key in keys() {
    ///     let mut value = [0; UNTIL];
    ///     set_until(&mut value, 1_000);
    ///     store.put(table, stable_hash(&key), &key, &value)?;
    /// }
    /// for key in keys().skip(100) {
    ///     store.remove(table, stable_hash(&key), &key);
    /// }
    /// assert_eq!(store.len(table), 100);
    /// store.set_clock(1_000);
    /// while store.maintain(64 << 10) > 0 {}
    /// assert_eq!(store.len(table), 0, "nobody had to remove them");
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    pub fn set_clock(&mut self, now: i64) {
        self.clock = self.clock.max(now);
    }

    /// Sizes and counts, at a cost per table.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// store.put(table, stable_hash(b"JFK"), b"JFK", b"12345678")?;
    /// let stats = store.stats();
    /// assert_eq!((stats.tables, stats.keys), (1, 1));
    /// assert!(stats.live_bytes > 0 && stats.live_bytes <= stats.log_bytes);
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    pub fn stats(&self) -> StoreStats {
        let tables = || self.tables.iter().flatten();
        let index_bytes = self.index_bytes();
        StoreStats {
            tables: self.by_name.len() as u64,
            keys: tables().map(|table| table.index.len() as u64).sum(),
            memory_bytes: self.memory_bytes(),
            index_bytes,
            log_bytes: self.log.log_bytes(),
            evicted_bytes: self.log.evicted() as u64 * self.config.segment_bytes as u64,
            read_bytes: self.fetch.bytes(),
            live_bytes: self.log.live_bytes(),
            appended_bytes: self.appended_bytes,
            compacted_bytes: self.compacted_bytes,
            fetched_bytes: self.fetched_bytes,
            written_bytes: self.written_bytes,
            requested_bytes: self.fetch.requested(),
            files: self.files.len() as u64,
            damaged_indexes: self.damaged_indexes.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests;
