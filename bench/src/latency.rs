//! Latency under load, open loop: from the time a record was due to the time its result reached the sink.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millstream::host::{Class, LocalFuture};
use millstream::prelude::*;
use millstream::sink::{Prepared, Sink, SinkContext, Writer};
use millstream::source::{Fetched, Polled, Reader, Source, SourceContext};
use serde_json::{Value as Json, json};

use crate::events::Event;
use crate::report::{Cell, Outcome, Report, grouped};

#[derive(clap::Args)]
pub struct Args {
    /// Records per second, over all cores.
    #[arg(long, default_value_t = 100_000)]
    rate: u64,
    /// How long.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Not counted, at the beginning.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    #[arg(long, default_value_t = 2)]
    cores: usize,
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// auto, uring or threads.
    #[arg(long, default_value = "auto")]
    runtime: RuntimeKind,
    /// Let idle cores spin instead of sleep.
    #[arg(long)]
    spin: bool,
    /// Where checkpoints are kept, one per second. Default: a temporary directory here.
    #[arg(long, default_value = ".")]
    checkpoints: PathBuf,
    /// No checkpoints.
    #[arg(long)]
    no_checkpoints: bool,
}

/// A record and the time it was due, in nanoseconds from the start.
#[derive(Clone, Copy)]
struct Due {
    key: u64,
    due: u64,
}

/// The schedule that all cores share.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    /// Nanoseconds between two records of one core.
    interval: f64,
    per_core: u64,
    keys: u64,
    spin: bool,
}

#[derive(Clone)]
struct OpenLoop(Schedule);

struct OpenLoopReader {
    schedule: Schedule,
    cx: SourceContext,
    next: u64,
    splits: Vec<String>,
    asleep: Rc<std::cell::Cell<bool>>,
}

impl Source<Due> for OpenLoop {
    fn describe(&self) -> String {
        "records on a schedule".into()
    }
    fn poison(&self) -> Poison {
        Poison::Fail
    }
    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<Due>>>> {
        let splits = vec![format!("core-{}", cx.shard)];
        let (schedule, asleep) = (self.0, Rc::default());
        let reader = OpenLoopReader { schedule, cx, next: 0, splits, asleep };
        Box::pin(async move { Ok(Box::new(reader) as Box<dyn Reader<Due>>) })
    }
}

impl OpenLoopReader {
    fn due(&self, n: u64) -> u64 {
        // The cores take turns, so that records are due evenly over all of them.
        let phase = self.cx.shard as f64 / self.cx.shards as f64;
        ((n as f64 + phase) * self.schedule.interval) as u64
    }

    /// Has the shard woken when the next record is due.
    fn sleep(&self, now: u64) {
        let left = Duration::from_nanos(self.due(self.next).saturating_sub(now));
        if self.schedule.spin || left < Duration::from_micros(2) {
            return self.cx.wake.wake_by_ref();
        }
        if self.asleep.replace(true) {
            return;
        }
        let (sleep, wake, asleep) = (self.cx.host.sleep(left), self.cx.wake.clone(), self.asleep.clone());
        self.cx.host.spawn(
            Class::Records,
            Box::pin(async move {
                sleep.await;
                asleep.set(false);
                wake.wake();
            }),
        );
    }
}

impl Reader<Due> for OpenLoopReader {
    fn splits(&self) -> &[String] {
        &self.splits
    }
    fn poll(&mut self, max: usize, out: &mut Fetched<Due>) -> Result<Polled> {
        if self.next == self.schedule.per_core {
            return Ok(Polled::End);
        }
        let now = self.schedule.start.elapsed().as_nanos() as u64;
        let before = self.next;
        while self.next < self.schedule.per_core && self.next - before < max as u64 {
            let due = self.due(self.next);
            if due > now {
                break;
            }
            let key =
                Event::new(self.next * self.cx.shards as u64 + self.cx.shard as u64, self.schedule.keys).key;
            out.records.push(Due { key, due });
            self.next += 1;
        }
        if self.next > before {
            return Ok(Polled::Split(0));
        }
        self.sleep(now);
        Ok(Polled::Pending)
    }
    fn is_silent(&self, _: usize) -> bool {
        true
    }
    fn positions(&self) -> BTreeMap<String, Json> {
        BTreeMap::from([(self.splits[0].clone(), json!(self.next))])
    }
}

/// Counts the records of each key.
#[derive(Clone)]
struct Count;

