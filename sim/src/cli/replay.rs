//! `replay` and `shrink`: one run, again, or what is left of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{Done, Progress, Which, all_cores, draw, find, print_finding, program};
use crate::scenario::{Options, Outcome, Scenario};
use crate::shrink::{Shrink, Shrunk};
use crate::tape_file::TapeFile;

#[derive(Args)]
pub(super) struct Replaying {
    /// The seed
    #[arg(required_unless_present = "tape")]
    seed: Option<u64>,
    #[command(flatten)]
    which: Which,
    /// Instead of a seed: what `shrink` has left of one
    #[arg(long, conflicts_with_all = ["seed", "scenario", "cores", "bug", "crash", "at_once", "prompt"])]
    tape: Option<PathBuf>,
    /// Print only what came of it
    #[arg(long)]
    quiet: bool,
    /// Draw the run: a page for a browser is written there
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
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
    /// Draw what is left: a page for a browser is written there
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
}

impl Replaying {
    pub(super) fn run(self, scenarios: &[Scenario]) -> Done {
        let log = |options: Options| Options { keep_log: !self.quiet || self.timeline.is_some(), ..options };
        let (name, outcome, again) = match &self.tape {
            Some(path) => {
                let file = TapeFile::read(path)?;
                let scenario = find(scenarios, &file.scenario)?;
                let outcome = scenario.play(file.seed, &file.tape, &log(file.options()?));
                (scenario.name, outcome, of_tape(path))
            }
            None => {
                let scenario = self.which.scenario(scenarios)?;
                let outcome = scenario.run(self.seed.unwrap_or_default(), &log(self.which.options()?));
                let again = outcome.replay_line(&program(), scenario.name);
                (scenario.name, outcome, again)
            }
        };
        if !self.quiet {
            outcome.events.iter().for_each(|event| println!("{event}"));
        }
        print_run(&outcome);
        print_finding(&outcome, &again);
        draw(self.timeline.as_deref(), name, &outcome, &again)?;
        Ok(outcome.finding.is_none())
    }
}

/// The line that plays a tape.
fn of_tape(path: &Path) -> String {
    format!("{} replay --tape {}", program(), path.display())
}

fn print_run(outcome: &Outcome) {
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
        let (scenario, options) = (self.which.scenario(scenarios)?, self.which.options()?);
        let name = scenario.name;
        if options.crashes.is_some() {
            return Err("a run of `explore` is as small as it gets: its crashes are all that happens to it"
                .to_owned());
        }
        let path = self.output.unwrap_or_else(|| TapeFile::usual_name(name, self.seed, "tape"));
        for path in [Some(&path), self.timeline.as_ref()].into_iter().flatten() {
            // Before the work, and not after it.
            File::options()
                .append(true)
                .create(true)
                .open(path)
                .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        }
        let (seed, progress) = (self.seed, Progress::new());
        let shrink =
            Shrink { seed, options, limit: Duration::from_secs(self.seconds), threads: all_cores(self.jobs) };
        let shrunk = shrink.run(scenario, |runs, left| {
            progress.show(|_| format!("{name} {seed}: {runs} runs, {left} decisions left"));
        });
        let shrunk = shrunk.ok_or_else(|| format!("seed {seed} of {name} has no finding"))?;
        print_shrunk(&shrunk, progress.started.elapsed());
        TapeFile::of(name, &shrunk).write(&path)?;
        print_finding(&shrunk.outcome, &of_tape(&path));
        draw(self.timeline.as_deref(), scenario.name, &shrunk.outcome, &of_tape(&path))?;
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
