//! Our store as an engine.

use std::time::{Duration, Instant};

use millstream_storage::collection::{Owner, list, map};
use millstream_storage::hash::stable_hash;
use millstream_storage::snapshot::Layout;
use millstream_storage::store::{Store, StoreConfig, TableId};

use super::engine::{Engine, Scanned, Setup, State, add, key_bytes, number};
use super::larger;
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
    state: State,
}

pub(super) fn open(setup: &Setup) -> Outcome<Box<dyn Engine>> {
    match setup.state {
        State::LargeValues => larger::open(setup),
        state => Ok(Box::new(Millstream::of(state, setup.value_len))),
    }
}

impl Millstream {
    pub(super) fn new(value_len: usize) -> Millstream {
        Millstream::of(State::Values, value_len)
    }

    fn of(state: State, value_len: usize) -> Millstream {
        let mut store = Store::new(StoreConfig::new("bench", 1));
        let parts = matches!(state, State::Lists | State::Maps);
        let table = store.create_table_of(0, 0, Layout { parts, expires: false });
        Millstream { store, table, value_len, epoch: 0, hashes: Vec::new(), state }
    }

    /// Works on keys as a stage does, batch by batch.
    fn batches(
        &mut self,
        keys: &[u64],
        mut work: impl FnMut(&mut Millstream, &[u64], &[u64]) -> Outcome<()>,
    ) -> Outcome<()> {
        let mut hashes = std::mem::take(&mut self.hashes);
        for keys in keys.chunks(TOGETHER) {
            Millstream::hash(&mut hashes, keys);
            self.store.maintain(MAINTENANCE);
            work(self, keys, &hashes)?;
        }
        self.hashes = hashes;
        Ok(())
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
        self.batches(keys, |this, keys, hashes| {
            let change = |i: usize, _, value: &mut [u8]| add(value, keys[i]);
            let key = |i: usize| key_bytes(keys[i]);
            Ok(this.store.upsert_batch(this.table, hashes, &key, this.value_len, change)?)
        })
    }

    fn read(&mut self, keys: &[u64]) -> Outcome<u64> {
        let mut sum = 0;
        self.batches(keys, |this, keys, hashes| {
            let Millstream { store, table, .. } = this;
            for (keys, hashes) in keys.chunks(64).zip(hashes.chunks(64)) {
                if store.wants_prefetch(*table) {
                    hashes.iter().for_each(|&hash| store.prefetch_index(*table, hash));
                    hashes.iter().for_each(|&hash| store.prefetch_record(*table, hash));
                }
                for (&key, &hash) in keys.iter().zip(hashes) {
                    sum += store.get(*table, hash, &key_bytes(key)).map_or(0, number);
                }
            }
            Ok(())
        })?;
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

    fn append(&mut self, keys: &[u64], from: u64) -> Outcome<()> {
        for (&key, number) in keys.iter().zip(from..) {
            let (owner, bytes) = (Owner::new(self.table, &key_bytes(key)), number.to_le_bytes());
            match self.state {
                State::Lists => list::push(&mut self.store, &owner, &bytes, None)?,
                _ => map::put(&mut self.store, &owner, &key_bytes(number), &bytes, None).map(|_| ())?,
            }
        }
        self.store.maintain(MAINTENANCE);
        Ok(())
    }

    fn iterate(&mut self, keys: &[u64]) -> Outcome<Scanned> {
        let mut scanned = Scanned::default();
        for &key in keys {
            let owner = Owner::new(self.table, &key_bytes(key));
            match self.state {
                State::Lists => {
                    list::iter(&self.store, &owner, None).for_each(|(v, _)| scanned.see(number(v)))
                }
                _ => map::iter(&self.store, &owner, None).for_each(|entry| scanned.see(number(entry.value))),
            }
        }
        Ok(scanned)
    }
}
