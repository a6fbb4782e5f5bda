//! Where a process function's state is: in the log of its step, or, for the reference interpreter, in a plain map.

use millstream_storage::hash::stable_hash;
use millstream_storage::store::Store;

use crate::error::{Error, ErrorKind, Result};
use crate::state::timers::{Domain, Timers};
use crate::time::Timestamp;

/// State and timers of one step on one core.
pub(crate) trait Backend {
    fn get(&self, state: u32, hash: u64, key: &[u8]) -> Option<&[u8]>;
    /// The value's bytes, to be changed where they lie.
    fn get_mut(&mut self, state: u32, hash: u64, key: &[u8]) -> Option<&mut [u8]>;
    fn put(&mut self, state: u32, hash: u64, key: &[u8], value: &[u8]) -> Result<()>;
    fn remove(&mut self, state: u32, hash: u64, key: &[u8]);
    /// A timer is unique by key and time: setting it again changes nothing.
    fn set_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]) -> Result<()>;
    fn delete_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]);
}

/// State in the log.
pub(crate) struct LogBackend {
    pub store: Store,
    pub timers: Timers,
}

impl Backend for LogBackend {
    fn get(&self, state: u32, hash: u64, key: &[u8]) -> Option<&[u8]> {
        self.store.get(self.store.table(state, 0)?, hash, key)
    }

    fn get_mut(&mut self, state: u32, hash: u64, key: &[u8]) -> Option<&mut [u8]> {
        self.store.get_mut(self.store.table(state, 0)?, hash, key)
    }

    fn put(&mut self, state: u32, hash: u64, key: &[u8], value: &[u8]) -> Result<()> {
        let table = self.store.create_table(state, 0);
        self.store.put(table, hash, key, value).map_err(|error| {
            Error::new(ErrorKind::User, "a key or value does not fit the state store").caused_by(error)
        })
    }

    fn remove(&mut self, state: u32, hash: u64, key: &[u8]) {
        if let Some(table) = self.store.table(state, 0) {
            self.store.remove(table, hash, key);
        }
    }

    fn set_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]) -> Result<()> {
        self.timers.set(&mut self.store, domain, at, key)
    }

    fn delete_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]) {
        self.timers.delete(&mut self.store, domain, at, key);
    }
}

/// The id of a state: its name's hash, so that it does not depend on the order of declarations.
pub(crate) fn state_id(name: &str) -> u32 {
    // The upper half of the ids belongs to the engine.
    (stable_hash(name.as_bytes()) >> 33) as u32
}
