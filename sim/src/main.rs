//! `millstream-sim`: runs seeds of simulated worlds, replays one, and shows that planted bugs are found.
//!
//! Exit code 0: nothing found (or every planted bug found); 1: a finding (or a planted bug missed); 2: usage.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use millstream_sim::explore::{Crashes, Explore, Pairs};
use millstream_sim::planted::{BUGS, ELSEWHERE};
use millstream_sim::scenario::{self, Options, Outcome, Scenario};
use millstream_sim::swarm::{Summary, Swarm};

#[derive(Parser)]
#[command(version, about = "Runs the engine in simulated worlds, where every fault comes from a seed")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run many seeds
    Swarm {
        /// How many
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
        /// The first
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// Only this scenario; otherwise all without a planted bug
        #[arg(long)]
        scenario: Option<String>,
        /// Threads [default: one per core]
        #[arg(long)]
        threads: Option<usize>,
        /// The number of cores, instead of one that is drawn
        #[arg(long)]
        cores: Option<usize>,
        /// Go on after a finding
        #[arg(long)]
        keep_going: bool,
    },
    /// Run one seed again and print everything that happens
    Replay {
        /// The seed
        seed: u64,
        /// The scenario
        #[arg(long, default_value = "protocol")]
        scenario: String,
        /// The number of cores, instead of one that is drawn
        #[arg(long)]
        cores: Option<usize>,
        /// Kill the processes there and nowhere else, as `explore` prints it
        #[arg(long)]
        crash: Option<Crashes>,
        /// Print only what came of it
        #[arg(long)]
        quiet: bool,
    },
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
        #[arg(long)]
        threads: Option<usize>,
    },
    /// Show for each planted bug how many seeds it took to find it
    Planted {
        /// The most seeds to try
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        /// Only this bug
        #[arg(long)]
        bug: Option<String>,
        /// The first seed
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// Look in this scenario, not in the one that is to find it
        #[arg(long)]
        scenario: Option<String>,
    },
    /// Name the scenarios
    List,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    scenario::keep_panics_quiet();
    match arguments.command {
        Command::Swarm { seeds, first, scenario, threads, cores, keep_going } => {
            let threads = all_cores(threads);
            swarm(
                Swarm { first, seeds, threads, options: Options { cores, ..Options::default() }, keep_going },
                scenario.as_deref(),
            )
        }
        Command::Replay { seed, scenario, cores, crash, quiet } => match find(&scenario) {
            Some(scenario) => {
                let options = Options { keep_log: !quiet, cores, crashes: crash, ..Options::default() };
                replay(&scenario, seed, options)
            }
            None => unknown(&scenario),
        },
        Command::Explore { scenario, seed, pairs, most, threads } => {
            explore(scenario.as_deref(), seed, Explore { seed: 0, pairs, most, threads: all_cores(threads) })
        }
        Command::Planted { seeds, bug, first, scenario } => match scenario.as_deref() {
            Some(name) if find(name).is_none() => unknown(name),
            within => planted(first..first.saturating_add(seeds), bug.as_deref(), within),
        },
        Command::List => {
            for Scenario { name, about, planted, .. } in scenario::all() {
                println!("{name:<24} {about}{}", if planted { " (planted)" } else { "" });
            }
            ExitCode::SUCCESS
        }
    }
}

