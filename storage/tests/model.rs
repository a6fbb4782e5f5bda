//! Thousands of random operations, failed flushes and restores at other core counts, against ordered maps.

use std::collections::BTreeMap;
use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::hash::stable_hash;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig, TableId};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

const STATE: u32 = 3;
type Model = BTreeMap<i64, BTreeMap<Vec<u8>, Vec<u8>>>;

#[derive(Clone, Debug)]
enum Op {
    Put { table: i64, key: u16, len: usize, fill: u8 },
    Upsert { table: i64, key: u16, len: usize },
    UpsertBatch { table: i64, first: u16, count: u16 },
    GetMut { table: i64, key: u16, fill: u8 },
    Remove { table: i64, key: u16 },
    DropTable { table: i64 },
    Maintain { budget: usize },
    Checkpoint { written: bool, reported: bool },
    Restore { cores: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let (table, key) = (|| 0..4i64, || 0..400u16);
    let len = prop_oneof![Just(0usize), Just(16), Just(16), 1..40usize, Just(700), Just(5000)];
    prop_oneof![
        30 => (table(), key(), len, any::<u8>()).prop_map(|(table, key, len, fill)| Op::Put { table, key, len, fill }),
        10 => (table(), key(), 8..32usize).prop_map(|(table, key, len)| Op::Upsert { table, key, len }),
        10 => (table(), key(), 1..300u16).prop_map(|(table, first, count)| Op::UpsertBatch { table, first, count }),
        10 => (table(), key(), any::<u8>()).prop_map(|(table, key, fill)| Op::GetMut { table, key, fill }),
        20 => (table(), key()).prop_map(|(table, key)| Op::Remove { table, key }),
        1 => table().prop_map(|table| Op::DropTable { table }),
        5 => (1..50_000usize).prop_map(|budget| Op::Maintain { budget }),
        5 => any::<(bool, bool)>().prop_map(|(written, reported)| Op::Checkpoint { written, reported }),
        2 => (1..4u64).prop_map(|cores| Op::Restore { cores }),
    ]
}

/// Keys of several lengths, none of them a multiple of eight only.
fn key_bytes(key: u16) -> Vec<u8> {
    let mut bytes = key.to_le_bytes().to_vec();
    bytes.resize(2 + usize::from(key % 13), 7);
    bytes
}

struct World {
    dir: TempDir,
    stores: Vec<Store>,
    model: Model,
    epoch: u64,
    durable: (Model, Vec<StoreSnapshot>),
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let stores = vec![Store::new(config(0, 0))];
        World { dir, stores, model: Model::new(), epoch: 0, durable: Default::default() }
    }

    fn store(&mut self, key: &[u8]) -> (&mut Store, u64) {
        let hash = stable_hash(key);
        let owner = (hash % self.stores.len() as u64) as usize;
        (&mut self.stores[owner], hash)
    }

