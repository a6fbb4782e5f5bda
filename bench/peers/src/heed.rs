//! LMDB through heed: a copy-on-write B-tree in mapped memory.

use std::time::Duration;

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions};
use millstream_bench::report::Outcome;
use millstream_bench::store::engine::{Engine, Scanned, Setup, State, key_bytes, number};

use crate::batch::{Runs, elements, updated};

/// Bytes of address space; the file grows as it is used.
const MAP: usize = 64 << 30;

struct Heed {
    env: Env,
    items: Database<Bytes, Bytes>,
    value_len: usize,
    runs: Runs,
    value: Vec<u8>,
}

/// A transaction holds a batch, and is never synced. There is no budget: the memory is the kernel's page cache.
pub(crate) fn open(setup: &Setup) -> Outcome<Option<Box<dyn Engine>>> {
    if setup.state == State::LargeValues {
        return Ok(None);
    }
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP);
    let flags = EnvFlags::WRITE_MAP | EnvFlags::NO_SYNC | EnvFlags::NO_META_SYNC | EnvFlags::NO_READ_AHEAD;
    // SAFETY: the file is new and this process alone uses it; what a crash would leave of it is not read again.
    let env = unsafe { options.flags(flags).open(&setup.dir)? };
    let mut transaction = env.write_txn()?;
    let items = env.create_database(&mut transaction, None)?;
    transaction.commit()?;
    let (runs, value) = Default::default();
    Ok(Some(Box::new(Heed { env, items, value_len: setup.value_len, runs, value })))
}

impl Engine for Heed {
    fn update(&mut self, keys: &[u64]) -> Outcome<()> {
        let mut transaction = self.env.write_txn()?;
        for (key, times) in self.runs.of(keys) {
            let old = self.items.get(&transaction, &key_bytes(key))?;
            updated(&mut self.value, old, self.value_len, key, times);
            self.items.put(&mut transaction, &key_bytes(key), &self.value)?;
        }
        Ok(transaction.commit()?)
    }

    fn read(&mut self, keys: &[u64]) -> Outcome<u64> {
        let transaction = self.env.read_txn()?;
        let mut sum = 0;
        for &key in keys {
            sum += self.items.get(&transaction, &key_bytes(key))?.map_or(0, number);
        }
        Ok(sum)
    }

    fn scan(&mut self) -> Outcome<Scanned> {
        let transaction = self.env.read_txn()?;
        let mut scanned = Scanned::default();
        for entry in self.items.iter(&transaction)? {
            scanned.see(number(entry?.1));
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
        let mut transaction = self.env.write_txn()?;
        for (key, element) in elements(keys, from) {
            self.items.put(&mut transaction, &key, &element)?;
        }
        Ok(transaction.commit()?)
    }

    fn iterate(&mut self, keys: &[u64]) -> Outcome<Scanned> {
        let transaction = self.env.read_txn()?;
        let mut scanned = Scanned::default();
        for &key in keys {
            for entry in self.items.prefix_iter(&transaction, &key_bytes(key))? {
                scanned.see(number(entry?.1));
            }
        }
        Ok(scanned)
    }
}
