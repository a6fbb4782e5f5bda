//! `replay` and `shrink`: one run, again, or what is left of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::tape_file::TapeFile;
use super::{Done, Progress, Which, all_cores, find, print_finding, program};
use crate::scenario::{Options, Outcome, Scenario};
use crate::shrink::{Shrink, Shrunk};

#[derive(Args)]
pub(super) struct Replaying {
    /// The seed
    #[arg(required_unless_present = "tape")]
    seed: Option<u64>,
    #[command(flatten)]
    which: Which,
    /// Instead of a seed: what `shrink` has left of one
    #[arg(long, conflicts_with_all = ["seed", "scenario", "cores", "bug", "crash"])]
    tape: Option<PathBuf>,
    /// Print only what came of it
    #[arg(long)]
    quiet: bool,
}

#[derive(Args)]
pub(super) struct Shrinking {
    /// The seed
    seed: u64,
    #[command(flatten)]
    which: Which,
    /// The longest that it may take
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Threads [default: one per core]
    #[arg(long, alias = "threads")]
    jobs: Option<usize>,
    /// Where the tape is kept [default: SCENARIO-SEED.tape]
    #[arg(long)]
    output: Option<PathBuf>,
}

impl Replaying {
    pub(super) fn run(self, scenarios: &[Scenario]) -> Done {
        let log = |options: Options| Options { keep_log: !self.quiet, ..options };
        if let Some(path) = &self.tape {
            let file = TapeFile::read(path)?;
            let scenario = find(scenarios, &file.scenario)?;
            let outcome = scenario.play(file.seed, &file.tape, &log(file.options()));
            print_run(&outcome);
            if let Some(finding) = &outcome.finding {
                println!("{finding}\n  {} replay --tape {}", program(), path.display());
            }
            return Ok(outcome.finding.is_none());
        }
        let scenario = find(scenarios, self.which.scenario.as_deref().unwrap_or("protocol"))?;
        let options = log(self.which.options()?);
        let outcome = scenario.run(self.seed.unwrap_or_default(), &options);
        print_run(&outcome);
        print_finding(&outcome, scenario.name, options);
        Ok(outcome.finding.is_none())
    }
}

fn print_run(outcome: &Outcome) {
    for event in &outcome.events {
        println!("{event}");
    }
    println!(
        "seed {}: trace hash {:016x}, {} points, {:.6} s of virtual time",
        outcome.seed,
        outcome.hash,
        outcome.points,
        outcome.time.as_secs_f64()
    );
}

impl Shrinking {
    pub(super) fn run(self, scenarios: &[Scenario]) -> Done {
        let name = self.which.scenario.as_deref().ok_or("which scenario? --scenario NAME")?;
        let (scenario, options) = (find(scenarios, name)?, self.which.options()?);
        if options.crashes.is_some() {
            return Err("a run of `explore` is as small as it gets: its crashes are all that happens to it"
                .to_owned());
        }
        let (seed, progress) = (self.seed, Progress::new());
        let shrink =
            Shrink { seed, options, limit: Duration::from_secs(self.seconds), threads: all_cores(self.jobs) };
        let shrunk = shrink.run(scenario, |runs, left| {
            progress.show(|_| format!("{name} {seed}: {runs} runs, {left} decisions left"));
        });
        let shrunk = shrunk.ok_or_else(|| format!("seed {seed} of {name} has no finding"))?;
        print_shrunk(&shrunk, progress.started.elapsed());
        let path = self.output.unwrap_or_else(|| TapeFile::usual_place(scenario, seed));
        let (cores, bug) = (options.cores, options.bug);
        TapeFile { scenario: name.to_owned(), seed, cores, bug, tape: shrunk.tape }.write(&path)?;
        if let Some(finding) = &shrunk.outcome.finding {
            println!("{finding}\n  {} replay --tape {}", program(), path.display());
        }
        Ok(false)
    }
}

fn print_shrunk(shrunk: &Shrunk, took: Duration) {
    println!("{:<24} {:>10} {:>10}", "decisions of", "before", "after");
    for (name, before) in shrunk.whole.by_stream() {
        let after = shrunk.tape.by_stream().find(|(of, _)| *of == name).map_or(0, |(_, after)| after);
        println!("{name:<24} {before:>10} {after:>10}");
    }
    println!("{:<24} {:>10} {:>10}", "all", shrunk.whole.decisions(), shrunk.tape.decisions());
    println!("{:<24} {:>10} {:>10}", "scheduling points", shrunk.from.points, shrunk.outcome.points);
    let least = if shrunk.is_least { "nothing more can be taken out" } else { "out of time" };
    println!("{} runs in {:.1} s: {least}", shrunk.runs, took.as_secs_f64());
}
