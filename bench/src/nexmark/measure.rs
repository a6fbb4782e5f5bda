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
    let mut speeds = vec![Vec::new(); plan.queries.len()];
    let mut alone = Vec::new();
    for run in 1..=plan.repeat {
        alone.push(generator_alone(plan, &generate) / 1e6);
        for (query, speeds) in plan.queries.iter().zip(&mut speeds) {
            eprint!("\rrun {run} of {}: {}    ", plan.repeat, query.name());
            speeds.push(once(plan, *query, &generate)? / 1e6);
        }
    }
    eprintln!();
    Ok(report(plan, speeds, Spread::of(alone)))
}

fn report(plan: &Plan, speeds: Vec<Vec<f64>>, alone: Spread) -> Report {
    let title = format!(
        "nexmark: {} events, generator inside, {} cores (million events/s)",
        grouped(plan.events),
        plan.cores
    );
    let mut report = Report::new(title, &["query", "median", "range", "of the generator", "Flink", "ratio"]);
    for (query, speeds) in plan.queries.iter().zip(speeds) {
        let ours = Spread::of(speeds);
        let flink = FLINK.iter().find(|(other, _)| other == query).map(|(_, thousands)| thousands / 1e3);
        let or_dash =
            |value: Option<f64>, decimals| value.map_or(Cell::text("–"), |n| Cell::number(n, decimals));
        report.row(vec![
            Cell::text(query.name()),
            Cell::number(ours.median, 2),
            ours.range(),
            Cell::number(ours.median / alone.median, 2),
            or_dash(flink, 3),
            or_dash(flink.map(|flink| ours.median / flink), 1),
        ]);
    }
    let (median, min, max) = (alone.median, alone.min, alone.max);
    report.note(format!(
        "The generator alone makes {median:.1} ({min:.1}–{max:.1}) million events/s on as many threads."
    ));
    report.note("Flink: 2.2.1, SQL, state on the heap, parallelism 2, on a machine of two cores; not part of this run.");
    report
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
