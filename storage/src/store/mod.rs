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

mod batch;
mod compact;
mod config;
mod files;
mod operate;
mod restore;
mod seal;
mod tables;

use std::collections::BTreeMap;

use crate::log::Log;
use crate::table::Table;

pub use crate::log::record::{MAX_KEY, MAX_VALUE, TooLarge};
pub use crate::table::TableId;
pub use batch::Keys;
pub use config::{StoreConfig, StoreStats};

/// The keyed state of one stateful step on one core. See the [module](self).
///
/// Every operation takes the key's [`stable_hash`](crate::hash::stable_hash), which the caller mostly has at hand;
/// another hash would lose the key when the index grows.
pub struct Store {
    config: StoreConfig,
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
    /// Where compaction is in the oldest segment.
    compaction: Option<compact::Cursor>,
    appended_bytes: u64,
    compacted_bytes: u64,
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
        Store {
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
            last_epoch: None,
            compaction: None,
            appended_bytes: 0,
            compacted_bytes: 0,
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
        let index_bytes = tables().map(|table| table.index.bytes() as u64).sum();
        StoreStats {
            tables: self.by_name.len() as u64,
            keys: tables().map(|table| table.index.len() as u64).sum(),
            memory_bytes: self.log.memory_bytes() + index_bytes,
            index_bytes,
            log_bytes: self.log.log_bytes(),
            live_bytes: self.log.live_bytes(),
            appended_bytes: self.appended_bytes,
            compacted_bytes: self.compacted_bytes,
            files: self.files.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests;
