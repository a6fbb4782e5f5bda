//! `swarm`: many seeds, a number of them or as many as there is time for.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::{Done, Progress, all_cores, chosen, print_finding, program};
use crate::coverage::Coverage;
use crate::scenario::{Options, Scenario};
use crate::swarm::{Summary, Swarm};

#[derive(Args)]
pub(super) struct Swarming {
    /// How many of each scenario
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// For so long, shared among the scenarios, instead of a number of seeds
    #[arg(long, conflicts_with = "seeds")]
    minutes: Option<f64>,
    /// The first [default: 0; with `--minutes` a new one each time]
    #[arg(long)]
    first: Option<u64>,
    /// Only this scenario; otherwise all without a planted bug
    #[arg(long)]
    scenario: Option<String>,
    /// Threads [default: one per core]
    #[arg(long, alias = "threads")]
    jobs: Option<usize>,
    /// The number of cores, instead of one that is drawn
    #[arg(long, value_parser = super::cores)]
    cores: Option<usize>,
    /// Go on after a finding
    #[arg(long)]
    keep_going: bool,
}

impl Swarming {
    pub(super) fn run(self, scenarios: &[Scenario]) -> Done {
        let chosen = chosen(scenarios, self.scenario.as_deref())?;
        let options = Options { cores: self.cores, ..Options::default() };
        let began = Instant::now();
        let time = self.minutes.map(|minutes| Duration::try_from_secs_f64(minutes * 60.0));
        let time = time.transpose().map_err(|error| format!("--minutes: {error}"))?;
        let first = self.first.unwrap_or_else(|| if time.is_some() { of_the_clock() } else { 0 });
        let mut all = Summary::default();
        for (at, scenario) in chosen.iter().enumerate() {
            // What one has not used is shared among those that follow.
            let until = time.map(|time| {
                let left = time.saturating_sub(began.elapsed());
                Instant::now() + left / (chosen.len() - at) as u32
            });
            let seeds = if until.is_some() { u64::MAX } else { self.seeds };
            let threads = all_cores(self.jobs);
            let swarm = Swarm { first, seeds, until, threads, options, keep_going: self.keep_going };
            all.merge(run_one(swarm, scenario));
        }
        if all.seeds == 0 {
            return Err("no seed was run: give it more time, or more seeds".to_owned());
        }
        if chosen.len() > 1 {
            println!("\nall scenarios: {}", rates(&all, began.elapsed()));
        }
        println!("{}", all.coverage);
        print_missed(&all.coverage);
        Ok(all.findings.is_empty())
    }
}

/// A seed that was hardly run before.
fn of_the_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

fn run_one(swarm: Swarm, scenario: &Scenario) -> Summary {
    let (name, progress) = (scenario.name, Progress::new());
    let summary = swarm.run(scenario, |done| {
        progress.show(|took| {
            let of = if swarm.until.is_some() { String::new() } else { format!(" of {}", swarm.seeds) };
            format!("{name}: {done}{of} seeds, {:.0} seeds/s", done as f64 / took.as_secs_f64())
        });
    });
    let took = progress.started.elapsed();
    println!("{name}: seeds from {}: {}", swarm.first, rates(&summary, took));
    if summary.work > 0 {
        println!("{} operations: {:.0} operations/s", summary.work, summary.work as f64 / took.as_secs_f64());
    }
    for outcome in &summary.findings {
        print_finding(outcome, &outcome.replay_line(&program(), name));
        println!("  {} shrink {} --scenario {name}", program(), outcome.seed);
    }
    summary
}

fn rates(summary: &Summary, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    format!(
        "{} seeds in {seconds:.1} s, {:.0} seeds/s, {:.0} points/s, {:.0} × real time; {} findings",
        summary.seeds,
        summary.seeds as f64 / seconds,
        summary.points as f64 / seconds,
        summary.time.as_secs_f64() / seconds,
        summary.findings.len(),
    )
}

/// Where nothing struck, though it can.
fn print_missed(coverage: &Coverage) {
    let missed: Vec<_> = coverage.missed().map(|(fault, site)| format!("{fault:?} × {site:?}")).collect();
    let cells = Coverage::cells().count();
    println!("{} of {cells} cells of fault × site were hit", cells - missed.len());
    if !missed.is_empty() {
        println!("not: {}", missed.join(", "));
    }
}
