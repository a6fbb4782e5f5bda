//! The store beside a hash map that cannot be snapshotted, and what a seal costs.
//!
//! `cargo bench -p millstream-storage -- --quick` takes a few minutes, most of it filling tables.

use std::cell::LazyCell;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hashbrown::HashMap;
use millstream_storage::hash::stable_hash;
use millstream_storage::store::{Store, StoreConfig, TableId};

/// Records per measured batch, as a router would hand them on.
const BATCH: usize = 256;

/// Keys with their hashes, in an order without pattern; the hash comes with the record from its routing.
fn records(keys: u64) -> Vec<(u64, u64)> {
    let count = keys.max(1 << 16).next_multiple_of(BATCH as u64);
    let key = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % keys;
    (0..count).map(key).map(|key| (stable_hash(&key.to_le_bytes()), key)).collect()
}

fn count(value: &mut [u8]) {
    let (count, sum) = value.split_at_mut(8);
    for (part, add) in [(count, 1), (sum, 3)] {
        let bytes: &mut [u8; 8] = part.try_into().expect("eight bytes");
        *bytes = (u64::from_le_bytes(*bytes) + add).to_le_bytes();
    }
}

fn upsert(store: &mut Store, table: TableId, batch: &[(u64, u64)], hashes: &mut Vec<u64>) {
    hashes.clear();
    hashes.extend(batch.iter().map(|record| record.0));
    let change = |_, _, value: &mut [u8]| count(value);
    store.upsert_batch(table, hashes, &|i: usize| batch[i].1.to_le_bytes(), 16, change).expect("it fits");
}

fn filled(keys: u64) -> (Store, TableId) {
    let mut store = Store::new(StoreConfig::new("bench", 1));
    let table = store.create_table(0, 0);
    let mut hashes = Vec::new();
    let keys: Vec<_> = (0..keys).map(|key| (stable_hash(&key.to_le_bytes()), key)).collect();
    keys.chunks(BATCH).for_each(|batch| upsert(&mut store, table, batch, &mut hashes));
    println!("{:.1} bytes per key", store.stats().memory_bytes as f64 / keys.len() as f64);
    (store, table)
}

fn upserts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("upsert");
    group.throughput(Throughput::Elements(BATCH as u64));
    for keys in [1_000, 1_000_000, 10_000_000] {
        let records = records(keys);
        let mut batches = records.chunks_exact(BATCH).cycle();
        let mut next = || batches.next().expect("it repeats");
        let mut store = LazyCell::new(move || filled(keys));
        let mut hashes = Vec::new();
        group.bench_function(BenchmarkId::new("store", keys), |bencher| {
            let (store, table) = &mut *store;
            bencher.iter(|| upsert(store, *table, next(), &mut hashes));
        });
        drop(store);
        let mut map =
            LazyCell::new(|| (0..keys).map(|key| (key, [0; 16])).collect::<HashMap<u64, [u8; 16]>>());
        group.bench_function(BenchmarkId::new("hashbrown", keys), |bencher| {
            let map = &mut *map;
            bencher.iter(|| next().iter().for_each(|(_, key)| count(map.entry(*key).or_default())));
        });
    }
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("get");
    for keys in [1_000, 1_000_000] {
        let records = records(keys);
        let store = LazyCell::new(move || filled(keys));
        let mut next = records.iter().cycle();
        group.bench_function(BenchmarkId::new("store", keys), |bencher| {
            let (store, table) = &*store;
            bencher.iter(|| {
                let (hash, key) = next.next().expect("it repeats");
                black_box(store.get(*table, *hash, &key.to_le_bytes()));
            });
        });
    }
    group.finish();
}

/// The pause of a seal with this many bytes to write.
fn seals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal");
    for megabytes in [10, 1_000] {
        let mut store = LazyCell::new(move || filled(megabytes * 1_000_000 / 32));
        let mut epoch = 0;
        group.bench_function(BenchmarkId::new("pause", format!("{megabytes} MB")), |bencher| {
            let (store, table) = &mut *store;
            bencher.iter_custom(|seals| {
                let mut pause = Duration::ZERO;
                for _ in 0..seals {
                    upsert(store, *table, &[(stable_hash(&[0; 8]), 0)], &mut Vec::new());
                    epoch += 1;
                    let start = std::time::Instant::now();
                    let sealed = store.seal(epoch);
                    pause += start.elapsed();
                    assert!(
                        sealed.bytes() >= (megabytes - 1) * 1_000_000,
                        "everything is to be written again"
                    );
                    store.flush_failed(epoch);
                }
                pause
            });
        });
    }
    group.finish();
}

criterion_group!(benches, upserts, reads, seals);
criterion_main!(benches);
