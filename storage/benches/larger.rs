//! State four times larger than its memory: filled, then updated at random, with what it takes and writes.
//!
//! `cargo bench -p millstream-storage --bench larger -- [keys] [megabytes]`. Reads and writes go one by one through the
//! page cache: it measures the store, not the disk.

use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::hash::stable_hash;
use millstream_storage::read::Reader;
use millstream_storage::store::{Store, StoreConfig, StoreStats, TableId};

/// Keys per batch.
const BATCH: u64 = 1024;
/// Bytes of a value.
const VALUE: usize = 100;

/// A store, and what is done for it in the background elsewhere.
struct Owner<'a> {
    store: Store,
    table: TableId,
    reader: Reader,
    dir: &'a Path,
    most: u64,
    worst: Duration,
}

impl Owner<'_> {
    fn make_room(&mut self) {
        self.store.maintain(64 << 10);
        self.read();
        loop {
            if let Some(spill) = self.store.spill() {
                block_on(spill.write(Rc::new(StdDisk), self.dir.to_owned())).expect("the disk works");
            }
            self.store.maintain(0);
            self.most = self.most.max(self.store.memory_bytes());
            if self.store.has_room() {
                return;
            }
        }
    }

    fn read(&mut self) {
        for read in self.store.take_reads() {
            let fetched = block_on(self.reader.perform(&read)).expect("nothing is damaged");
            self.store.admit(fetched).expect("nothing is damaged");
        }
    }

    fn work(&mut self, keys: &[u64]) {
        self.make_room();
        let hashes: Vec<u64> = keys.iter().map(|key| stable_hash(&key.to_le_bytes())).collect();
        let mut rest = &hashes[..];
        let mut keys = keys;
        while !rest.is_empty() {
            let presence = self.store.missing(self.table, rest.iter().copied());
            if !presence.complete || presence.covered == 0 {
                self.read();
                continue;
            }
            let (now, later) = rest.split_at(presence.covered);
            let started = Instant::now();
            let key = |i: usize| keys[i].to_le_bytes();
            let count = |_, _, value: &mut [u8]| value[0] = value[0].wrapping_add(1);
            self.store.upsert_batch(self.table, now, &key, VALUE, count).expect("it fits");
            self.worst = self.worst.max(started.elapsed());
            (keys, rest) = (&keys[now.len()..], later);
        }
    }
}

/// Resident memory of the process, now and at most, in MB.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    (of("VmRSS:").unwrap_or(0) / 1024, of("VmHWM:").unwrap_or(0) / 1024)
}

fn report(what: &str, records: u64, took: Duration, owner: &mut Owner<'_>) {
    let StoreStats {
        live_bytes, log_bytes, index_bytes, appended_bytes, written_bytes, requested_bytes, ..
    } = owner.store.stats();
    let (now, most) = resident();
    println!(
        "{what}: {:.2} M records/s; live {} MB, log {} MB, index {} MB, taken at most {} MB, process {now} MB, at most \
         {most} MB; worst batch {:?}; written {} MB of {} MB appended, read {} MB",
        records as f64 / took.as_secs_f64() / 1e6,
        live_bytes >> 20,
        log_bytes >> 20,
        index_bytes >> 20,
        owner.most >> 20,
        owner.worst,
        written_bytes >> 20,
        appended_bytes >> 20,
        requested_bytes >> 20,
    );
    owner.worst = Duration::ZERO;
}

fn main() {
    let mut numbers: VecDeque<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let keys = numbers.pop_front().unwrap_or(200_000);
    let budget = numbers.pop_front().map_or(keys * 120 / 4, |megabytes| megabytes << 20);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let segment_bytes = if budget < 128 << 20 { 64 << 10 } else { 2 << 20 };
    let config = StoreConfig {
        budget: Some(budget),
        segment_bytes,
        block_bytes: 4096,
        ..StoreConfig::new("larger", 1)
    };
    let mut store = Store::new(config);
    let table = store.create_table(0, 0);
    let reader = Reader::new(Rc::new(StdDisk), dir.path().to_owned());
    let mut owner = Owner { store, table, reader, dir: dir.path(), most: 0, worst: Duration::ZERO };
    println!("{keys} keys with values of {VALUE} bytes, {} MB of memory", budget >> 20);

    let started = Instant::now();
    for first in (0..keys).step_by(BATCH as usize) {
        owner.work(&(first..(first + BATCH).min(keys)).collect::<Vec<_>>());
    }
    report("filled", keys, started.elapsed(), &mut owner);

    let (started, updates) = (Instant::now(), keys / 10);
    let key = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % keys;
    for first in (0..updates).step_by(BATCH as usize) {
        owner.work(&(first..first + BATCH).map(key).collect::<Vec<_>>());
    }
    report("updated at random", updates, started.elapsed(), &mut owner);
}
