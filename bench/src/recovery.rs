//! How soon a job puts something out after a restart, and how long checkpoints take behind a slow sink.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use millstream::metrics::CheckpointStats;
use millstream::prelude::*;
use millstream::sink::Sink;
use millstream::testing::Throttled;

use crate::report::{Cell, Outcome, Report, grouped};

#[derive(clap::Args)]
pub struct Args {
    /// Keys of the jobs that are restarted.
    #[arg(long, value_delimiter = ',', default_value = "1000,1000000,10000000")]
    keys: Vec<u64>,
    #[arg(long, default_value_t = 2)]
    cores: usize,
    /// auto, uring or threads.
    #[arg(long, default_value = "auto")]
    runtime: RuntimeKind,
    /// How often each is restarted.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// How long each job behind a slow sink runs.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// How many times slower than it could be the slow sink is.
    #[arg(long, default_value_t = 100.0)]
    slower: f64,
    /// Where checkpoints are kept. Default: a temporary directory here.
    #[arg(long, default_value = ".")]
    checkpoints: PathBuf,
}

impl Args {
    fn config(&self, checkpoints: &Path) -> Config {
        Config::new().cores(self.cores).runtime(self.runtime).checkpoints(checkpoints)
    }
}

/// Counts the records of each key, and puts each out as often as it is told.
#[derive(Clone)]
struct Count {
    times: usize,
}

impl Process for Count {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = Value<u64>;
    fn declare(&self, state: &mut Declare) -> Value<u64> {
        state.value("count")
    }
    fn on_record(&mut self, n: u64, count: &Value<u64>, cx: &mut Context<'_, Self>) {
        count.update(cx, |n| *n += 1);
        (0..self.times).for_each(|_| cx.emit(n));
    }
}

fn counting(keys: u64) -> Job {
    let job = Job::new("counting");
    let numbers = job.source("numbers", generator(u64::MAX, |n| n));
    numbers.key_by(move |n| n % keys).process("count", Count { times: 1 }).sink("out", discard());
    job
}

/// Until it is so, or the job has failed.
fn wait_for(running: &JobHandle, what: impl Fn() -> bool) {
    while !what() && !running.is_over() {
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Restarts a job from a checkpoint with this many keys. Returns how soon it put something out each time.
fn restarts(args: &Args, keys: u64) -> Outcome<Vec<Duration>> {
    let directory = tempfile::tempdir_in(&args.checkpoints)?;
    let running = counting(keys).start(args.config(directory.path()).checkpoint_every(secs(1)))?;
    let metrics = running.metrics().clone();
    wait_for(&running, || metrics.sum(|shard| &shard.records_in) >= 2 * keys);
    let complete = metrics.job().checkpoints.get();
    wait_for(&running, || metrics.job().checkpoints.get() >= complete + 2);
    running.cancel();
    running.wait()?;
    let mut took = Vec::new();
    for _ in 0..args.runs {
        let began = Instant::now();
        let running = counting(keys).start(args.config(directory.path()).checkpoint_every(hours(1)))?;
        let metrics = running.metrics().clone();
        wait_for(&running, || metrics.sum(|shard| &shard.records_out) > 0);
        let after = began.elapsed();
        running.cancel();
        let report = running.wait()?;
        assert!(report.restored.is_some(), "there is a checkpoint");
        took.push(after);
    }
    took.sort_unstable();
    Ok(took)
}

/// A record that becomes four hundred on the way to a sink.
fn widening(sink: impl Sink<u64>) -> Job {
    let job = Job::new("widening");
    let once = job.source("numbers", generator(u64::MAX, |n| n)).key_by(|n| n % 1000).unaligned();
    let again = once.process("many", Count { times: 20 }).key_by(|n| n % 999).unaligned();
    let last = again.process("more", Count { times: 20 }).key_by(|n| n % 998).unaligned();
    last.process("last", Count { times: 1 }).sink("slow", sink);
    job
}

/// Runs it for a time. Returns its checkpoints, and how many records a second came to the sink.
fn behind(args: &Args, pace: Duration, patience: Option<Duration>) -> Outcome<(Vec<CheckpointStats>, f64)> {
    let directory = tempfile::tempdir_in(&args.checkpoints)?;
    let config = args.config(directory.path()).checkpoint_every(secs(1)).checkpoint_timeout(hours(1));
    let config = patience.map_or(config.clone(), |patience| config.unaligned_after(patience));
    let job = match pace {
        Duration::ZERO => widening(discard()),
        pace => widening(Throttled::new(discard(), pace)),
    };
    let running = job.start(config)?;
    let until = Instant::now() + Duration::from_secs_f64(args.seconds);
    wait_for(&running, || Instant::now() >= until);
    let metrics = running.metrics().clone();
    let records = metrics.sum(|shard| &shard.records_out);
    running.cancel();
    running.wait()?;
    Ok((metrics.checkpoint_history(), records as f64 / args.seconds))
}

pub fn run(args: &Args) -> Outcome<Report> {
    let columns = ["what", "median ms", "least ms", "most ms", "times", "goal ms"];
    let mut report = Report::new(format!("recovery and checkpoints, {} cores", args.cores), &columns);
    let millis = |took: Duration| Cell::number(took.as_secs_f64() * 1e3, 1);
    for &keys in &args.keys {
        eprintln!("restarts with {} keys", grouped(keys));
        let took = restarts(args, keys)?;
        let goal = if keys <= 1000 { "50" } else { "" };
        let what = Cell::text(format!("start to first output, {} keys", grouped(keys)));
        let (least, most) = (took[0], took[took.len() - 1]);
        let times = Cell::count(took.len() as u64);
        report.row(vec![
            what,
            millis(took[took.len() / 2]),
            millis(least),
            millis(most),
            times,
            Cell::text(goal),
        ]);
    }
    eprintln!("checkpoints in front of a sink at full speed, and a slow one: {} s each", args.seconds);
    let (calm, rate) = behind(args, Duration::ZERO, None)?;
    let pace = Duration::from_secs_f64(args.slower * args.cores as f64 / rate);
    let slow = [("aligned", None), ("aligned, unaligned after 100 ms", Some(Duration::from_millis(100)))];
    let mut all = vec![("sink at full speed", calm, "")];
    for (what, patience) in slow.into_iter().chain([("unaligned at once", Some(Duration::ZERO))]) {
        let goal = if patience.is_some() { "1000" } else { "" };
        all.push((what, behind(args, pace, patience)?.0, goal));
    }
    for (what, checkpoints, goal) in all {
        let mut took: Vec<_> =
            checkpoints.iter().filter(|of| of.aborted.is_none()).map(|of| of.duration).collect();
        took.sort_unstable();
        let none = || Cell::text(format!("> {:.0}", args.seconds * 1e3));
        let at = |i: usize| took.get(i).map_or_else(none, |took| millis(*took));
        let last = took.len().saturating_sub(1);
        let (what, times) = (Cell::text(format!("checkpoint, {what}")), Cell::count(took.len() as u64));
        report.row(vec![what, at(took.len() / 2), at(0), at(last), times, Cell::text(goal)]);
    }
    report.note(format!(
        "The sink at full speed took {} records/s; the slow one {} times less: one per {pace:?} and core.",
        grouped(rate as u64),
        args.slower
    ));
    Ok(report)
}