    fn table(&mut self, namespace: i64) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        for store in &mut self.stores {
            store.create_table(STATE, namespace);
        }
        self.model.entry(namespace).or_default()
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Put { table, key, len, fill } => self.put(table, &key_bytes(key), &vec![fill; len]),
            Op::Upsert { table, key, len } => self.upsert(table, &key_bytes(key), len),
            Op::UpsertBatch { table, first, count } => self.upsert_batch(table, first, count),
            Op::GetMut { table, key, fill } => self.get_mut(table, &key_bytes(key), fill),
            Op::Remove { table, key } => self.remove(table, &key_bytes(key)),
            Op::DropTable { table } => self.drop_table(table),
            Op::Maintain { budget } => self.stores.iter_mut().for_each(|store| _ = store.maintain(budget)),
            Op::Checkpoint { written, reported } => self.checkpoint(written, reported),
            Op::Restore { cores } => self.restore(cores),
        }
    }

    fn put(&mut self, table: i64, key: &[u8], value: &[u8]) {
        self.table(table).insert(key.to_vec(), value.to_vec());
        let (store, hash) = self.store(key);
        let table = store.create_table(STATE, table);
        store.put(table, hash, key, value).expect("it fits");
    }

    fn upsert(&mut self, table: i64, key: &[u8], len: usize) {
        let value = self.table(table).entry(key.to_vec()).or_insert_with(|| vec![0; len]);
        value.iter_mut().for_each(bump);
        let (store, hash) = self.store(key);
        let table = store.create_table(STATE, table);
        let each = |value: &mut [u8]| value.iter_mut().for_each(bump);
        store.upsert(table, hash, key, len, each, each).expect("it fits");
    }

    fn upsert_batch(&mut self, table: i64, first: u16, count: u16) {
        let keys = |i: u16| key_bytes((first + i * 7) % 500);
        for i in 0..count {
            self.table(table).entry(keys(i)).or_insert_with(|| vec![0; 9]).iter_mut().for_each(bump);
        }
        let cores = self.stores.len() as u64;
        for (core, store) in self.stores.iter_mut().enumerate() {
            let mine = |key: &Vec<u8>| stable_hash(key) % cores == core as u64;
            let keys: Vec<Vec<u8>> = (0..count).map(keys).filter(mine).collect();
            let hashes: Vec<u64> = keys.iter().map(|key| stable_hash(key)).collect();
            let table = store.create_table(STATE, table);
            let change = |_, _, value: &mut [u8]| value.iter_mut().for_each(bump);
            store.upsert_batch(table, &hashes, &|i: usize| &keys[i], 9, change).expect("it fits");
        }
    }

    fn get_mut(&mut self, table: i64, key: &[u8], fill: u8) {
        let expected = self.table(table).get_mut(key).map(|value| {
            value.fill(fill);
            value.len()
        });
        let (store, hash) = self.store(key);
        let table = store.create_table(STATE, table);
        let found = store.get_mut(table, hash, key).map(|value| {
            value.fill(fill);
            value.len()
        });
        assert_eq!(found, expected);
    }

    fn remove(&mut self, table: i64, key: &[u8]) {
        let expected = self.table(table).remove(key).is_some();
        let (store, hash) = self.store(key);
        let table = store.create_table(STATE, table);
        assert_eq!(store.remove(table, hash, key), expected);
    }

    fn drop_table(&mut self, table: i64) {
        self.model.remove(&table);
        for store in &mut self.stores {
            if let Some(table) = store.table(STATE, table) {
                store.drop_table(table);
            }
        }
    }

    /// `written`: whether the files get written; `reported`: whether the stores hear of it. Only both is durable.
    fn checkpoint(&mut self, written: bool, reported: bool) {
        self.epoch += 1;
        let mut parts = Vec::new();
        for store in &mut self.stores {
            let sealed = store.seal(self.epoch);
            if written {
                let part = block_on(sealed.write(Rc::new(StdDisk), self.dir.path().to_owned()));
                let part = part.expect("the disk works");
                let part = serde_json::to_string(&part).expect("it is plain data");
                parts.push(serde_json::from_str::<StoreSnapshot>(&part).expect("it was just written"));
            }
        }
        match (written, reported) {
            (true, true) => {
                self.stores.iter_mut().zip(&parts).for_each(|(store, part)| store.flushed(self.epoch, part));
                self.durable = (self.model.clone(), parts);
                self.remove_unnamed_files();
            }
            (false, true) => self.stores.iter_mut().for_each(|store| store.flush_failed(self.epoch)),
            // A write whose outcome nobody reported counts as failed at the next seal.
            (_, false) => {}
        }
    }

    /// What a coordinator that retains one checkpoint does.
    fn remove_unnamed_files(&self) {
        let named: Vec<_> =
            self.durable.1.iter().flat_map(|part| &part.files).map(|file| &file.name).collect();
        for entry in std::fs::read_dir(self.dir.path()).expect("the directory is there") {
            let entry = entry.expect("it can be read");
            if !named.iter().any(|name| ***name == *entry.file_name()) {
                std::fs::remove_file(entry.path()).expect("it can be removed");
            }
        }
    }

    fn restore(&mut self, cores: u64) {
        self.epoch += 1;
        self.model = self.durable.0.clone();
        let restored = (0..cores).map(|core| {
            let owns = |_: u32, key: &[u8]| stable_hash(key) % cores == core;
            let config = config(self.epoch, core);
            block_on(Store::restore(&StdDisk, self.dir.path(), config, &self.durable.1, owns))
        });
        self.stores = restored.map(|store| store.expect("nothing is damaged")).collect();
        self.check();
    }

    fn check(&self) {
        for namespace in 0..4 {
            let expected = self.model.get(&namespace).cloned().unwrap_or_default();
            let tables: Vec<(&Store, Option<TableId>)> =
                self.stores.iter().map(|store| (store, store.table(STATE, namespace))).collect();
            let mut found = BTreeMap::new();
            for (store, table) in tables.iter().filter_map(|(store, table)| Some((store, (*table)?))) {
                store.for_each(table, |key, value| {
                    assert_eq!(store.get(table, stable_hash(key), key), Some(value));
                    assert_eq!(found.insert(key.to_vec(), value.to_vec()), None, "a key was visited twice");
                });
            }
            assert_eq!(found.len(), tables.iter().filter_map(|(s, t)| Some(s.len((*t)?))).sum::<usize>());
            assert!(found == expected, "table {namespace} differs from the model");
        }
    }
}

fn bump(byte: &mut u8) {
    *byte = byte.wrapping_add(1);
}

fn config(incarnation: u64, core: u64) -> StoreConfig {
    let name = format!("step-{incarnation}-{core}");
    StoreConfig {
        segment_bytes: 16 << 10,
        block_bytes: 4 << 10,
        ..StoreConfig::new(name, incarnation << 8 | core)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2000, ..ProptestConfig::default() })]
    #[test]
    fn a_store_is_a_map_across_flushes_failures_and_restores(ops in vec(op(), 1..1500)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        world.check();
        world.checkpoint(true, true);
        world.restore(2);
        world.restore(1);
    }
}
