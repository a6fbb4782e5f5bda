//! Restoring: files whose blocks lie across reads, and states that are divided and put together again.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::hash::stable_hash;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn checkpoint(store: &mut Store, dir: &Path, epoch: u64) -> StoreSnapshot {
    let part = block_on(store.seal(epoch).write(Rc::new(StdDisk), dir.to_owned())).expect("the disk works");
    store.flushed(epoch, &part);
    part
}

fn restore(dir: &Path, config: StoreConfig, parts: &[StoreSnapshot], owns: impl Fn(&[u8]) -> bool) -> Store {
    let restored = Store::restore(Rc::new(StdDisk), dir, config, parts, |_, key| owns(key));
    block_on(restored).expect("nothing is damaged")
}

fn contents(store: &Store) -> Model {
    let mut contents = Model::new();
    let table = store.table(0, 0).expect("it was in the snapshot");
    store.for_each(table, |key, value| {
        contents.insert(key.to_vec(), value.to_vec());
    });
    contents
}

/// Puts values of this length, replaces some and removes some, with a checkpoint in between.
fn written(dir: &Path, keys: u32, len: usize) -> (StoreSnapshot, Model) {
    let mut store = Store::new(StoreConfig::new("first", 1));
    let table = store.create_table(0, 0);
    let mut model = Model::new();
    for epoch in 1..=3_u8 {
        for key in 0..keys {
            let bytes = key.to_le_bytes();
            let hash = stable_hash(&bytes);
            match (key + 2 * u32::from(epoch)) % 5 {
                0 => {
                    store.remove(table, hash, &bytes);
                    model.remove(&bytes[..]);
                }
                1 | 2 => {
                    let value = vec![epoch; len + key as usize % 3 * 8];
                    store.put(table, hash, &bytes, &value).expect("it fits");
                    model.insert(bytes.to_vec(), value);
                }
                _ => {}
            }
        }
        checkpoint(&mut store, dir, epoch.into());
    }
    (checkpoint(&mut store, dir, 4), model)
}

#[test]
fn blocks_that_lie_across_several_reads_are_whole() {
    for (keys, len) in [(200_000, 9), (900, 9_000), (20, 700_000)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (part, model) = written(dir.path(), keys, len);
        let store = restore(dir.path(), StoreConfig::new("again", 2), &[part], |_| true);
        assert!(contents(&store) == model, "{keys} keys of {len} bytes");
    }
}

#[test]
fn a_state_is_divided_and_put_together_again() {
    for budget in [None, Some(3 << 20)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (part, model) = written(dir.path(), 60_000, 100);
        let small = StoreConfig { segment_bytes: 64 << 10, ..StoreConfig::new("half", 0) };
        let shares = [0, 1].map(|share| {
            let config =
                StoreConfig { name: format!("half-{share}"), id: 7 + share, budget, ..small.clone() };
            let is_here = |key: &[u8]| stable_hash(key) % 2 == share;
            let mut store = restore(dir.path(), config, std::slice::from_ref(&part), is_here);
            assert!(budget.is_none_or(|budget| store.memory_bytes() <= budget), "within its limit");
            checkpoint(&mut store, dir.path(), 5)
        });
        let whole = restore(dir.path(), StoreConfig::new("whole", 9), &shares, |_| true);
        assert!(contents(&whole) == model, "with a limit of {budget:?}");
    }
}

#[test]
fn what_was_removed_while_a_state_was_copied_stays_removed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (part, model) = written(dir.path(), 3_000, 20);
    let parts = [part];
    // No key is foreign, but for one that was removed: everything is copied, the removals after it too.
    let foreign = 4_u32.to_le_bytes();
    assert!(!model.contains_key(&foreign[..]));
    let mut copied = restore(dir.path(), StoreConfig::new("copy", 2), &parts, |key| key != foreign);
    assert!(contents(&copied) == model);
    let again = [checkpoint(&mut copied, dir.path(), 5)];
    assert!(contents(&restore(dir.path(), StoreConfig::new("again", 3), &again, |_| true)) == model);
}

#[test]
fn a_wrong_number_of_keys_changes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (part, model) = written(dir.path(), 3_000, 20);
    for keys in [0, 1, u64::MAX] {
        let mut parts = [part.clone()];
        parts[0].tables[0].keys = keys;
        let store = restore(dir.path(), StoreConfig::new("again", 2), &parts, |_| true);
        assert!(contents(&store) == model);
        assert!(store.stats().index_bytes < 10 << 20, "no more is taken than the files can hold");
    }
}

#[test]
fn a_manifest_that_lies_about_its_size_is_refused_before_memory_is_taken_for_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut part, model) = written(dir.path(), 100, 16);
    part.tables[0].keys = 1 << 50;
    let config = || StoreConfig::new("second", 2);
    assert_eq!(contents(&restore(dir.path(), config(), &[part.clone()], |_| true)), model);
    part.files.last_mut().expect("it has files").bytes = 1 << 60;
    let refused = block_on(Store::restore(Rc::new(StdDisk), dir.path(), config(), &[part], |_, _| true));
    let refused = refused.err().expect("the file is shorter").to_string();
    assert!(refused.contains("first-"), "{refused}");
}
