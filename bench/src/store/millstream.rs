//! Our store as an engine.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use millstream_storage::collection::{Owner, list, map};
use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::hash::stable_hash;
use millstream_storage::read::Reader;
use millstream_storage::snapshot::Layout;
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
    state: State,
    /// Where state goes that is larger than memory.
    evicted: Option<Evicted>,
}

/// What is not in memory. Reads and writes go one by one through the page cache, and the caller waits for them.
struct Evicted {
    dir: PathBuf,
    reader: Reader,
}

pub(super) fn open(setup: &Setup) -> Option<Box<dyn Engine>> {
    Some(Box::new(match setup.state {
        State::LargeValues => Millstream::larger_than_memory(setup),
        state => Millstream::of(state, setup.value_len),
    }))
}

impl Millstream {
    pub(super) fn new(value_len: usize) -> Millstream {
        Millstream::of(State::Values, value_len)
    }

    fn of(state: State, value_len: usize) -> Millstream {
        let mut store = Store::new(StoreConfig::new("bench", 1));
        let parts = matches!(state, State::Lists | State::Maps);
        let table = store.create_table_of(0, 0, Layout { parts, expires: false });
        Millstream { store, table, value_len, epoch: 0, hashes: Vec::new(), state, evicted: None }
    }

    fn larger_than_memory(setup: &Setup) -> Millstream {
        let segment_bytes = if setup.budget < 128 << 20 { 64 << 10 } else { 2 << 20 };
        let plain = StoreConfig::new("bench", 1);
        let config = StoreConfig { budget: Some(setup.budget), segment_bytes, block_bytes: 4096, ..plain };
        let mut larger = Millstream::of(State::LargeValues, setup.value_len);
        larger.store = Store::new(config);
        larger.table = larger.store.create_table(0, 0);
        let reader = Reader::new(Rc::new(StdDisk), setup.dir.clone());
        larger.evicted = Some(Evicted { dir: setup.dir.clone(), reader });
        larger
    }

    /// Works on keys once they are in memory, as a stage does: in pieces, when not all of them fit at once.
    fn present(
        &mut self,
        keys: &[u64],
        mut work: impl FnMut(&mut Millstream, &[u64], &[u64]) -> Outcome<()>,
    ) -> Outcome<()> {
        let mut hashes = std::mem::take(&mut self.hashes);
        for keys in keys.chunks(TOGETHER) {
            Millstream::hash(&mut hashes, keys);
            self.make_room()?;
            let (mut keys, mut rest) = (keys, &hashes[..]);
            while !rest.is_empty() {
                let presence = self.store.missing(self.table, rest.iter().copied());
                if !presence.complete || presence.covered == 0 {
                    self.read_evicted()?;
                    continue;
                }
                let (now, later) = rest.split_at(presence.covered);
                work(self, &keys[..now.len()], now)?;
                (keys, rest) = (&keys[now.len()..], later);
            }
        }
        self.hashes = hashes;
        Ok(())
    }

    fn make_room(&mut self) -> Outcome<()> {
        self.store.maintain(MAINTENANCE);
        let Some(evicted) = &self.evicted else { return Ok(()) };
        let dir = evicted.dir.clone();
        self.read_evicted()?;
        loop {
            if let Some(spill) = self.store.spill() {
                block_on(spill.write(Rc::new(StdDisk), dir.clone()))?;
            }
            self.store.maintain(0);
            if self.store.has_room() {
                return Ok(());
            }
        }
    }

    fn read_evicted(&mut self) -> Outcome<()> {
        let reads = self.store.take_reads();
        let Some(evicted) = &self.evicted else { return Ok(()) };
        for read in reads {
            self.store.admit(block_on(evicted.reader.perform(&read))?);
        }
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
        self.present(keys, |this, keys, hashes| {
            let change = |i: usize, _, value: &mut [u8]| add(value, keys[i]);
            let key = |i: usize| key_bytes(keys[i]);
            Ok(this.store.upsert_batch(this.table, hashes, &key, this.value_len, change)?)
        })
    }

    fn read(&mut self, keys: &[u64]) -> Outcome<u64> {
        let mut sum = 0;
        self.present(keys, |this, keys, hashes| {
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
        let Millstream { store, table, evicted, .. } = self;
        let see = |_: &[u8], value: &[u8]| scanned.see(number(value));
        match evicted {
            Some(evicted) => block_on(store.visit_all(&evicted.reader, *table, see))?,
            None => store.for_each(*table, see),
        }
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
