//! Many seeds of a user's test, or each point of one, up to the first finding.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use super::{JUDGED, Simulation, Stopped, found::Found};
use crate::explore::{Crashes, Explore};
use crate::harness::survivable;
use crate::scenario::{Finding, Options, Outcome, Scenario, panics};
use crate::swarm::Swarm;

/// Seeds, if nothing else is said.
const SEEDS: u64 = 100;

/// How many seeds are looked at for the job whose points are explored.
const LOOKED_AT: u64 = 60;

/// Runs a test of a job in a hundred worlds, each drawn by a seed, on all cores, and stops at the first finding. See
/// [the module](super) for an example, and `sim/TESTING.md` for all of it.
///
/// The environment may say otherwise: `SIM_SEEDS=1000` for more of them, `SIM_FIRST=5000` for others, `SIM_THREADS=1` for
/// fewer cores; and `SIM_SEED=1234` for one alone, with everything that happens in it printed.
///
/// # Panics
/// With what was found, what it means, and the line that runs that seed again.
pub fn check(name: &'static str, test: impl Fn(&mut Simulation<'_>) + Send + Sync + 'static) {
    report(from_env().find(name, test));
}

/// Kills a test's job at each of its points in turn, by a signal and by a loss of power: that of the shortest seed with three
/// checkpoints, while nothing else goes wrong. A few thousand runs for a small job; `SIM_MOST=500` is for about so many of
/// them, evenly spread.
///
/// # Panics
/// With what was found, what it means, and the line that kills it there again.
pub fn explore(name: &'static str, test: impl Fn(&mut Simulation<'_>) + Send + Sync + 'static) {
    report(from_env().explore(name, test));
}

fn from_env() -> Check {
    Check::from_env().unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn report(found: Option<Found>) {
    if let Some(found) = found {
        panic!("{found}");
    }
}

/// Which seeds of a test are run, and how: what [`check`] and [`explore`] take from the environment.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use millstream::prelude::*;
/// use millstream_sim::prelude::*;
///
/// let found = Check::new().seeds(20).first(100).threads(2).find("doc", |sim| {
///     let numbers = sim.feed("numbers", |random| (0..random.range(50, 300)).collect::<Vec<_>>());
///     let out = sim.sink("out", |_: &u64| ());
///     sim.run(|| {
///         let job = Job::new("doc");
///         // No part of a checkpoint: after a restart it counts from 0 again.
///         let count = Arc::new(AtomicU64::new(0));
///         let numbered = job.source("numbers", numbers.clone()).map(move |_| count.fetch_add(1, Ordering::Relaxed));
///         numbered.sink("out", out.clone());
///         job
///     });
/// });
/// let found = found.expect("some process is killed in mid-stream");
/// assert_eq!(found.finding().rule, "what is committed is what the reference puts out");
/// assert!(found.to_string().contains(&format!("SIM_SEED={} ", found.seed())));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Check {
    seeds: u64,
    first: u64,
    only: Option<u64>,
    crashes: Option<Crashes>,
    threads: usize,
    most: Option<usize>,
    bug: Option<&'static str>,
}

impl Default for Check {
    fn default() -> Check {
        Check::new()
    }
}

impl Check {
    /// A hundred seeds from 0, on all cores.
    pub fn new() -> Check {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Check { seeds: SEEDS, first: 0, only: None, crashes: None, threads, most: None, bug: None }
    }

    /// What the environment says: see [`check`] and [`explore`].
    ///
    /// # Errors
    /// If one of its variables cannot be understood.
    pub fn from_env() -> Result<Check, String> {
        let plain = Check::new();
        Ok(Check {
            seeds: variable("SIM_SEEDS", "a number of seeds, such as 1000")?.unwrap_or(plain.seeds),
            first: variable("SIM_FIRST", "a seed, such as 5000")?.unwrap_or(plain.first),
            only: variable("SIM_SEED", "a seed, such as 1234")?,
            crashes: variable("SIM_CRASH", "where processes are killed, such as point:120:power")?,
            threads: variable("SIM_THREADS", "a number of threads, such as 2")?.unwrap_or(plain.threads),
            most: variable("SIM_MOST", "a number of runs, such as 500")?,
            bug: plain.bug,
        })
    }

    /// So many seeds.
    pub fn seeds(self, seeds: u64) -> Check {
        Check { seeds, ..self }
    }

    /// The first of them.
    pub fn first(self, first: u64) -> Check {
        Check { first, ..self }
    }

    /// This seed alone, and everything that happens in it is printed.
    pub fn seed(self, seed: u64) -> Check {
        Check { only: Some(seed), ..self }
    }

    /// On so many threads.
    pub fn threads(self, threads: usize) -> Check {
        Check { threads: threads.max(1), ..self }
    }

    /// About so many runs of an [exploration](Check::explore), evenly spread.
    pub fn most(self, most: usize) -> Check {
        Check { most: Some(most), ..self }
    }

    /// With one of the [bugs that are planted](crate::planted) in the engine, to see that a test finds it. By the feature
    /// `planted` only.
    pub fn bug(self, bug: &'static str) -> Check {
        Check { bug: Some(bug), ..self }
    }

