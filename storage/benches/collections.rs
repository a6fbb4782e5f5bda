//! Collections of small (8 entries) and large (10 K) sizes: what an operation costs must not grow with the size.
//!
//! `cargo bench -p millstream-storage --bench collections -- --quick` takes a minute.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use millstream_storage::collection::{Owner, list, map, timeline};
use millstream_storage::snapshot::Layout;
use millstream_storage::store::{Store, StoreConfig, TableId};

const SIZES: [u64; 2] = [8, 10_000];

fn store() -> (Store, TableId) {
    let mut store = Store::new(StoreConfig::new("bench", 1));
    let table = store.create_table_of(0, 0, Layout { parts: true, expires: false });
    (store, table)
}

/// An order without pattern.
fn scattered(i: u64, n: u64) -> u64 {
    i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % n
}

fn maps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("map");
    for size in SIZES {
        let (mut store, table) = store();
        let owner = Owner::new(table, b"an owner");
        for key in 0..size {
            map::put(&mut store, &owner, &key.to_le_bytes(), &[1; 8], None).expect("it fits");
        }
        let bytes = store.stats().live_bytes as f64 / size as f64;
        println!("a map of {size} entries of 16 bytes: {bytes:.1} bytes each");
        let mut i = 0;
        let mut key = move || {
            i += 1;
            scattered(i, size).to_le_bytes()
        };
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("get", size), |bencher| {
            bencher.iter(|| black_box(map::get(&store, &owner, &key(), None).is_some()));
        });
        group.bench_function(BenchmarkId::new("put", size), |bencher| {
            bencher.iter(|| map::put(&mut store, &owner, &key(), &[2; 8], None).expect("it fits"));
        });
        group.bench_function(BenchmarkId::new("remove and put", size), |bencher| {
            bencher.iter(|| {
                let key = key();
                map::remove(&mut store, &owner, &key, None);
                map::put(&mut store, &owner, &key, &[2; 8], None).expect("it fits")
            });
        });
        group.throughput(Throughput::Elements(size));
        group.bench_function(BenchmarkId::new("iterate", size), |bencher| {
            bencher
                .iter(|| map::iter(&store, &owner, None).map(|entry| u64::from(entry.value[0])).sum::<u64>());
        });
    }
    group.finish();
}

fn lists(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("list");
    for size in SIZES {
        let (mut store, table) = store();
        let owner = Owner::new(table, b"an owner");
        let mut len = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("append, cleared at", size), |bencher| {
            bencher.iter(|| {
                if len == size {
                    list::clear(&mut store, &owner, None);
                    len = 0;
                }
                len += 1;
                list::push(&mut store, &owner, &len.to_le_bytes(), None).expect("it fits");
                store.maintain(256);
            });
        });
        list::clear(&mut store, &owner, None);
        for i in 0..size {
            list::push(&mut store, &owner, &i.to_le_bytes(), None).expect("it fits");
        }
        group.throughput(Throughput::Elements(size));
        group.bench_function(BenchmarkId::new("iterate", size), |bencher| {
            bencher.iter(|| list::iter(&store, &owner, None).map(|(it, _)| u64::from(it[0])).sum::<u64>());
        });
    }
    group.finish();
}

fn timelines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timeline");
    for size in SIZES {
        let (mut store, table) = store();
        let owner = Owner::new(table, b"an owner");
        let mut now = 0;
        group.throughput(Throughput::Elements(1));
        // The size stays: what is older than `size` goes, a tenth at a time.
        group.bench_function(BenchmarkId::new("insert in order, clean up", size), |bencher| {
            bencher.iter(|| {
                now += 1;
                timeline::insert(&mut store, &owner, now, &[1; 8]).expect("it fits");
                if now % (size as i64 / 8) == 0 {
                    timeline::remove(&mut store, &owner, i64::MIN, now - size as i64);
                }
                store.maintain(256);
            });
        });
        group.bench_function(BenchmarkId::new("insert anywhere, clean up", size), |bencher| {
            bencher.iter(|| {
                now += 1;
                let time = now - scattered(now.cast_unsigned(), size).cast_signed();
                timeline::insert(&mut store, &owner, time, &[1; 8]).expect("it fits");
                if now % (size as i64 / 8) == 0 {
                    timeline::remove(&mut store, &owner, i64::MIN, now - size as i64);
                }
                store.maintain(256);
            });
        });
        let mut i = 0;
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter(|| {
                i += 1;
                black_box(timeline::floor(&store, &owner, now - scattered(i, size).cast_signed()).is_some())
            });
        });
        group.throughput(Throughput::Elements(size));
        group.bench_function(BenchmarkId::new("scan", size), |bencher| {
            let all = || timeline::range(&store, &owner, i64::MIN, i64::MAX);
            bencher.iter(|| all().map(|entry| entry.time).sum::<i64>());
        });
    }
    group.finish();
}

criterion_group!(benches, maps, lists, timelines);
criterion_main!(benches);
