//! What a restart costs a core: reading a checkpoint back, checking it and building the index. In time of the CPU, so
//! that neither the disk nor what else the machine does counts; the files come from the page cache.
//!
//! `cargo bench -p millstream-storage --bench restore` takes a minute.

use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::hash::stable_hash;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig};

/// Keys and bytes of a value: of small ones the index costs most, of larger ones the bytes do.
const STATES: [(u64, usize); 3] = [(1_000_000, 16), (10_000_000, 16), (250_000, 1000)];

/// Time that this thread has had a CPU.
fn busy() -> Duration {
    let schedule = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux keeps it");
    let nanoseconds = schedule.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.expect("its first field is a number"))
}

fn checkpoint(dir: &Path, keys: u64, value: usize) -> StoreSnapshot {
    let mut store = Store::new(StoreConfig::new("bench", 1));
    let table = store.create_table(0, 0);
    let put = |store: &mut Store, keys: u64, value: &[u8]| {
        for key in 0..keys {
            let key = key.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
            store.put(table, stable_hash(&key), &key, value).expect("it fits");
        }
    };
    let write = |store: &mut Store, epoch| {
        let written = block_on(store.seal(epoch).write(Rc::new(StdDisk), dir.to_owned()));
        let written = written.expect("the disk has room");
        store.flushed(epoch, &written);
        written
    };
    put(&mut store, keys, &vec![7; value]);
    write(&mut store, 1);
    // Of a quarter an older record lies in the files too.
    put(&mut store, keys / 4, &vec![8; value]);
    write(&mut store, 2)
}

/// Restores all of it, or on one of two cores its share.
fn restore(dir: &Path, snapshot: &StoreSnapshot, share: bool) -> Store {
    let config = StoreConfig::new("again", 2);
    let parts = std::slice::from_ref(snapshot);
    let owns = |_, key: &[u8]| !share || stable_hash(key).is_multiple_of(2);
    block_on(Store::restore(Rc::new(StdDisk), dir, config, parts, owns)).expect("nothing is damaged")
}

fn restores(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("restore, CPU");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for (keys, value) in STATES {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let snapshot = checkpoint(dir.path(), keys, value);
        group.throughput(Throughput::Bytes(snapshot.files.iter().map(|file| file.bytes).sum()));
        for (what, share) in [("whole", false), ("half", true)] {
            let name = BenchmarkId::new(what, format!("{keys} of {value} bytes"));
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|times| {
                    let once = |_| {
                        let before = busy();
                        let store = restore(dir.path(), &snapshot, share);
                        let spent = busy() - before;
                        assert!(store.stats().keys >= if share { keys / 3 } else { keys });
                        spent
                    };
                    (0..times).map(once).sum()
                })
            });
        }
    }
    group.finish();
}

criterion_group!(benches, restores);
criterion_main!(benches);