impl Process for Count {
    type Key = u64;
    type In = Due;
    type Out = Due;
    type State = Value<u64>;
    fn declare(&self, state: &mut Declare) -> Value<u64> {
        state.value("count")
    }
    fn on_record(&mut self, record: Due, count: &Value<u64>, cx: &mut Context<'_, Self>) {
        count.update(cx, |n| *n += 1);
        cx.emit(record);
    }
}

/// Records how late each record is.
#[derive(Clone)]
struct Lateness {
    start: Instant,
    warm_up: u64,
    total: Arc<Mutex<Histogram<u64>>>,
}

struct LatenessWriter {
    sink: Lateness,
    own: Histogram<u64>,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}

impl Sink<Due> for Lateness {
    fn describe(&self) -> String {
        "a histogram".into()
    }
    fn recover(self, _: SinkContext, _: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn open(self, _: SinkContext) -> LocalFuture<Result<Box<dyn Writer<Due>>>> {
        let writer = LatenessWriter { sink: self, own: histogram() };
        Box::pin(async move { Ok(Box::new(writer) as Box<dyn Writer<Due>>) })
    }
}

impl Writer<Due> for LatenessWriter {
    fn write(&mut self, records: &mut Vec<Due>, _: &[Timestamp]) -> Result<()> {
        let now = self.sink.start.elapsed().as_nanos() as u64;
        for record in records.drain(..).filter(|record| record.due >= self.sink.warm_up) {
            self.own.saturating_record((now - record.due).max(1));
        }
        Ok(())
    }
    fn has_room(&self) -> bool {
        true
    }
    fn pre_commit(&mut self, _: u64) -> LocalFuture<Result<Json>> {
        let mut total = self.sink.total.lock().unwrap_or_else(PoisonError::into_inner);
        total.add(&self.own).expect("equal bounds");
        self.own.reset();
        Box::pin(async { Ok(Json::Null) })
    }
    fn commit(&mut self, _: u64) -> LocalFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// The machine's own hiccups: how late a thread that only reads the clock sees time pass.
fn hiccups(seconds: u64) -> Histogram<u64> {
    let mut histogram = histogram();
    let start = Instant::now();
    let mut last = start;
    while start.elapsed() < Duration::from_secs(seconds) {
        let now = Instant::now();
        histogram.saturating_record((now - last).as_nanos().max(1) as u64);
        last = now;
    }
    histogram
}

pub fn run(args: &Args) -> Outcome<Report> {
    eprintln!("baseline: {} s", args.seconds.min(10));
    let baseline = hiccups(args.seconds.min(10));
    eprintln!("load: {} s", args.warm_up + args.seconds);
    let total = Arc::new(Mutex::new(histogram()));
    let start = Instant::now() + Duration::from_millis(300);
    let per_core = args.rate * (args.warm_up + args.seconds) / args.cores as u64;
    let interval = 1e9 * args.cores as f64 / args.rate as f64;
    let schedule = Schedule { start, interval, per_core, keys: args.keys, spin: args.spin };
    let sink = Lateness { start, warm_up: args.warm_up * 1_000_000_000, total: total.clone() };
    let job = Job::new("latency");
    job.source("schedule", OpenLoop(schedule))
        .key_by(|record| record.key)
        .process("count", Count)
        .sink("out", sink);
    let directory = tempfile::tempdir_in(&args.checkpoints)?;
    let mut config = Config::new().cores(args.cores).runtime(args.runtime).checkpoint_every(secs(1));
    if !args.no_checkpoints {
        config = config.checkpoints(directory.path());
    }
    if args.spin {
        config = config.spin(Duration::from_secs(3600));
    }
    let ended = job.run(config)?;

    let title = format!(
        "latency: keyed count, {} records/s on {} cores, {} keys, {} checkpoints (µs)",
        grouped(args.rate),
        args.cores,
        grouped(args.keys),
        ended.checkpoints
    );
    let mut report = Report::new(title, &["what", "p50", "p99", "p99.9", "p99.99", "max", "samples"]);
    let total = total.lock().unwrap_or_else(PoisonError::into_inner);
    for (what, histogram) in [("due → sink", &*total), ("machine's hiccups", &baseline)] {
        let at = |q: f64| Cell::number(histogram.value_at_quantile(q) as f64 / 1e3, 1);
        let max = Cell::number(histogram.max() as f64 / 1e3, 1);
        let samples = Cell::count(histogram.len());
        report.row(vec![Cell::text(what), at(0.5), at(0.99), at(0.999), at(0.9999), max, samples]);
    }
    report.note("Open loop: from the time a record was due, never from when it was let in.");
    Ok(report)
}