fn all_cores(threads: Option<usize>) -> usize {
    threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn find(name: &str) -> Option<Scenario> {
    scenario::all().into_iter().find(|scenario| scenario.name == name)
}

fn unknown(name: &str) -> ExitCode {
    eprintln!("no scenario is called {name}; `millstream-sim list` names them");
    ExitCode::from(2)
}

fn swarm(swarm: Swarm, only: Option<&str>) -> ExitCode {
    let chosen: Vec<_> = match only {
        Some(name) => match find(name) {
            Some(scenario) => vec![scenario],
            None => return unknown(name),
        },
        None => scenario::all().into_iter().filter(|scenario| !scenario.planted).collect(),
    };
    let mut clean = true;
    for scenario in &chosen {
        let started = Instant::now();
        let shown = Mutex::new(started);
        let summary =
            swarm.run(scenario, |done| progress(scenario, "seeds", done, Some(swarm.seeds), started, &shown));
        report(scenario, &summary, started.elapsed(), swarm.options);
        clean &= summary.findings.is_empty();
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a line about once a second.
fn progress(
    scenario: &Scenario,
    what: &str,
    done: u64,
    of: Option<u64>,
    started: Instant,
    shown: &Mutex<Instant>,
) {
    let Ok(mut shown) = shown.try_lock() else { return };
    if shown.elapsed() > Duration::from_secs(1) {
        *shown = Instant::now();
        let rate = done as f64 / started.elapsed().as_secs_f64();
        let of = of.map_or(String::new(), |of| format!(" of {of}"));
        eprintln!("{}: {done}{of} {what}, {rate:.0} {what}/s", scenario.name);
    }
}

fn report(scenario: &Scenario, summary: &Summary, took: Duration, options: Options) {
    let seconds = took.as_secs_f64();
    println!(
        "{}: {} seeds, {} points in {seconds:.2} s: {:.0} seeds/s, {:.0} points/s; {} findings",
        scenario.name,
        summary.seeds,
        summary.points,
        summary.seeds as f64 / seconds,
        summary.points as f64 / seconds,
        summary.findings.len(),
    );
    if summary.work > 0 {
        println!("{} operations: {:.0} operations/s", summary.work, summary.work as f64 / seconds);
    }
    println!("{}", summary.coverage);
    for outcome in &summary.findings {
        print_finding(scenario, outcome, options);
    }
}

/// What was found, and the line that replays it.
fn print_finding(scenario: &Scenario, outcome: &Outcome, options: Options) {
    if let Some(finding) = &outcome.finding {
        let cores = options.cores.map_or(String::new(), |cores| format!(" --cores {cores}"));
        let crash = options.crashes.map_or(String::new(), |crashes| format!(" --crash {crashes}"));
        println!(
            "{finding}\n  millstream-sim replay {} --scenario {}{cores}{crash}",
            outcome.seed, scenario.name
        );
    }
}

fn replay(scenario: &Scenario, seed: u64, options: Options) -> ExitCode {
    let outcome = scenario.run(seed, &options);
    for event in &outcome.events {
        println!("{event}");
    }
    println!(
        "seed {seed}: trace hash {:016x}, {} points, {:.6} s of virtual time",
        outcome.hash,
        outcome.points,
        outcome.time.as_secs_f64()
    );
    print_finding(scenario, &outcome, options);
    if outcome.finding.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many seeds are looked at for the job that is explored.
const LOOKED_AT: u64 = 200;

fn explore(only: Option<&str>, seed: Option<u64>, explore: Explore) -> ExitCode {
    let chosen: Vec<_> = match only {
        Some(name) => match find(name) {
            Some(scenario) => vec![scenario],
            None => return unknown(name),
        },
        None => scenario::engine::scenarios().into_iter().filter(|scenario| !scenario.planted).collect(),
    };
    let mut clean = true;
    for scenario in &chosen {
        let started = Instant::now();
        let Some(seed) = seed.or_else(|| Explore::least_seed(scenario, LOOKED_AT)) else {
            println!("{}: no seed below {LOOKED_AT} has three checkpoints", scenario.name);
            continue;
        };
        let shown = Mutex::new(started);
        let explored = Explore { seed, ..explore }
            .run(scenario, |done| progress(scenario, "runs", done, None, started, &shown));
        println!(
            "{}: seed {seed}, {} checkpoints: killed once in {} runs, twice in {}, in {:.1} s; {} findings",
            scenario.name,
            explored.checkpoints,
            explored.runs[0],
            explored.runs[1],
            started.elapsed().as_secs_f64(),
            explored.findings.len(),
        );
        for (crashes, finding) in &explored.findings {
            println!(
                "{finding}\n  millstream-sim replay {seed} --scenario {} --crash {crashes}",
                scenario.name
            );
        }
        clean &= explored.findings.is_empty();
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn planted(seeds: Range<u64>, only: Option<&str>, within: Option<&str>) -> ExitCode {
    let bugs = if cfg!(feature = "planted") { BUGS } else { &[] };
    if bugs.is_empty() {
        eprintln!("bugs in the engine and the store are planted by `--features planted` only");
    }
    let bugs = bugs.iter().map(|bug| {
        let scenario = find(within.unwrap_or(bug.scenario)).expect("bugs name scenarios");
        (bug.name, scenario, Options { bug: Some(bug.name), ..Options::default() })
    });
    let faulty = scenario::all().into_iter().filter(|scenario| scenario.planted);
    let faulty = faulty.map(|scenario| (scenario.name, scenario, Options::default()));
    let mut all_found = true;
    for (name, scenario, options) in
        bugs.chain(faulty).filter(|(name, ..)| only.is_none_or(|only| only == *name))
    {
        let found = seeds.clone().find_map(|seed| Some((seed, scenario.run(seed, &options).finding?)));
        match found {
            Some((seed, finding)) => {
                println!("{name:<24} {:>6} seeds of {:<24} {finding}", seed - seeds.start + 1, scenario.name);
            }
            None => {
                all_found = false;
                println!("{name:<24} NOT FOUND in {} seeds of {}", seeds.end - seeds.start, scenario.name);
            }
        }
    }
    for (name, by) in ELSEWHERE.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        println!("{name:<24} not looked for here, but by {by}");
    }
    if all_found { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
