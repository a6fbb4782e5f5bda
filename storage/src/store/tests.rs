//! What the store promises in memory, with segments small enough for many to come and go.

use std::collections::BTreeMap;

use super::{Store, StoreConfig, TableId};
use crate::hash::stable_hash;
use crate::snapshot::Layout;

/// How much of the work is done: Miri checks every access, and is some thousand times slower.
const SHARE: u64 = if cfg!(miri) { 20 } else { 1 };

fn small() -> Store {
    Store::new(StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("small", 7) })
}

fn put(store: &mut Store, table: TableId, key: u64, value: &[u8]) {
    let key = key.to_le_bytes();
    store.put(table, stable_hash(&key), &key, value).expect("it fits");
}

fn get(store: &Store, table: TableId, key: u64) -> Option<Vec<u8>> {
    let key = key.to_le_bytes();
    store.get(table, stable_hash(&key), &key).map(<[u8]>::to_vec)
}

fn remove(store: &mut Store, table: TableId, key: u64) -> bool {
    let key = key.to_le_bytes();
    store.remove(table, stable_hash(&key), &key)
}

#[test]
fn a_value_changes_where_it_lies_until_a_seal() {
    let mut store = small();
    let table = store.create_table(1, 0);
    put(&mut store, table, 1, b"aaaa");
    let appended = store.stats().appended_bytes;
    put(&mut store, table, 1, b"bbbb");
    assert_eq!(store.stats().appended_bytes, appended);
    drop(store.seal(1));
    put(&mut store, table, 1, b"cccc");
    assert_eq!(store.stats().appended_bytes, 2 * appended);
    assert_eq!(get(&store, table, 1).as_deref(), Some(&b"cccc"[..]));
}

#[test]
fn a_seal_holds_at_the_very_end_of_the_largest_segment() {
    let sizes = StoreConfig { segment_bytes: 16 << 20, block_bytes: 4 << 10, ..StoreConfig::new("large", 7) };
    let mut store = Store::new(sizes);
    let table = store.create_table(1, 0);
    // With the headers of record and block each of them fills a block.
    let value = [1; 4096 - 64 - 16];
    (0..4096).for_each(|key| put(&mut store, table, key, &value));
    for epoch in 1..4 {
        drop(store.seal(epoch));
        let appended = store.stats().appended_bytes;
        put(&mut store, table, epoch, &value);
        assert!(store.stats().appended_bytes > appended, "a sealed value was changed where it lies");
    }
}

#[test]
fn a_batch_counts_like_single_upserts() {
    let mut store = small();
    let table = store.create_table(1, 0);
    let rounds = if cfg!(miri) { 400 } else { 200_000u64 };
    let mut model = BTreeMap::new();
    let keys: Vec<u64> = (0..rounds).map(|i| i * i % (rounds / 3)).collect();
    for (epoch, keys) in keys.chunks(keys.len() / 7).enumerate() {
        let hashes: Vec<u64> = keys.iter().map(|key| stable_hash(&key.to_le_bytes())).collect();
        let count = |i: usize, new: bool, value: &mut [u8]| {
            let entry = model.entry(keys[i]).or_insert(0u64);
            assert_eq!(new, *entry == 0);
            *entry += 1;
            let counted = u64::from_le_bytes(value[8..].try_into().expect("eight bytes")) + 1;
            value[8..].copy_from_slice(&counted.to_le_bytes());
        };
        store.upsert_batch(table, &hashes, &|i: usize| keys[i].to_le_bytes(), 16, count).expect("it fits");
        drop(store.seal(epoch as u64));
        store.maintain(usize::MAX);
    }
    assert_eq!(store.len(table), model.len());
    for (key, count) in model {
        assert_eq!(get(&store, table, key).expect("it was counted")[8..], count.to_le_bytes());
    }
}

#[test]
fn a_dropped_table_gives_its_memory_back() {
    let mut store = small();
    let keeper = store.create_table(1, 0);
    put(&mut store, keeper, 1, b"kept");
    for namespace in 0..(50 / SHARE as i64).max(5) {
        let slice = store.create_table(2, namespace);
        (0..1000 / SHARE).for_each(|key| put(&mut store, slice, key, b"slice"));
        store.drop_table(slice);
    }
    assert!(store.stats().memory_bytes < 200 << 10, "{:?}", store.stats());
    assert_eq!(get(&store, keeper, 1).as_deref(), Some(&b"kept"[..]));
}

