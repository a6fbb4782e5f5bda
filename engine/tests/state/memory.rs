//! Collections under a limit of memory: a state of several times the limit gives the right answers within it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use millstream::metrics::Metrics;
use millstream::prelude::*;
use millstream::time::Timestamp;

const KEYS: u64 = 1_500;
const RECORDS: u64 = 24_000;
const MEMORY: u64 = 512 << 10;

/// How much of each kind a key has after a record.
type Row = (u64, u64, u64, u64);

/// Remembers everything, three times over.
#[derive(Clone)]
struct Hoard;

struct Hoarded {
    list: List<[u64; 4]>,
    map: Map<u64, [u64; 4]>,
    line: Timeline<[u64; 4]>,
}

impl Process for Hoard {
    type Key = u64;
    type In = u64;
    type Out = Row;
    type State = Hoarded;

    fn declare(&self, state: &mut Declare) -> Hoarded {
        Hoarded { list: state.list("list"), map: state.map("map"), line: state.timeline("line") }
    }

    fn on_record(&mut self, n: u64, state: &Hoarded, cx: &mut Context<'_, Self>) {
        state.list.push(cx, &[n; 4]);
        state.map.put(cx, &(n / 7), &[n; 4]);
        state.line.insert(cx, (n % 100) as Timestamp, &[n; 4]);
        let digest = state.list.iter(cx).map(|element| element[3].to_native()).sum::<u64>();
        let newest = state.line.range(cx, ..).map(|(_, value)| value[0].to_native()).max().unwrap_or(0);
        let in_map = state.map.iter(cx).map(|(_, value)| value[1].to_native()).fold(0, u64::wrapping_add);
        cx.emit((*cx.key(), digest, in_map, newest));
    }
}

fn expected() -> Vec<Row> {
    let mut all: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let row = |n: u64| {
        let of_key = all.entry(n % KEYS).or_default();
        of_key.push(n);
        let in_map: BTreeMap<u64, u64> = of_key.iter().map(|n| (n / 7, *n)).collect();
        let newest = of_key.iter().copied().max().unwrap_or(0);
        (n % KEYS, of_key.iter().sum(), in_map.values().sum(), newest)
    };
    (0..RECORDS).map(row).collect()
}

#[test]
fn collections_of_four_times_the_memory_give_the_right_answers_within_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let job = Job::new("collections");
    let (sink, rows) = collect();
    job.source("numbers", generator(RECORDS, |n| n))
        .key_by(|n| n % KEYS)
        .process("hoard", Hoard)
        .sink("rows", sink);
    let config = Config::new().cores(1).checkpoints(dir.path()).memory_per_core(MEMORY);
    let handle = job.start(config.checkpoint_every(millis(50))).expect("the job starts");
    let metrics = handle.metrics().clone();
    handle.wait().expect("the job ends well");
    assert_eq!(rows.take(), expected());
    let shard = &metrics.shards()[0];
    let (most, evicted) = (shard.most_state_bytes.get(), shard.evicted_bytes.get());
    assert!(most <= MEMORY + MEMORY / 10, "{most} bytes of {MEMORY} were taken");
    assert!(evicted >= 3 * MEMORY, "{evicted} bytes were evicted at the end");
}

/// Keeps all that it is told of one key.
#[derive(Clone)]
struct One;

impl Process for One {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = List<Vec<u64>>;

    fn declare(&self, state: &mut Declare) -> List<Vec<u64>> {
        state.list("all")
    }

    fn on_record(&mut self, n: u64, all: &List<Vec<u64>>, cx: &mut Context<'_, Self>) {
        all.push(cx, &vec![n; 100]);
    }
}

#[test]
fn collections_of_one_key_that_outgrow_the_memory_stop_the_job_and_name_the_step() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let job = Job::new("one");
    let (sink, _) = collect();
    job.source("numbers", generator(4_000, |n| n)).key_by(|_| 1).process("hoard", One).sink("none", sink);
    let config = Config::new().cores(1).checkpoints(dir.path()).memory_per_core(256 << 10);
    let error = job.run(config.checkpoint_every(millis(50))).expect_err("3 MB of one key do not fit");
    let text = error.to_string();
    assert!(text.contains("step `hoard`") && text.contains("memory"), "{text}");
}

/// Runs without end until something holds of the counters.
fn run_until(dir: &Path, done: impl Fn(&Metrics) -> bool) -> Metrics {
    let job = Job::new("many");
    // Not much faster than checkpoints are made: the lists of a key are not to outgrow the memory.
    let paced = |n: u64| {
        if n.is_multiple_of(64) {
            std::thread::sleep(millis(1));
        }
        n
    };
    job.source("numbers", generator(1 << 40, paced))
        .key_by(|n| n % 700)
        .process("hoard", One)
        .sink("none", discard());
    let config = Config::new().cores(1).checkpoints(dir).memory_per_core(MEMORY);
    let config = config.checkpoint_every(millis(20)).batch_size(64).ring_depth(2);
    let running = job.start(config).expect("the job starts");
    let metrics = running.metrics().clone();
    while !done(&metrics) && !running.is_over() {
        std::thread::yield_now();
    }
    let over = running.is_over();
    running.cancel();
    let ended = running.wait();
    assert!(!over, "it ended by itself: {:?}", ended.err());
    metrics
}

/// Changes a byte of each index in a directory and those in it. Returns how many there are.
fn damage_indexes(dir: &Path) -> u64 {
    let entries =
        fs::read_dir(dir).expect("it is there").map(|entry| entry.expect("it can be listed").path());
    let damage = |path: PathBuf| {
        if path.is_dir() {
            return damage_indexes(&path);
        }
        let mut bytes = fs::read(&path).expect("it was written");
        let index = bytes.chunks_mut(4096).find(|sector| sector.starts_with(b"MSidx"));
        let damaged = index.map(|sector| sector[100] ^= 1).is_some();
        fs::write(&path, bytes).expect("it can be written");
        u64::from(damaged)
    };
    entries.map(damage).sum()
}

#[test]
fn a_restore_that_finds_an_index_damaged_goes_on_and_counts_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let epoch = |metrics: &Metrics| metrics.job().last_epoch.get();
    let evicted = |metrics: &Metrics| metrics.shards()[0].evicted_bytes.get();
    let first_many = Cell::new(None);
    let metrics = run_until(dir.path(), |metrics| {
        if evicted(metrics) < 4 * MEMORY {
            return false;
        }
        let since = first_many.get().unwrap_or(epoch(metrics));
        first_many.set(Some(since));
        epoch(metrics) >= since + 2
    });
    assert_eq!(metrics.shards()[0].damaged_indexes.get(), 0);
    let (damaged, last) = (damage_indexes(dir.path()), epoch(&metrics));
    assert!(damaged > 0, "there is no index");
    let metrics = run_until(dir.path(), |metrics| epoch(metrics) > last);
    let counted = metrics.shards()[0].damaged_indexes.get();
    assert!((1..=damaged).contains(&counted), "{counted} of {damaged}");
}
