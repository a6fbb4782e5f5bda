//! Steps on fewer cores than the job: where their keys are, what is restored there, and what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;

use millstream::prelude::*;
use millstream::sink::Sink;

/// Tells how often its key was seen, and on which thread.
#[derive(Clone)]
struct Count;

impl Process for Count {
    type Key = u64;
    type In = u64;
    type Out = (u64, u64, String);
    type State = Value<u64>;

    fn declare(&self, state: &mut Declare) -> Value<u64> {
        state.value("seen")
    }

    fn on_record(&mut self, _: u64, seen: &Value<u64>, cx: &mut Context<'_, Self>) {
        let n = seen.update(cx, |n| {
            *n += 1;
            *n
        });
        cx.emit((*cx.key(), n, format!("{:?}", thread::current().id())));
    }
}

const KEYS: u64 = 100;

fn job(records: u64, sink: impl Sink<(u64, u64, String)>) -> Job {
    let job = Job::new("parallelism");
    let paced = |n: u64| {
        if n.is_multiple_of(512) {
            thread::sleep(millis(1));
        }
        n
    };
    let numbers = job.source("numbers", generator(records, paced)).rebalance("even");
    numbers.key_by(|n| n % KEYS).process("count", Count).sink("out", sink);
    job
}

/// On how many cores the keys were counted.
fn cores_of_keys(config: Config) -> usize {
    let (sink, out) = collect();
    job(2_000, sink).run(config.batch_size(8)).expect("the job ends well");
    let counted = out.take();
    let all: BTreeMap<u64, u64> = counted.iter().map(|(key, n, _)| (*key, *n)).collect();
    assert_eq!(all, (0..KEYS).map(|key| (key, 20)).collect());
    counted.into_iter().map(|(.., thread)| thread).collect::<BTreeSet<_>>().len()
}

#[test]
fn keys_are_on_as_many_cores_as_the_step_is_given() {
    for (cores, given) in [(1, 1), (4, 1), (4, 2), (4, 3), (3, 8)] {
        let config = || Config::new().cores(cores).parallelism("count", given);
        assert_eq!(cores_of_keys(config()), given.min(cores), "{given} of {cores}");
        assert_eq!(
            cores_of_keys(config().parallelism("numbers", 1).parallelism("even", 2)),
            given.min(cores)
        );
    }
}

/// How often each key was seen: what was told of it are the numbers up to that.
fn counted(dir: &Path) -> BTreeMap<u64, u64> {
    let files =
        std::fs::read_dir(dir).expect("it was made").map(|entry| entry.expect("it can be listed").path());
    let mut all = BTreeMap::<u64, Vec<u64>>::new();
    for path in files {
        for line in std::fs::read_to_string(path).expect("it can be read").lines() {
            let (key, n, _): (u64, u64, String) = serde_json::from_str(line).expect("the sink wrote it");
            all.entry(key).or_default().push(n);
        }
    }
    let count = |(key, mut told): (u64, Vec<u64>)| {
        told.sort_unstable();
        assert!(told.iter().copied().eq(1..=told.len() as u64), "key {key} lost or repeated a record");
        (key, told.len() as u64)
    };
    all.into_iter().map(count).collect()
}

#[test]
fn rule_19_state_follows_its_keys_from_any_number_of_cores_of_a_step_to_any_other() {
    let places = [(4, 1), (4, 4), (4, 2), (3, 3), (2, 1), (4, 3), (1, 1), (4, 2), (4, 4)];
    let dir = tempfile::tempdir().expect("a temporary directory");
    let out = dir.path().join("out");
    let start = |(cores, given): (usize, usize), every| {
        let config = Config::new().cores(cores).parallelism("count", given).parallelism("numbers", 1);
        let config =
            config.checkpoints(dir.path().join("state")).max_parallelism(128).checkpoint_every(every);
        let config = config.batch_size(64).ring_depth(2).step_budget(256);
        job(u64::MAX >> 8, ndjson_dir(&out)).start(config).expect("it goes on")
    };
    for place in places {
        let running = start(place, millis(5));
        while running.metrics().job().checkpoints.get() < 4 && !running.is_over() {
            thread::yield_now();
        }
        running.cancel();
        running.wait().expect("it was cancelled");
    }
    // What the last one was to commit when it was cancelled, the next one does.
    let running = start((1, 1), hours(1));
    while running.metrics().sum(|shard| &shard.records_in) == 0 && !running.is_over() {
        thread::yield_now();
    }
    running.cancel();
    assert!(running.wait().expect("it was cancelled").restored.is_some());
    let counts = counted(&out);
    assert_eq!(counts.len(), KEYS as usize);
    let (least, most) = (counts.values().min(), counts.values().max());
    // All were dealt the same number of records, up to where the last checkpoint cut.
    assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{counts:?}");
}

#[track_caller]
fn refused(config: Config, expected: &str) {
    let error = job(10, discard()).run(config.cores(2)).expect_err("it makes no sense");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn what_cannot_be_given_cores_is_refused() {
    refused(Config::new().parallelism("count", 0), "step `count` is given 0 cores");
    refused(Config::new().parallelism("counts", 1), "the job has none so named");
    refused(
        Config::new().parallelism("out", 1),
        "stays on those that its records come from; put `rescale` before it",
    );
}