#[test]
fn tombstones_go_once_nothing_older_is_left() {
    let mut store = small();
    let table = store.create_table(1, 0);
    for epoch in 0..100 / SHARE {
        (0..50).for_each(|key| put(&mut store, table, key, &[1; 40]));
        drop(store.seal(epoch));
        assert!((0..50).all(|key| remove(&mut store, table, key)));
    }
    assert!(store.stats().memory_bytes < 200 << 10, "{:?}", store.stats());
}

#[test]
fn compaction_bounds_the_log_and_loses_nothing() {
    let mut store = small();
    let table = store.create_table(1, 0);
    let epochs = 60 / SHARE;
    for epoch in 0..epochs {
        (0..500 / SHARE).for_each(|key| put(&mut store, table, key, &(key + epoch).to_le_bytes()));
        drop(store.seal(epoch));
        while store.maintain(1000) > 0 {}
    }
    let stats = store.stats();
    assert!(stats.log_bytes <= 2 * stats.live_bytes + (64 << 10), "{stats:?}");
    (0..500 / SHARE).for_each(|key| {
        assert_eq!(get(&store, table, key).as_deref(), Some(&(key + epochs - 1).to_le_bytes()[..]))
    });
}

#[test]
fn a_scan_visits_every_key_once_and_always_in_the_same_order() {
    let mut one = small();
    let mut other = small();
    let (a, b) = (one.create_table(0, 0), other.create_table(0, 0));
    (0..3000 / SHARE).for_each(|key| put(&mut one, a, key, b"x"));
    (0..3100 / SHARE).rev().for_each(|key| put(&mut other, b, key, b"x"));
    (3000..3100 / SHARE).for_each(|key| assert!(remove(&mut other, b, key)));
    let keys = |store: &Store, table| {
        let mut keys = Vec::new();
        store.for_each(table, |key, _| keys.push(key.to_vec()));
        keys
    };
    assert_eq!(keys(&one, a).len() as u64, 3000 / SHARE);
    assert_eq!(keys(&one, a), keys(&other, b));
}

#[test]
fn records_of_any_size_up_to_the_limit_fit_and_larger_ones_are_refused() {
    let mut store = Store::new(StoreConfig::new("large", 1));
    let table = store.create_table(0, 0);
    let (key, value) = (vec![1; super::MAX_KEY], vec![2; super::MAX_VALUE]);
    let hash = stable_hash(&key);
    store.put(table, hash, &key, &value).expect("the largest record fits");
    assert_eq!(store.get(table, hash, &key), Some(&value[..]));
    let (longer_key, longer_value) = (vec![1; key.len() + 1], vec![2; value.len() + 1]);
    assert_eq!(store.put(table, hash, &key, &longer_value).unwrap_err().what, "value");
    assert_eq!(store.put(table, stable_hash(&longer_key), &longer_key, b"").unwrap_err().what, "key");
    assert_eq!(store.get(table, hash, &key), Some(&value[..]));
}

#[test]
#[should_panic(expected = "was dropped")]
fn a_dropped_table_is_not_another_one() {
    let mut store = small();
    let dropped = store.create_table(0, 0);
    store.drop_table(dropped);
    store.create_table(0, 1);
    store.len(dropped);
}

#[test]
#[should_panic(expected = "epochs must rise")]
fn an_epoch_is_not_sealed_twice() {
    let mut store = small();
    drop(store.seal(3));
    drop(store.seal(3));
}

#[test]
fn compaction_leaves_what_has_expired_behind() {
    let mut store = small();
    let table = store.create_table_of(1, 0, Layout { parts: false, expires: true });
    let value = |until: i64| [&until.to_le_bytes()[..], &[7; 56]].concat();
    let ends = |epoch: u64| if epoch.is_multiple_of(2) { 10 } else { 1000 };
    // A key per epoch stays, among many that are soon replaced.
    let round = |store: &mut Store, epoch: u64| {
        (0..150).for_each(|key| put(store, table, key, &value(1000)));
        put(store, table, 1000 + epoch, &value(ends(epoch)));
        drop(store.seal(epoch));
        while store.maintain(1000) > 0 {}
    };
    (0..100).for_each(|epoch| round(&mut store, epoch));
    assert_eq!(store.len(table), 250);
    store.set_clock(10);
    (100..200).for_each(|epoch| round(&mut store, epoch));
    assert!((0..100).all(|epoch| get(&store, table, 1000 + epoch).is_some() == (ends(epoch) > 10)));
}
