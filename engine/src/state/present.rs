//! Which keys have all of their state in memory.
//!
//! To find out costs a look-up per part of their collections; the answer stays what it was until something is evicted.

use std::collections::BTreeMap;

use millstream_storage::planted;
use millstream_storage::store::Store;

/// Keys that are remembered at most.
const MOST: usize = 4096;

/// Keys that were found to be in memory since something was last evicted.
#[derive(Default)]
pub(crate) struct Present {
    evictions: u64,
    keys: BTreeMap<u64, Box<[u8]>>,
    /// What the largest of them takes, in bytes.
    largest: u64,
}

impl Present {
    /// Whether a key was found before.
    pub(crate) fn has(&mut self, store: &Store, hash: u64, key: &[u8]) -> bool {
        let evicted = self.evictions != store.evictions() && !planted!(evicted_taken_for_present);
        if evicted || self.keys.len() >= MOST {
            self.evictions = store.evictions();
            self.keys.clear();
            // Large ones may be gone for good.
            self.largest -= self.largest / 16;
        }
        self.keys.get(&hash).is_some_and(|known| **known == *key)
    }

    /// A key was found that takes so many bytes.
    pub(crate) fn add(&mut self, store: &mut Store, hash: u64, key: &[u8], bytes: u64) {
        self.keys.insert(hash, key.into());
        self.largest = self.largest.max(bytes);
        // To change it may copy all of it.
        store.leave_room(self.largest);
    }
}
