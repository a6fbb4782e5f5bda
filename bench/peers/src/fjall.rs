//! fjall: a log-structured merge tree in Rust.

use std::time::Duration;

use fjall::config::{BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use millstream_bench::report::Outcome;
use millstream_bench::store::engine::{Engine, Scanned, Setup, key_bytes, number};

use crate::batch::{Runs, elements, updated};

struct Fjall {
    db: Database,
    items: Keyspace,
    value_len: usize,
    runs: Runs,
    value: Vec<u8>,
}

/// Half of the budget for blocks, half for write buffers; the journal is handed to the kernel, never synced.
pub(crate) fn open(setup: &Setup) -> Outcome<Box<dyn Engine>> {
    let half = setup.budget / 2;
    let db = Database::builder(setup.dir.join("db"))
        .cache_size(half)
        .max_journaling_size((4 * half).max(64 << 20))
        .manual_journal_persist(true)
        .worker_threads(2)
        .open()?;
    let filter = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
    let items = db.keyspace("items", || {
        KeyspaceCreateOptions::default()
            .manual_journal_persist(true)
            .expect_point_read_hits(true)
            .filter_policy(FilterPolicy::all(filter))
            .data_block_compression_policy(CompressionPolicy::disabled())
            .max_memtable_size((half / 4).clamp(4 << 20, 256 << 20))
    })?;
    let (runs, value) = Default::default();
    Ok(Box::new(Fjall { db, items, value_len: setup.value_len, runs, value }))
}

impl Engine for Fjall {
    fn update(&mut self, keys: &[u64]) -> Outcome<()> {
        let mut batch = self.db.batch();
        for (key, times) in self.runs.of(keys) {
            let old = self.items.get(key_bytes(key))?;
            updated(&mut self.value, old.as_deref(), self.value_len, key, times);
            batch.insert(&self.items, key_bytes(key), self.value.as_slice());
        }
        Ok(batch.commit()?)
    }

    fn read(&mut self, keys: &[u64]) -> Outcome<u64> {
        let mut sum = 0;
        for &key in keys {
            sum += self.items.get(key_bytes(key))?.map_or(0, |value| number(&value));
        }
        Ok(sum)
    }

    fn scan(&mut self) -> Outcome<Scanned> {
        let mut scanned = Scanned::default();
        for entry in self.items.iter() {
            scanned.see(number(&entry.value()?));
        }
        Ok(scanned)
    }

    fn accounted_bytes(&self) -> Option<u64> {
        Some(self.db.cache_size() + self.db.write_buffer_size())
    }

    fn snapshot(&mut self) -> Outcome<Option<Duration>> {
        Ok(None)
    }

    fn append(&mut self, keys: &[u64], from: u64) -> Outcome<()> {
        let mut batch = self.db.batch();
        for (key, element) in elements(keys, from) {
            batch.insert(&self.items, key, element);
        }
        Ok(batch.commit()?)
    }

    fn iterate(&mut self, keys: &[u64]) -> Outcome<Scanned> {
        let mut scanned = Scanned::default();
        for &key in keys {
            for entry in self.items.prefix(key_bytes(key)) {
                scanned.see(number(&entry.value()?));
            }
        }
        Ok(scanned)
    }
}
