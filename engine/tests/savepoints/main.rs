//! Savepoints, checkpoints in other places, and the ways in which a job ends before its input does.

mod changes;
mod ends;
mod numbers;
mod odd_stores;
mod refused;
mod remote;
mod replays;

use std::path::PathBuf;
use std::rc::Rc;

use millstream::host::RuntimeKind;
use millstream::prelude::*;
use millstream::topic::{BatchBuilder, TopicConfig, TopicWriter};
use millstream_storage::disk::{StdDisk, block_on};
use tempfile::TempDir;

/// A job's input, output and state, in a directory of its own.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Appends numbers to the input.
    pub(crate) fn append(&self, numbers: std::ops::Range<u64>) {
        let input = self.path("in");
        let opened = TopicWriter::open_or_create(Rc::new(StdDisk), &input, TopicConfig::new(5));
        let mut writer = block_on(opened).expect("the disk works");
        let mut batch = BatchBuilder::new();
        numbers.for_each(|n| batch.push(n as i64, None, n.to_string().as_bytes(), &[]));
        writer.append(0, batch.finish()).expect("it fits");
        block_on(writer.flush()).expect("the disk works");
        block_on(writer.close()).expect("the disk works");
    }

    pub(crate) fn config(&self, cores: usize, state: &str) -> Config {
        let config = Config::new().cores(cores).runtime(RuntimeKind::Threads);
        config.checkpoints(self.path(state)).checkpoint_every(millis(5))
    }

    /// Counts the numbers of each hundred by their remainder, and keeps the sum of each remainder; up to the end that the
    /// input has at the start, or for ever.
    pub(crate) fn job(&self, output: &str, follow: bool) -> Job {
        let job = Job::new("hundreds");
        let topic = topic::<u64>(self.path("in")).poll_every(millis(1));
        let numbers = job
            .source("numbers", if follow { topic.follow() } else { topic })
            .event_time(|n| *n as Timestamp, Watermarks::monotonous());
        numbers
            .key_by(|n| n % 3)
            .window(Tumbling::of(millis(100)))
            .aggregate("hundreds", Count)
            .map(|of: Windowed<u64, u64>| (of.window.start, of.key, of.value))
            .sink("rows", ndjson_dir(self.path(output)));
        job
    }

    /// Starts it without an end, and returns when it has read this much.
    pub(crate) fn run_until(&self, read: u64, output: &str, config: Config) -> JobHandle {
        let running = self.job(output, true).start(config).expect("it starts");
        while running.metrics().sum(|shard| &shard.records_in) < read {
            assert!(!running.is_over(), "it follows until it is ended");
            std::thread::yield_now();
        }
        running
    }

    /// What was put out, in order.
    pub(crate) fn rows<T: serde::de::DeserializeOwned + Ord>(&self, output: &str) -> Vec<T> {
        let mut rows = Vec::new();
        for entry in std::fs::read_dir(self.path(output)).expect("the output is there") {
            let path = entry.expect("it can be listed").path();
            if path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")) {
                let text = std::fs::read_to_string(&path).expect("it is text");
                rows.extend(text.lines().map(|line| serde_json::from_str::<T>(line).expect("a row")));
            }
        }
        rows.sort_unstable();
        rows
    }
}

/// The hundred, the remainder, and how many there were.
pub(crate) type Row = (i64, u64, u64);

/// The rows of these numbers, if all windows have fired.
pub(crate) fn hundreds(of: std::ops::Range<u64>) -> Vec<Row> {
    let mut rows = std::collections::BTreeMap::new();
    of.for_each(|n| *rows.entry((n as i64 / 100 * 100, n % 3)).or_insert(0) += 1);
    rows.into_iter().map(|((hundred, rest), count)| (hundred, rest, count)).collect()
}

#[derive(Clone)]
struct Count;

impl Aggregate for Count {
    type In = u64;
    type Acc = u64;
    type Out = u64;
    fn add(&self, count: &mut u64, _: &u64) {
        *count += 1;
    }
    fn finish(&self, count: &u64) -> u64 {
        *count
    }
}
