//! Sum per key in windows: the exchange, the window and the state store at full speed.

use std::path::PathBuf;

use millstream::prelude::*;
use millstream::stream::Windows;

use crate::bare;
use crate::events::Event;
use crate::report::{Cell, Outcome, Report, Spread, grouped};

#[derive(clap::Args)]
pub struct Args {
    /// Numbers of keys; several are measured in turn.
    #[arg(long, value_delimiter = ',', default_value = "1000,1000000,10000000")]
    keys: Vec<u64>,
    /// Numbers of cores; several are measured in turn.
    #[arg(long, value_delimiter = ',', default_value = "2")]
    cores: Vec<usize>,
    /// Records in each run.
    #[arg(long, default_value_t = 100_000_000)]
    events: u64,
    /// The windows, of 10 s each: side by side, one every 2 s, growing by 2 s, or sessions with that gap.
    #[arg(long, value_enum, default_value = "tumbling")]
    windows: Kind,
    /// Runs of each; the bare loops run in between. The median is reported.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// auto, uring or threads.
    #[arg(long, default_value = "auto")]
    runtime: RuntimeKind,
    /// Keep checkpoints here, one per second: their overhead is part of the figure then.
    #[arg(long)]
    checkpoints: Option<PathBuf>,
    /// Records in a batch.
    #[arg(long, default_value_t = 1024)]
    batch_size: usize,
    /// Leave the bare loops out.
    #[arg(long)]
    alone: bool,
}

/// Windows to be measured.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Kind {
    Tumbling,
    Sliding,
    Cumulative,
    Session,
}

#[derive(Clone)]
struct CountSum;

/// What is kept per key and window.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Totals {
    pub count: u64,
    pub sum: u64,
}

impl Aggregate for CountSum {
    type In = Event;
    type Acc = Totals;
    type Out = Totals;
    fn add(&self, totals: &mut Totals, event: &Event) {
        totals.count += 1;
        totals.sum += event.value;
    }
    fn finish(&self, totals: &Totals) -> Totals {
        *totals
    }
}

impl Merge for CountSum {
    fn merge(&self, totals: &mut Totals, other: &Totals) {
        totals.count += other.count;
        totals.sum += other.sum;
    }
}

pub fn run(args: &Args) -> Outcome<Report> {
    let title = format!(
        "keyed-sum: {:?} 10 s windows, {} records, generator inside, exchange included (million records/s)",
        args.windows,
        grouped(args.events)
    );
    let columns =
        ["keys", "cores", "median", "range", "per core", "hash map", "prefetched", "of the better loop"];
    let mut report = Report::new(title, &columns);
    for &keys in &args.keys {
        for &cores in &args.cores {
            measure(args, keys, cores, &mut report)?;
        }
    }
    report.note("hash map, prefetched: bare loops on one core over the same generator, run in between.");
    Ok(report)
}

fn measure(args: &Args, keys: u64, cores: usize, report: &mut Report) -> Outcome<()> {
    let (mut ours, mut maps, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=args.runs {
        eprint!("\r{} keys, {cores} cores: run {run} of {} ", grouped(keys), args.runs);
        ours.push(once(args, keys, cores)? / 1e6);
        if !args.alone {
            maps.push(bare::hash_map(args.events, keys) / 1e6);
            tables.push(bare::prefetched(args.events, keys) / 1e6);
        }
    }
    eprintln!();
    let ours = Spread::of(ours);
    let per_core = ours.median / cores as f64;
    let mut row = vec![
        Cell::count(keys),
        Cell::count(cores as u64),
        Cell::number(ours.median, 1),
        ours.range(),
        Cell::number(per_core, 1),
    ];
    if args.alone {
        row.extend([Cell::text("–"), Cell::text("–"), Cell::text("–")]);
    } else {
        let (map, table) = (Spread::of(maps).median, Spread::of(tables).median);
        row.extend([
            Cell::number(map, 1),
            Cell::number(table, 1),
            Cell::number(per_core / map.max(table), 2),
        ]);
    }
    report.row(row);
    Ok(())
}

/// Records per second of one run.
fn once(args: &Args, keys: u64, cores: usize) -> Outcome<f64> {
    let (size, step) = (secs(10), secs(2));
    match args.windows {
        Kind::Tumbling => run_job(args, keys, cores, Tumbling::of(size)),
        Kind::Sliding => run_job(args, keys, cores, Sliding::of(size, step)),
        Kind::Cumulative => run_job(args, keys, cores, Cumulative::of(size, step)),
        Kind::Session => run_job(args, keys, cores, Session::with_gap(size)),
    }
}

fn run_job<W: Windows<CountSum>>(args: &Args, keys: u64, cores: usize, windows: W) -> Outcome<f64> {
    let job = Job::new("keyed-sum");
    let sink = discard();
    job.source("events", generator(args.events, move |index| Event::new(index, keys)))
        .event_time(|event| event.at, Watermarks::monotonous())
        .key_by(|event| event.key)
        .window(windows)
        .aggregate("sum", CountSum)
        .map(|sum| (sum.key, sum.value.count, sum.value.sum))
        .sink("out", sink.clone());
    let mut config = Config::new().cores(cores).runtime(args.runtime).batch_size(args.batch_size);
    let directory = args.checkpoints.as_ref().map(tempfile::tempdir_in).transpose()?;
    if let Some(directory) = &directory {
        config = config.checkpoints(directory.path());
    }
    let report = job.run(config)?;
    if report.records_in != args.events || sink.count() == 0 {
        return Err(format!("{} of {} records arrived", report.records_in, args.events).into());
    }
    Ok(args.events as f64 / report.elapsed.as_secs_f64())
}