    /// The finding in the least seed that has one, if there is one.
    pub fn find(
        &self,
        name: &'static str,
        test: impl Fn(&mut Simulation<'_>) + Send + Sync + 'static,
    ) -> Option<Found> {
        panics::keep_those_of_runs();
        let scenario = Scenario::of_job(name, test);
        match self.only {
            Some(seed) => self.replay(&scenario, seed),
            None => self.swarm(&scenario),
        }
    }

    /// The finding at the first point with one, of those at which the job of the shortest seed can be killed.
    pub fn explore(
        &self,
        name: &'static str,
        test: impl Fn(&mut Simulation<'_>) + Send + Sync + 'static,
    ) -> Option<Found> {
        panics::keep_those_of_runs();
        let scenario = Scenario::of_job(name, test);
        if let (Some(seed), Some(_)) = (self.only, self.crashes) {
            return self.replay(&scenario, seed);
        }
        let Some(seed) = self.only.or_else(|| Explore::least_seed(&scenario, LOOKED_AT)) else {
            return self.without_checkpoints(&scenario);
        };
        let explore = Explore { seed, pairs: None, most: self.most, threads: self.threads, bug: self.bug };
        let explored = explore.run(&scenario, |_, _| {});
        let runs = explored.runs[0];
        let Some((crashes, finding)) = explored.findings.into_iter().next() else {
            println!("{name}: killed at {runs} points of seed {seed}; nothing was found");
            return None;
        };
        let again = self.run(&scenario, seed, Some(crashes), false);
        let same = again.finding.as_ref() == Some(&finding);
        Some(Found::new(name, seed, Some(crashes), finding, format!("after {runs} runs"), same))
    }

    fn run(&self, scenario: &Scenario, seed: u64, crashes: Option<Crashes>, keep_log: bool) -> Outcome {
        scenario.run(seed, &Options { keep_log, crashes, bug: self.bug, ..Options::default() })
    }

    fn swarm(&self, scenario: &Scenario) -> Option<Found> {
        let options = Options { bug: self.bug, crashes: self.crashes, ..Options::default() };
        let swarm = Swarm {
            first: self.first,
            seeds: self.seeds,
            until: None,
            threads: self.threads,
            options,
            keep_going: false,
        };
        let summary = swarm.run(scenario, |_| {});
        let Some(outcome) = summary.findings.into_iter().next() else {
            println!("{}: {} seeds from {}; nothing was found", scenario.name, summary.seeds, self.first);
            return None;
        };
        let again = self.run(scenario, outcome.seed, self.crashes, false);
        let same = again.hash == outcome.hash && again.finding == outcome.finding;
        let searched = format!("after {} of {} seeds", summary.seeds, self.seeds);
        let finding = outcome.finding?;
        Some(Found::new(scenario.name, outcome.seed, self.crashes, finding, searched, same))
    }

    /// One run, told as it goes.
    fn replay(&self, scenario: &Scenario, seed: u64) -> Option<Found> {
        let outcome = self.run(scenario, seed, self.crashes, true);
        outcome.events.iter().for_each(|event| println!("{event}"));
        let (name, millis) = (scenario.name, outcome.time.as_secs_f64() * 1e3);
        println!(
            "{name}: seed {seed}, {} points, {millis:.3} ms, trace hash {:016x}",
            outcome.points, outcome.hash
        );
        let finding = outcome.finding?;
        let again = self.run(scenario, seed, self.crashes, false);
        let same = again.hash == outcome.hash && again.finding.as_ref() == Some(&finding);
        Some(Found::new(name, seed, self.crashes, finding, "in a replay".to_owned(), same))
    }

    /// What there is to say of a job that is too short, or that does not even work while nothing happens to it.
    fn without_checkpoints(&self, scenario: &Scenario) -> Option<Found> {
        let calm = (0..LOOKED_AT).map(|seed| self.run(scenario, seed, Some(Crashes::default()), false));
        let mut broken = calm.filter_map(|outcome| Some((outcome.seed, outcome.finding?)));
        let (seed, finding) = broken.next().unwrap_or_else(|| {
            let seen = format!(
                "no seed below {LOOKED_AT} has a job of three checkpoints: let the feeds have more records or pause for \
                 longer, or let the job take checkpoints more often"
            );
            (0, Finding::new(JUDGED, seen))
        });
        let crashes = Some(Crashes::default());
        Some(Found::new(scenario.name, seed, crashes, finding, "before any was killed".to_owned(), true))
    }
}

/// A variable of the environment, if it is set.
fn variable<T: FromStr>(name: &str, what: &str) -> Result<Option<T>, String> {
    let Ok(text) = std::env::var(name) else { return Ok(None) };
    let parsed =
        text.parse().map_err(|_| format!("{name}={text}: it must be {what}; correct it, or unset it"));
    parsed.map(Some)
}

impl Scenario {
    /// A user's test as a scenario: for whatever runs scenarios.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::prelude::*;
    /// use millstream_sim::scenario::{Options, Scenario};
    ///
    /// let scenario = Scenario::of_job("doc", |sim| {
    ///     let numbers = sim.feed("numbers", |random| (0..random.range(1, 99)).collect::<Vec<_>>());
    ///     let out = sim.sink("out", |_: &u64| ());
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         job.source("numbers", numbers.clone()).sink("out", out.clone());
    ///         job
    ///     });
    /// });
    /// assert_eq!(scenario.run(7, &Options::default()).finding, None);
    /// ```
    pub fn of_job(
        name: &'static str,
        test: impl Fn(&mut Simulation<'_>) + Send + Sync + 'static,
    ) -> Scenario {
        let body = move |world: &mut crate::world::World, options: &Options| {
            let mut sim = Simulation::new(world, options);
            match catch_unwind(AssertUnwindSafe(|| test(&mut sim))) {
                Ok(()) if sim.ran => Ok(()),
                Ok(()) => Err(Finding::new(JUDGED, "the test runs no job: let it call `sim.run`")),
                Err(payload) if payload.is::<Stopped>() => Ok(()),
                Err(payload) => match payload.downcast::<Finding>() {
                    Ok(finding) => Err(*finding),
                    Err(payload) => std::panic::resume_unwind(payload),
                },
            }
        };
        Scenario {
            name,
            about: "a job of a user's",
            planted: false,
            is_job: true,
            config: survivable,
            body: Box::new(body),
        }
    }
}
