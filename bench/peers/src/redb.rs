//! redb: a copy-on-write B-tree in Rust.

use std::time::Duration;

use millstream_bench::report::Outcome;
use millstream_bench::store::engine::{Engine, Scanned, Setup, composite, key_bytes, number};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::batch::{Runs, elements, updated};

const ITEMS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("items");

struct Redb {
    db: Database,
    value_len: usize,
    runs: Runs,
    value: Vec<u8>,
}

/// The whole budget is the cache's. A transaction holds a batch, and is never synced.
pub(crate) fn open(setup: &Setup) -> Outcome<Box<dyn Engine>> {
    let path = setup.dir.join("items.redb");
    let db = Database::builder().set_cache_size(setup.budget as usize).create(path)?;
    let (runs, value) = Default::default();
    let engine = Redb { db, value_len: setup.value_len, runs, value };
    let transaction = engine.begin()?;
    transaction.open_table(ITEMS)?;
    transaction.commit()?;
    Ok(Box::new(engine))
}

impl Redb {
    fn begin(&self) -> Outcome<WriteTransaction> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(Durability::None)?;
        Ok(transaction)
    }
}

impl Engine for Redb {
    fn update(&mut self, keys: &[u64]) -> Outcome<()> {
        let transaction = self.begin()?;
        let mut items = transaction.open_table(ITEMS)?;
        for (key, times) in self.runs.of(keys) {
            let key_bytes = key_bytes(key);
            let old = items.get(key_bytes.as_slice())?;
            updated(&mut self.value, old.as_ref().map(|old| old.value()), self.value_len, key, times);
            drop(old);
            items.insert(key_bytes.as_slice(), self.value.as_slice())?;
        }
        drop(items);
        Ok(transaction.commit()?)
    }

    fn read(&mut self, keys: &[u64]) -> Outcome<u64> {
        let items = self.db.begin_read()?.open_table(ITEMS)?;
        let mut sum = 0;
        for &key in keys {
            sum += items.get(key_bytes(key).as_slice())?.map_or(0, |value| number(value.value()));
        }
        Ok(sum)
    }

    fn scan(&mut self) -> Outcome<Scanned> {
        let items = self.db.begin_read()?.open_table(ITEMS)?;
        let mut scanned = Scanned::default();
        for entry in items.iter()? {
            scanned.see(number(entry?.1.value()));
        }
        Ok(scanned)
    }

    fn accounted_bytes(&self) -> Option<u64> {
        None
    }

    fn snapshot(&mut self) -> Outcome<Option<Duration>> {
        Ok(None)
    }

    fn append(&mut self, keys: &[u64], from: u64) -> Outcome<()> {
        let transaction = self.begin()?;
        let mut items = transaction.open_table(ITEMS)?;
        for (key, element) in elements(keys, from) {
            items.insert(key.as_slice(), element.as_slice())?;
        }
        drop(items);
        Ok(transaction.commit()?)
    }

    fn iterate(&mut self, keys: &[u64]) -> Outcome<Scanned> {
        let items = self.db.begin_read()?.open_table(ITEMS)?;
        let mut scanned = Scanned::default();
        for &key in keys {
            let (from, to) = (composite(key, 0), composite(key + 1, 0));
            for entry in items.range(from.as_slice()..to.as_slice())? {
                scanned.see(number(entry?.1.value()));
            }
        }
        Ok(scanned)
    }
}
