//! A job that fails is started again as its strategy says, and puts everything out once.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream::host::{Class, LocalFuture};
use millstream::prelude::*;
use millstream::restart::Backoff;
use millstream::sink::{Prepared, Sink, SinkContext, Writer};
use millstream::source::{Reader, Source, SourceContext};
use serde_json::Value as Json;

use crate::gated::Gated;

const TOTAL: u64 = 20_000;

/// EMFILE.
const TOO_MANY_OPEN_FILES: i32 = 24;

fn config(cores: usize, dir: &Path) -> Config {
    Config::new()
        .cores(cores)
        .runtime(RuntimeKind::Threads)
        .checkpoints(dir)
        .checkpoint_every(Duration::from_millis(2))
        .batch_size(64)
}

fn room() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A function that panics the first time that it sees each of some numbers.
fn fused(numbers: &'static [u64]) -> impl Fn(u64) -> u64 + Clone + Send + 'static {
    let blown = Arc::new(AtomicU64::new(0));
    move |n| {
        let at = numbers.iter().position(|&of| of == n);
        if at.is_some_and(|at| blown.fetch_or(1 << at, Ordering::Relaxed) & 1 << at == 0) {
            panic!("{n} blows a fuse");
        }
        n
    }
}

fn patient() -> Restart {
    Restart::exponential(Backoff { initial: millis(1), max: millis(4), ..Backoff::default() })
}

#[test]
fn a_job_that_panics_goes_on_from_its_last_checkpoint() -> Result<()> {
    let (dir, (sink, sums)) = (room(), collect());
    let job = Job::new("fuses");
    job.source("numbers", generator(TOTAL, |n| n))
        .event_time(|n| *n as Timestamp, Watermarks::monotonous())
        // All of them on the first core: only one at a time.
        .map(fused(&[700, 9_000, 19_998]))
        .key_by(|n| n % 3)
        .window(Tumbling::of(secs(1)))
        .reduce("sums", |sum, n| *sum += n)
        .map(|sum| (sum.window.start, sum.key, sum.value))
        .sink("out", sink);
    let running = job.start(config(2, dir.path()).restart(patient()))?;
    let control = running.control();
    let report = running.wait()?;

    let mut sums = sums.take();
    sums.sort_unstable();
    let sum = |second: u64, key: u64| -> u64 {
        (1_000 * second..1_000 * (second + 1)).filter(|n| n % 3 == key).sum()
    };
    let of = |second: u64| (0..3).map(move |key| (1_000 * second as Timestamp, key, sum(second, key)));
    assert_eq!(sums, (0..TOTAL / 1_000).flat_map(of).collect::<Vec<_>>());

    assert_eq!(report.restarts, 3);
    assert!(report.records_in >= TOTAL, "the counters go on");
    let failures = control.failures();
    assert_eq!(failures.iter().map(|failure| failure.restart).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(failures.iter().all(|failure| failure.kind == ErrorKind::User && failure.at > 0));
    assert_eq!(report.last_failure.as_deref(), Some(&*failures[2].cause));
    Ok(())
}

#[test]
fn a_job_that_fails_too_often_ends_with_its_last_error() {
    let dir = room();
    let job = Job::new("hopeless");
    let never = |n: u64| if n == 5 { panic!("never") } else { n };
    job.source("numbers", generator(10, |n| n)).map(never).sink("out", discard());
    let running =
        job.start(config(1, dir.path()).restart(Restart::fixed_delay(2, millis(1)))).expect("it starts");
    let control = running.control();
    let text = running.wait().expect_err("it fails").to_string();
    assert!(
        text.starts_with("the job was started again 2 times, and failed: core 0: step `numbers`"),
        "{text}"
    );
    assert_eq!(control.failures().len(), 3);
    assert_eq!(control.metrics().job().restarts.get(), 2);
}

#[test]
fn what_a_restart_cannot_mend_is_not_tried_again() {
    let dir = room();
    let run = |name: &str| {
        let job = Job::new(name);
        job.source("numbers", generator(10, |n| n)).sink("out", discard());
        let running = job.start(config(1, dir.path()).restart(patient())).expect("it starts");
        let control = running.control();
        (running.wait(), control)
    };
    run("first").0.expect("it runs");
    let (refused, control) = run("second");
    assert_eq!(refused.expect_err("the checkpoint is another job's").kind(), ErrorKind::Restore);
    assert_eq!((control.failures().len(), control.metrics().job().restarts.get()), (1, 0));
}

#[test]
fn a_source_that_comes_back_is_read() -> Result<()> {
    let dir = room();
    let input = dir.path().join("numbers.ndjson");
    let job = Job::new("absent");
    let (sink, numbers) = collect();
    job.source("numbers", files::<u64>([&input])).sink("out", sink);
    let running = job.start(config(1, &dir.path().join("state")).restart(patient()))?;
    while running.control().failures().len() < 2 {
        assert!(!running.is_over(), "it goes on until it is ended");
        std::thread::yield_now();
    }
    // It is there as a whole or not at all.
    fs::write(dir.path().join("written"), "1\n2\n3\n").expect("there is room");
    fs::rename(dir.path().join("written"), &input).expect("it is the same directory");
    assert!(running.wait()?.restarts >= 2);
    assert_eq!(numbers.take(), [1, 2, 3]);
    Ok(())
}

#[test]
fn a_job_that_waits_to_be_started_again_can_be_cancelled() -> Result<()> {
    let dir = room();
    let job = Job::new("slow");
    job.source("numbers", generator(10, |_| -> u64 { panic!("at once") })).sink("out", discard());
    let running = job.start(config(1, dir.path()).restart(Restart::fixed_delay(1, Duration::MAX)))?;
    while running.control().failures().is_empty() {
        assert!(!running.is_over(), "it goes on until it is ended");
        std::thread::yield_now();
    }
    assert!(!running.is_over());
    running.cancel();
    assert!(running.wait()?.cancelled);
    Ok(())
}

#[test]
fn a_job_that_fails_before_its_first_checkpoint_begins_anew() -> Result<()> {
    let (dir, numbers, (sink, out)) = (room(), Gated::new(100, 3), collect());
    let job = Job::new("early");
    job.source("numbers", numbers.clone()).map(fused(&[50])).sink("out", sink);
    let running = job.start(config(1, dir.path()).checkpoint_at_end_only().restart(patient()))?;
    numbers.allow(100);
    let report = running.wait()?;
    assert_eq!((report.restarts, report.restored), (1, None));
    let mut seen = out.take();
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<u64>>());
    Ok(())
}

/// A sink that keeps nothing, and panics where it is told to, once.
#[derive(Clone)]
struct Brittle {
    at: &'static str,
    broken: Arc<AtomicU64>,
}

impl Brittle {
    fn touch(&self, at: &str) {
        if at == self.at && self.broken.fetch_add(1, Ordering::Relaxed) == 0 {
            panic!("brittle at {at}");
        }
    }
}

impl Sink<u64> for Brittle {
    fn describe(&self) -> String {
        "something brittle".to_owned()
    }

    fn recover(self, _: SinkContext, _: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async move {
            self.touch("recover");
            match self.at {
                "files" if self.broken.fetch_add(1, Ordering::Relaxed) == 0 => {
                    Err(Error::new(ErrorKind::Restore, "what was prepared cannot be opened")
                        .caused_by(io::Error::from_raw_os_error(TOO_MANY_OPEN_FILES)))
                }
                _ => Ok(()),
            }
        })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<u64>>>> {
        Box::pin(async move {
            self.touch("open");
            let task = self.clone();
            cx.host.spawn(Class::Records, Box::pin(async move { task.touch("task") }));
            Ok(Box::new(self) as Box<dyn Writer<u64>>)
        })
    }
}

impl Writer<u64> for Brittle {
    fn write(&mut self, records: &mut Vec<u64>, _: &[Timestamp]) -> Result<()> {
        self.touch("write");
        records.clear();
        Ok(())
    }

    fn has_room(&self) -> bool {
        true
    }

    fn pre_commit(&mut self, _: u64) -> LocalFuture<Result<Json>> {
        self.touch("pre_commit");
        let sink = self.clone();
        Box::pin(async move {
            sink.touch("prepared");
            Ok(Json::Null)
        })
    }

    fn commit(&mut self, _: u64) -> LocalFuture<Result<()>> {
        self.touch("commit");
        let sink = self.clone();
        Box::pin(async move {
            sink.touch("committed");
            Ok(())
        })
    }
}

#[test]
fn a_panic_anywhere_in_a_sink_is_its_failure_and_mended() -> Result<()> {
    for at in ["recover", "open", "task", "write", "pre_commit", "prepared", "commit", "committed"] {
        let dir = room();
        let job = Job::new("brittle");
        job.source("numbers", generator(10, |n| n)).sink("out", Brittle { at, broken: Arc::default() });
        let report = job.run(config(1, dir.path()).restart(patient()))?;
        let failure = report.last_failure.expect("it has failed");
        assert_eq!(report.restarts, 1, "{failure}");
        assert!(failure.contains("`out`"), "{failure}");
        assert!(failure.contains(&format!("brittle at {at}")), "{failure}");
    }
    Ok(())
}

#[test]
fn a_restore_that_lacked_files_is_tried_again() -> Result<()> {
    let dir = room();
    let job = Job::new("brittle");
    job.source("numbers", generator(10, |n| n)).sink("out", Brittle { at: "files", broken: Arc::default() });
    let report = job.run(config(1, dir.path()).restart(patient()))?;
    let failure = report.last_failure.expect("it has failed");
    assert!(report.restarts == 1 && failure.contains("cannot be opened"), "{failure}");
    Ok(())
}

#[test]
fn a_strategy_without_checkpoints_is_refused() {
    let job = Job::new("forgetful");
    job.source("numbers", generator(10, |n| n)).sink("out", discard());
    let refused = job.run(Config::new().restart(patient())).expect_err("nothing to go on from");
    assert_eq!(refused.kind(), ErrorKind::Config);
}

/// A source that can be laid out once.
struct Fragile {
    numbers: Gated,
    clones: Arc<AtomicU64>,
}

impl Clone for Fragile {
    fn clone(&self) -> Fragile {
        assert_eq!(self.clones.fetch_add(1, Ordering::Relaxed), 0, "it is not to be copied again");
        Fragile { numbers: self.numbers.clone(), clones: self.clones.clone() }
    }
}

impl Source<u64> for Fragile {
    fn describe(&self) -> String {
        "something fragile".to_owned()
    }

    fn poison(&self) -> Poison {
        Poison::Fail
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<u64>>>> {
        self.numbers.open(cx)
    }
}

#[test]
fn a_job_that_cannot_be_laid_out_again_is_over() {
    let (dir, numbers) = (room(), Gated::new(10, 1));
    numbers.allow(10);
    let job = Job::new("fragile");
    job.source("numbers", Fragile { numbers, clones: Arc::default() })
        .map(fused(&[5]))
        .sink("out", discard());
    let running = job.start(config(1, dir.path()).restart(patient())).expect("it starts");
    while !running.is_over() {
        std::thread::yield_now();
    }
    let error = running.wait().expect_err("there is no second start").to_string();
    assert!(error.contains("laid out again") && error.contains("not to be copied again"), "{error}");
}
