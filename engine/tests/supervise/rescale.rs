//! Every number of cores after every other: keyed state, timers, joins and splits go along.

use std::path::Path;
use std::time::Duration;

use millstream::prelude::*;
use millstream::sink::{Collect, Collected};

use crate::gated::Gated;

const MOST: usize = 8;
/// Records that are let through for each change of the cores.
const ROUND: u64 = 50;
const KEYS: u64 = 23;
/// The records of a key of the timers are within so many milliseconds.
const SPAN: Timestamp = 100;

/// A sequence of numbers of cores in which every one follows every one, itself too: a circle through the complete graph.
fn every_pair() -> Vec<usize> {
    let mut left: Vec<Vec<usize>> = (0..MOST).map(|_| (0..MOST).collect()).collect();
    let (mut path, mut way) = (vec![0], Vec::new());
    while let Some(&at) = path.last() {
        match left[at].pop() {
            Some(next) => path.push(next),
            None => way.extend(path.pop()),
        }
    }
    way.into_iter().map(|cores| cores + 1).collect()
}

/// Counts per key, and says so when a timer fires.
#[derive(Clone)]
struct Count;

impl Process for Count {
    type Key = u64;
    type In = u64;
    type Out = (u64, u64);
    type State = Value<u64>;

    fn declare(&self, state: &mut Declare) -> Value<u64> {
        state.value("count")
    }

    fn on_record(&mut self, _: u64, count: &Value<u64>, cx: &mut Context<'_, Self>) {
        // The same time for all records of the key.
        cx.timer_at((cx.time() / SPAN + 1) * SPAN);
        count.update(cx, |count| *count += 1);
    }

    fn on_timer(&mut self, _: Timestamp, count: &Value<u64>, cx: &mut Context<'_, Self>) {
        let counted = count.take(cx).unwrap_or(0);
        cx.emit((*cx.key(), counted));
    }
}

type Out = (&'static str, u64, u64);

/// A window, timers and a join over the numbers; what comes out does not depend on how the splits take turns.
fn job(numbers: &Gated, sink: &Collect<Out>) -> Job {
    let job = Job::new("all pairs");
    let time = |n: &u64| *n as Timestamp;
    let numbers = job.source("numbers", numbers.clone()).event_time(time, Watermarks::monotonous());
    let by_key = || numbers.clone().key_by(|n| n % KEYS);
    let sums = by_key().window(Tumbling::of(millis(90))).reduce("sums", |sum, n| *sum += n);
    let spans = numbers.clone().key_by(|n| n / SPAN as u64 * KEYS + n % KEYS);
    let counts = spans.process("counts", Count);
    let fives = numbers.clone().filter(|n| n % 5 == 0).key_by(|n| n % KEYS);
    let pairs = by_key().interval_join("pairs", fives, Within::millis(0..=60));
    sums.map(|sum| ("sum", sum.key, sum.value))
        .union("sums and counts", counts.map(|(key, count)| ("count", key, count)))
        .union("all", pairs.map(|(left, right)| ("pair", left, right)))
        .sink("out", sink.clone());
    job
}

fn config(cores: usize, dir: &Path) -> Config {
    Config::new()
        .cores(cores)
        .runtime(RuntimeKind::Threads)
        .pin(false)
        .checkpoints(dir)
        .checkpoint_every(Duration::from_millis(1))
        .max_parallelism(16)
        .batch_size(8)
}

fn sorted(out: &Collected<Out>) -> Vec<Out> {
    let mut out = out.take();
    out.sort_unstable();
    out
}

/// What one core that never stops puts out.
fn undisturbed(total: u64) -> Vec<Out> {
    let (numbers, (sink, out)) = (Gated::new(total, 5), collect());
    numbers.allow(total);
    job(&numbers, &sink).run(Config::new().cores(1).runtime(RuntimeKind::Threads)).expect("it runs");
    sorted(&out)
}

#[test]
fn a_job_is_restored_on_every_number_of_cores_from_every_other() {
    let (dir, way) = (tempfile::tempdir().expect("a temporary directory"), every_pair());
    assert_eq!(way.len(), MOST * MOST + 1);
    let total = ROUND * way.len() as u64;
    let (numbers, (sink, out)) = (Gated::new(total, 5), collect());
    for (round, &cores) in (1..).zip(&way) {
        let running = job(&numbers, &sink).start(config(cores, dir.path())).expect("it starts");
        numbers.allow(ROUND * round);
        while running.metrics().job().checkpoints.get() < 2 && !running.is_over() {
            std::thread::yield_now();
        }
        running.cancel();
        running.wait().expect("it can be restored");
    }
    numbers.allow(total);
    job(&numbers, &sink).run(config(3, dir.path())).expect("it can be restored");
    assert_eq!(sorted(&out), undisturbed(total));
}

fn until_on(running: &JobHandle, cores: usize) {
    while running.control().cores() != cores {
        assert!(!running.is_over(), "it waits for more numbers");
        std::thread::yield_now();
    }
}

#[test]
fn a_running_job_goes_on_with_every_number_of_cores_after_every_other() -> Result<()> {
    let (dir, mut way) = (tempfile::tempdir().expect("a temporary directory"), every_pair());
    way.dedup();
    let total = ROUND * way.len() as u64;
    let (numbers, (sink, out)) = (Gated::new(total, 5), collect());
    let running = job(&numbers, &sink).start(config(way[0], dir.path()).checkpoint_at_end_only())?;
    let control = running.control();
    for (round, &cores) in (1..).zip(&way) {
        // In the middle of the next records.
        numbers.allow(ROUND * round - 1);
        control.rescale(cores)?;
        until_on(&running, cores);
    }
    numbers.allow(total);
    let report = running.wait()?;
    assert_eq!(sorted(&out), undisturbed(total));
    assert_eq!((report.restarts, report.restored), (0, None));
    let (job, shards) = (control.metrics().job(), control.metrics().shards().len());
    assert_eq!((job.rescales.get() as usize, shards), (way.len() - 1, MOST));
    assert!(job.last_pause.get() > 0);
    Ok(())
}

#[test]
fn what_cannot_be_is_refused() -> Result<()> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (numbers, (sink, _out)) = (Gated::new(1, 1), collect());
    let running = job(&numbers, &sink).start(config(1, dir.path()))?;
    let control = running.control();
    let refused = |cores| control.rescale(cores).expect_err("it is refused").to_string();
    assert!(refused(0).contains("at least one"), "{}", refused(0));
    assert!(refused(17).contains("max_parallelism is 16"), "{}", refused(17));
    assert!(control.rescale(1).is_ok(), "it has one core");
    numbers.allow(1);
    running.wait()?;
    assert!(refused(2).contains("has ended"), "{}", refused(2));

    let running = job(&numbers, &sink).start(Config::new().cores(1).runtime(RuntimeKind::Threads))?;
    let error = running.control().rescale(2).expect_err("there are no checkpoints");
    assert_eq!(error.kind(), ErrorKind::Config);
    drop(running);
    let (_mains, control) = job(&numbers, &sink).into_mains(&config(1, dir.path()))?;
    assert!(control.rescale(2).expect_err("nobody supervises it").to_string().contains("into_attempts"));
    Ok(())
}
