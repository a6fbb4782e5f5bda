//! A real file system runs full in the middle of a job: checkpoints are aborted and reported, the job goes on, and once
//! there is space again checkpoints complete, with nothing lost.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use millstream::host::{Class, LocalFuture};
use millstream::prelude::*;
use millstream::source::{Fetched, Poison, Polled, Reader, Source, SourceContext};
use millstream_tests::example::visible;
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// Tells the copy of this test that runs where it may mount a file system.
const INSIDE: &str = "MILLSTREAM_TEST_OWN_MOUNTS";
/// Milliseconds of event time in a window, and as many records, as these have the times 0, 1, 2 …
const WINDOW: i64 = 1000;
const KEYS: u64 = 10;

#[test]
fn a_job_goes_on_while_its_disk_is_full() {
    if env::var_os(INSIDE).is_some() {
        return inside();
    }
    // In a mount namespace of its own, so that nobody else sees the small file system.
    let this = env::current_exe().expect("a running program has a path");
    let test = ["--exact", "a_job_goes_on_while_its_disk_is_full", "--nocapture"];
    let run = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(this)
        .args(test)
        .env(INSIDE, "1")
        .output();
    let run = run.expect("`unshare` of util-linux is needed to make a small file system");
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

fn inside() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "none"]).arg(room.path()).status();
    assert!(mounted.expect("`mount` is needed to make a small file system").success());
    let open = Arc::new(AtomicBool::new(true));
    let config = Config::new()
        .cores(2)
        .checkpoints(room.path().join("state"))
        .checkpoint_every(millis(20))
        .tolerated_checkpoint_failures(u32::MAX);
    let running = counts(&open, &room.path().join("counts")).start(config).expect("the job starts");
    let metrics = running.metrics().clone();
    let until = |what: &str, reached: &dyn Fn() -> bool| {
        while !reached() {
            assert!(
                !running.is_over(),
                "the job ended before {what}: {:?}",
                running.control().last_trouble()
            );
            sleep(Duration::from_millis(1));
        }
    };
    until("its first checkpoint", &|| metrics.job().checkpoints.get() > 0);

    let ballast = room.path().join("ballast");
    fill(&ballast);
    let records = || metrics.sum(|shard| &shard.records_in);
    let (aborted, before) = (metrics.job().aborted.get(), records());
    until("a checkpoint was aborted", &|| metrics.job().aborted.get() >= aborted + 3);
    until("it had gone on", &|| records() > before);
    let trouble = running.control().last_trouble().expect("what went wrong is told");
    assert!(trouble.contains("was aborted") && trouble.contains("No space left"), "{trouble}");

    fs::remove_file(&ballast).expect("the ballast can be removed");
    let complete = metrics.job().checkpoints.get();
    until("a checkpoint completed again", &|| metrics.job().checkpoints.get() > complete);
    open.store(false, Ordering::Relaxed);
    let report = running.wait().expect("the job ends well");
    check(&room.path().join("counts"), report.records_in);
}

/// Takes all the space there is.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("the ballast can be created");
    for size in [1 << 20, 4096, 1] {
        let bytes = vec![0; size];
        let error = loop {
            if let Err(error) = file.write_all(&bytes) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }
}

fn counts(open: &Arc<AtomicBool>, output: &Path) -> Job {
    let job = Job::new("full-disk");
    job.source("numbers", Numbers { open: open.clone() })
        .event_time(|n: &u64| *n as i64, Watermarks::bounded(millis(0)))
        .key_by(|n| n % KEYS)
        .window(Tumbling::of(millis(WINDOW as u64)))
        .aggregate("counts", Count)
        .map(|row| json!({ "key": row.key, "start": row.window.start, "count": row.value }))
        .sink("rows", ndjson_dir(output));
    job
}

/// Every key has every full window once, with its count; and all records are there.
fn check(output: &Path, records: u64) {
    #[derive(Deserialize)]
    struct Row {
        key: u64,
        start: i64,
        count: u64,
    }
    let mut seen = BTreeMap::new();
    for path in visible(output) {
        for line in fs::read_to_string(&path).expect("output can be read").lines() {
            let row: Row = serde_json::from_str(line).expect("a row");
            let earlier = seen.insert((row.key, row.start), row.count);
            assert_eq!(earlier, None, "{line} in {} is repeated", path.display());
        }
    }
    let per_window = WINDOW as u64 / KEYS;
    for ((key, start), count) in &seen {
        let is_last = (start + WINDOW) as u64 > records;
        assert!(*count == per_window || is_last, "key {key} at {start} counts {count}");
    }
    assert_eq!(seen.values().sum::<u64>(), records);
}

#[derive(Clone, Copy)]
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

/// 0, 1, 2 … on one shard, about a million in a second, until it is closed.
#[derive(Clone)]
struct Numbers {
    open: Arc<AtomicBool>,
}

struct Reading {
    open: Arc<AtomicBool>,
    splits: Vec<String>,
    next: u64,
    /// How far it may go now.
    allowed: std::rc::Rc<std::cell::Cell<u64>>,
    ended: bool,
}

impl Source<u64> for Numbers {
    fn describe(&self) -> String {
        "numbers".to_owned()
    }

    fn poison(&self) -> Poison {
        Poison::Fail
    }

    fn open(self, cx: SourceContext) -> LocalFuture<millstream::Result<Box<dyn Reader<u64>>>> {
        let allowed = std::rc::Rc::new(std::cell::Cell::new(0));
        let (pace, host) = (allowed.clone(), cx.host.clone());
        let ticking = async move {
            loop {
                host.sleep(Duration::from_millis(1)).await;
                pace.set(pace.get() + 1000);
                cx.wake.wake_by_ref();
            }
        };
        cx.host.spawn(Class::Records, Box::pin(ticking));
        let splits = if cx.shard == 0 { vec!["numbers".to_owned()] } else { Vec::new() };
        let reading = Reading { open: self.open, splits, next: 0, allowed, ended: cx.shard != 0 };
        Box::pin(async { Ok(Box::new(reading) as Box<dyn Reader<u64>>) })
    }
}

impl Reader<u64> for Reading {
    fn splits(&self) -> &[String] {
        &self.splits
    }

    fn poll(&mut self, max: usize, out: &mut Fetched<u64>) -> millstream::Result<Polled> {
        if self.ended {
            return Ok(Polled::End);
        }
        if !self.open.load(Ordering::Relaxed) {
            self.ended = true;
            return Ok(Polled::SplitEnd(0));
        }
        let until = self.allowed.get().min(self.next + max as u64);
        if until == self.next {
            return Ok(Polled::Pending);
        }
        out.records.extend(self.next..until);
        self.next = until;
        Ok(Polled::Split(0))
    }

    fn is_silent(&self, _: usize) -> bool {
        false
    }

    fn positions(&self) -> BTreeMap<String, Json> {
        self.splits.iter().map(|split| (split.clone(), json!(self.next))).collect()
    }
}
