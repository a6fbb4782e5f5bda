//! The command line: many seeds, one again, one made smaller, all points, and the planted bugs.
//!
//! Exit code 0: nothing found (or every planted bug found); 1: a finding (or a planted bug missed); 2: usage.

mod explore;
mod hashes;
mod planted;
mod replay;
mod swarm;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};

use crate::explore::{Crashes, Explore, Pairs};
use crate::scenario::{Options, Outcome, Scenario, panics};
use crate::timeline;

#[derive(Parser)]
#[command(version, about = "Runs jobs in simulated worlds, where every fault comes from a seed")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run many seeds
    Swarm(swarm::Swarming),
    /// Run one seed, or one tape, again and print everything that happens
    Replay(replay::Replaying),
    /// Make a failing seed smaller, as long as it fails, and keep what is left on a tape
    Shrink(replay::Shrinking),
    /// Kill a job at each of its points in turn
    Explore {
        /// Only this scenario; otherwise all that run a job
        #[arg(long)]
        scenario: Option<String>,
        /// The seed of the job [default: the shortest of three checkpoints among some hundred]
        #[arg(long)]
        seed: Option<u64>,
        /// Also at every pair of them, in two processes [without a value: operations]
        #[arg(long, num_args = 0..=1, default_missing_value = "operations")]
        pairs: Option<Pairs>,
        /// About how many runs of each kind, instead of all
        #[arg(long)]
        most: Option<usize>,
        /// Threads [default: one per core]
        #[arg(long, alias = "threads")]
        jobs: Option<usize>,
        /// With this bug, of those that `planted` names
        #[arg(long)]
        bug: Option<String>,
    },
    /// Show for each planted bug how many seeds it took to find it
    Planted(planted::Planting),
    /// Print the trace hashes of a few seeds: equal in every process and every build of the same code
    Hashes(hashes::Hashing),
    /// Name the scenarios
    List,
}

/// A run, and what the caller decides of it.
#[derive(Args)]
struct Which {
    /// The scenario
    #[arg(long)]
    scenario: Option<String>,
    /// The number of cores, instead of one that is drawn
    #[arg(long, value_parser = cores)]
    cores: Option<usize>,
    /// With this bug, of those that `planted` names
    #[arg(long)]
    bug: Option<String>,
    /// Kill the processes there and nowhere else, as `explore` prints it
    #[arg(long)]
    crash: Option<Crashes>,
    /// Start each process as soon as the one before it has ended, as it was for older seeds
    #[arg(long)]
    at_once: bool,
    /// Let each core take its first step as soon as it is open, as it was for older seeds
    #[arg(long)]
    prompt: bool,
}

/// Runs the command line over these scenarios: those of this crate, or those of your own jobs.
///
/// ```no_run
/// use millstream_sim::{cli, scenario};
///
/// fn main() -> std::process::ExitCode {
///     cli::run(scenario::all())
/// }
/// ```
pub fn run(scenarios: Vec<Scenario>) -> ExitCode {
    let arguments = Arguments::parse();
    panics::keep_those_of_runs();
    if let Some(odd) = scenarios.iter().find(|scenario| !is_a_word(scenario.name)) {
        eprintln!(
            "the scenario `{}` cannot be named in a command: let its name be letters, digits, `-` and `_`",
            odd.name
        );
        return ExitCode::from(2);
    }
    let done = match arguments.command {
        Command::Swarm(swarm) => swarm.run(&scenarios),
        Command::Replay(replay) => replay.run(&scenarios),
        Command::Shrink(shrink) => shrink.run(&scenarios),
        Command::Explore { scenario, seed, pairs, most, jobs, bug: named } => {
            let explore = |bug| Explore { seed: 0, pairs, most, threads: all_cores(jobs), bug };
            let named = named.as_deref().map(crate::planted::named).transpose();
            named.and_then(|bug| explore::run(&scenarios, scenario.as_deref(), seed, explore(bug)))
        }
        Command::Planted(planted) => planted.run(&scenarios),
        Command::Hashes(hashes) => hashes.run(&scenarios),
        Command::List => {
            for Scenario { name, about, planted, .. } in &scenarios {
                println!("{name:<24} {about}{}", if *planted { " (planted)" } else { "" });
            }
            Ok(true)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(usage) => {
            eprintln!("{usage}");
            ExitCode::from(2)
        }
    }
}

fn is_a_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

/// A number of cores that a job can have.
fn cores(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|cores| (1..=64).contains(cores))
        .ok_or_else(|| "a number from 1 to 64".to_owned())
}

/// Whether all is well; or what is wrong with the command.
type Done = Result<bool, String>;

fn all_cores(threads: Option<usize>) -> usize {
    threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn find<'a>(scenarios: &'a [Scenario], name: &str) -> Result<&'a Scenario, String> {
    let unknown = || format!("no scenario is called {name}; the command `list` names them");
    scenarios.iter().find(|scenario| scenario.name == name).ok_or_else(unknown)
}

/// Those of a name, or all without a planted bug.
fn chosen<'a>(scenarios: &'a [Scenario], only: Option<&str>) -> Result<Vec<&'a Scenario>, String> {
    match only {
        Some(name) => Ok(vec![find(scenarios, name)?]),
        None => Ok(scenarios.iter().filter(|scenario| !scenario.planted).collect()),
    }
}

impl Which {
    /// The one that is named, or the only one there is.
    fn scenario<'a>(&self, scenarios: &'a [Scenario]) -> Result<&'a Scenario, String> {
        match (&self.scenario, scenarios) {
            (Some(name), _) => find(scenarios, name),
            (None, [only]) => Ok(only),
            (None, _) => {
                Err("which scenario? --scenario NAME, of those that the command `list` names".to_owned())
            }
        }
    }

    fn options(&self) -> Result<Options, String> {
        let bug = self.bug.as_deref().map(crate::planted::named).transpose()?;
        let Which { at_once, prompt, .. } = *self;
        Ok(Options { cores: self.cores, crashes: self.crash, bug, at_once, prompt, ..Options::default() })
    }
}

/// Says about once a second how far something is.
struct Progress {
    started: Instant,
    shown: Mutex<Instant>,
}

impl Progress {
    fn new() -> Progress {
        let started = Instant::now();
        Progress { started, shown: Mutex::new(started) }
    }

    /// Prints a line, if it is time to.
    fn show(&self, line: impl FnOnce(Duration) -> String) {
        let Ok(mut shown) = self.shown.try_lock() else { return };
        if shown.elapsed() > Duration::from_secs(1) {
            *shown = Instant::now();
            eprintln!("{}", line(self.started.elapsed()));
        }
    }
}

/// What was found, and the line that replays it.
fn print_finding(outcome: &Outcome, again: &str) {
    if let Some(finding) = &outcome.finding {
        println!("{finding}\n  {again}");
    }
}

/// Writes the page of an outcome.
fn draw(path: Option<&Path>, name: &str, outcome: &Outcome, again: &str) -> Result<(), String> {
    let Some(path) = path else { return Ok(()) };
    fs::write(path, timeline::page(name, outcome, again))
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    println!("drawn in {}", path.display());
    Ok(())
}

/// The name of this program.
fn program() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let name = path.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned())
}
