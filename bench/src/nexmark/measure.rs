//! Queries at full speed, with the generator inside.

use std::hint::black_box;
use std::time::Instant;

use millstream::prelude::*;
use millstream::sink::Discard;
use millstream::stream::chain::Chain;

use super::generate::Generate;
use super::input::timed;
use super::queries::{Consumer, Query};
use super::table::Row;
use crate::report::{Cell, Outcome, Report, Spread, grouped};

/// What is measured.
pub struct Plan {
    /// These queries.
    pub queries: Vec<Query>,
    /// So many events.
    pub events: u64,
    /// So often each.
    pub repeat: usize,
    /// What the generator begins from.
    pub seed: u64,
    /// How the jobs run.
    pub config: Config,
    /// On so many cores.
    pub cores: usize,
}

/// Events per second of event time.
const RATE: u64 = 10_000_000;

/// Apache Flink 2.2.1 with its state on the heap, in thousand events per second: SQL with the official configuration
/// (mini-batches, object reuse), its generator inside, at parallelism 2 on a machine of two cores and 24 GiB.
const FLINK: [(Query, f64); 22] = [
    (Query::Q0, 2354.0),
    (Query::Q1, 2059.0),
    (Query::Q2, 2268.0),
    (Query::Q3, 2209.0),
    (Query::Q4, 274.0),
    (Query::Q5, 608.0),
    (Query::Q7, 223.0),
    (Query::Q8, 1207.0),
    (Query::Q9, 173.0),
    (Query::Q10, 474.0),
    (Query::Q11, 638.0),
    (Query::Q12, 1006.0),
    (Query::Q13, 1882.0),
    (Query::Q14, 2144.0),
    (Query::Q15, 618.0),
    (Query::Q16, 90.0),
    (Query::Q17, 1163.0),
    (Query::Q18, 430.0),
    (Query::Q19, 397.0),
    (Query::Q20, 276.0),
    (Query::Q21, 804.0),
    (Query::Q22, 1482.0),
];

/// Measures every query of the plan, one after the other, as often as asked, and the generator alone in between.
///
/// # Errors
/// If a job fails, or loses events.
pub fn measure(plan: &Plan) -> Outcome<Report> {
    let generate = Generate::new(plan.seed, RATE);
    let mut runs = vec![Vec::new(); plan.queries.len()];
    let mut alone = Vec::new();
    for run in 1..=plan.repeat {
        alone.push(timed_run(plan, || Ok(generator_alone(plan, &generate)))?);
        for (query, runs) in plan.queries.iter().zip(&mut runs) {
            eprint!("\rrun {run} of {}: {}    ", plan.repeat, query.name());
            runs.push(timed_run(plan, || once(plan, *query, &generate))?);
        }
    }
    eprintln!();
    Ok(report(plan, runs, alone))
}

/// One run.
#[derive(Clone, Copy)]
struct Run {
    /// Million events per second.
    speed: f64,
    /// Processor time of all cores for an event, in nanoseconds.
    cost: f64,
}

fn spread(runs: &[Run], of: impl Fn(&Run) -> f64) -> Spread {
    Spread::of(runs.iter().map(of).collect())
}

fn report(plan: &Plan, runs: Vec<Vec<Run>>, alone: Vec<Run>) -> Report {
    let (events, cores) = (grouped(plan.events), plan.cores);
    let title = format!("nexmark: {events} events, generator inside, {cores} cores (million events/s)");
    let columns = ["query", "median", "range", "CPU ns per event", "of the generator", "Flink", "ratio"];
    let mut report = Report::new(title, &columns);
    let (makes, costs) = (spread(&alone, |run| run.speed), spread(&alone, |run| run.cost).median);
    for (query, runs) in plan.queries.iter().zip(runs) {
        let ours = spread(&runs, |run| run.speed);
        let flink = FLINK.iter().find(|(other, _)| other == query).map(|(_, thousands)| thousands / 1e3);
        let or_dash =
            |value: Option<f64>, decimals| value.map_or(Cell::text("–"), |n| Cell::number(n, decimals));
        report.row(vec![
            Cell::text(query.name()),
            Cell::number(ours.median, 2),
            ours.range(),
            Cell::number(spread(&runs, |run| run.cost).median, 0),
            Cell::number(ours.median / makes.median, 2),
            or_dash(flink, 3),
            or_dash(flink.map(|flink| ours.median / flink), 1),
        ]);
    }
    let Spread { median, min, max } = makes;
    report.note(format!(
        "The generator alone makes {median:.1} ({min:.1}–{max:.1}) million events/s on as many threads, {costs:.0} ns each."
    ));
    report.note("Flink: 2.2.1, SQL, state on the heap, parallelism 2, on a machine of two cores; not part of this run.");
    report
}

/// A run that tells its events per second, with the processor time that it took.
fn timed_run(plan: &Plan, run: impl FnOnce() -> Outcome<f64>) -> Outcome<Run> {
    let before = processor_time();
    let speed = run()? / 1e6;
    Ok(Run { speed, cost: (processor_time() - before) * 1e9 / plan.events as f64 })
}

/// Processor time of this process, in seconds.
fn processor_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Events per second of one run.
fn once(plan: &Plan, query: Query, generate: &Generate) -> Outcome<f64> {
    let (job, sink, making) = (Job::new(query.name()), discard(), generate.clone());
    let events = timed(job.source("events", generator(plan.events, move |n| making.event(n))));
    query.build(events, Drop(sink));
    let report = job.run(plan.config.clone())?;
    if report.records_in != plan.events {
        return Err(format!("{} of {} events arrived", report.records_in, plan.events).into());
    }
    Ok(plan.events as f64 / report.elapsed.as_secs_f64())
}

/// Drops the rows.
struct Drop(Discard);

impl Consumer for Drop {
    fn consume<R: Row, C: Chain<Out = R>>(self, rows: Stream<R, C>) {
        rows.sink("rows", self.0);
    }
}

/// Events per second that are made, and dropped at once, on as many threads as there would be cores.
fn generator_alone(plan: &Plan, generate: &Generate) -> f64 {
    let start = Instant::now();
    std::thread::scope(|threads| {
        for first in 0..plan.cores {
            let numbers = (first as u64..plan.events).step_by(plan.cores);
            threads.spawn(move || numbers.for_each(|n| drop(black_box(generate.event(n)))));
        }
    });
    plan.events as f64 / start.elapsed().as_secs_f64()
}
