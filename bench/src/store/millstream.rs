//! Our store as an engine.

use std::time::{Duration, Instant};

use millstream_storage::hash::stable_hash;
use millstream_storage::store::{Store, StoreConfig, TableId};

use super::engine::{Engine, Scanned, Setup, State, add, key_bytes, number};
use crate::report::Outcome;

/// Keys hashed and handed over together, as a router hands on a batch.
const TOGETHER: usize = 256;
/// Bytes that compaction looks at after a batch at most, as in a shard's step.
const MAINTENANCE: usize = 64 << 10;

pub(super) struct Millstream {
    store: Store,
    table: TableId,
    value_len: usize,
    epoch: u64,
    hashes: Vec<u64>,
}

pub(super) fn open(setup: &Setup) -> Option<Box<dyn Engine>> {
    match setup.state {
        State::Values | State::Snapshots => Some(Box::new(Millstream::new(setup.value_len))),
        // The store has neither a budget nor collections yet: `StoreConfig` says what there is.
        State::LargeValues | State::Lists | State::Maps => None,
    }
}

impl Millstream {
    pub(super) fn new(value_len: usize) -> Millstream {
        let mut store = Store::new(StoreConfig::new("bench", 1));
        let table = store.create_table(0, 0);
        Millstream { store, table, value_len, epoch: 0, hashes: Vec::new() }
    }

    pub(super) fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// The epoch of the next seal.
    pub(super) fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    fn hash(hashes: &mut Vec<u64>, keys: &[u64]) {
        hashes.clear();
        hashes.extend(keys.iter().map(|&key| stable_hash(&key_bytes(key))));
    }
}

impl Engine for Millstream {
    fn update(&mut self, keys: &[u64]) -> Outcome<()> {
        let Millstream { store, table, value_len, hashes, .. } = self;
        for keys in keys.chunks(TOGETHER) {
            Millstream::hash(hashes, keys);
            let change = |i: usize, _, value: &mut [u8]| add(value, keys[i]);
            store.upsert_batch(*table, hashes, &|i: usize| key_bytes(keys[i]), *value_len, change)?;
            store.maintain(MAINTENANCE);
        }
        Ok(())
    }

    fn read(&mut self, keys: &[u64]) -> Outcome<u64> {
        let Millstream { store, table, hashes, .. } = self;
        let mut sum = 0;
        for keys in keys.chunks(TOGETHER / 4) {
            Millstream::hash(hashes, keys);
            if store.wants_prefetch(*table) {
                hashes.iter().for_each(|&hash| store.prefetch_index(*table, hash));
                hashes.iter().for_each(|&hash| store.prefetch_record(*table, hash));
            }
            for (&key, &hash) in keys.iter().zip(&*hashes) {
                sum += store.get(*table, hash, &key_bytes(key)).map_or(0, number);
            }
        }
        Ok(sum)
    }

    fn scan(&mut self) -> Outcome<Scanned> {
        let mut scanned = Scanned::default();
        self.store.for_each(self.table, |_, value| scanned.see(number(value)));
        Ok(scanned)
    }

    fn accounted_bytes(&self) -> Option<u64> {
        Some(self.store.stats().memory_bytes)
    }

    fn snapshot(&mut self) -> Outcome<Option<Duration>> {
        let epoch = self.next_epoch();
        let start = Instant::now();
        let sealed = self.store.seal(epoch);
        let pause = start.elapsed();
        drop(sealed);
        self.store.flush_failed(epoch);
        Ok(Some(pause))
    }

    fn append(&mut self, _: &[u64], _: u64) -> Outcome<()> {
        Err("the store has no collections".into())
    }

    fn iterate(&mut self, _: &[u64]) -> Outcome<Scanned> {
        Err("the store has no collections".into())
    }
}
