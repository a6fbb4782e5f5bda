//! Every point at which a process can be killed, one by one: of a job that nothing else happens to.
//!
//! A swarm draws where to crash, and finds most of what there is. Here nothing is left to luck: the first process is killed
//! before each of its scheduling points (steps of tasks, timers, completions of the disk) in turn, by a signal and by a loss of
//! power; and, if asked for, before each of its disk operations, or of its points, while the process after it is killed before each
//! of its own.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::disk::CrashKind;
use crate::scenario::{Finding, Options, Outcome, Scenario};
use crate::world::{Crash, When};

/// Where the first process is killed, and the second; nothing else goes wrong.
///
/// ```
/// use millstream_sim::explore::Crashes;
///
/// let crashes: Crashes = "point:120:power,operation:7:process".parse().expect("a process is killed at a point");
/// assert_eq!(crashes.to_string(), "point:120:power,operation:7:process");
/// assert_eq!("none".parse(), Ok(Crashes::default()));
/// assert!("sometime".parse::<Crashes>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crashes(pub [Option<Crash>; 2]);

/// The least of a job that is worth exploring, in checkpoints.
const CHECKPOINTS: u64 = 3;

/// The ways to be killed.
const KINDS: [CrashKind; 2] = [CrashKind::Process, CrashKind::PowerLoss];

/// What two processes in a row are killed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Pairs {
    /// Every pair of disk operations: what is durable when.
    Operations,
    /// Every pair of scheduling points, which the pairs of commit and recovery are part of: hundreds of thousands of runs.
    Points,
}

/// What is to be explored of a scenario.
///
/// ```
/// use millstream_sim::explore::Explore;
/// use millstream_sim::scenario;
///
/// let all = scenario::all();
/// let windows = all.iter().find(|scenario| scenario.name == "windows").expect("it is there");
/// let seed = Explore::least_seed(windows, 100).expect("some have three checkpoints");
/// let explore = Explore { seed, pairs: None, most: Some(20), threads: 2, bug: None };
/// let explored = explore.run(windows, |_, _| {});
/// assert!(explored.runs[0] > 10 && explored.findings.is_empty());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Explore {
    /// The seed of the job.
    pub seed: u64,
    /// Also these, in two processes.
    pub pairs: Option<Pairs>,
    /// About how many runs of one crash, and of two, evenly spread; otherwise all.
    pub most: Option<usize>,
    /// How many threads.
    pub threads: usize,
    /// The bug to be switched on, of those in [`planted`](crate::planted).
    pub bug: Option<&'static str>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// The checkpoints of the job when nothing happens to it.
    pub checkpoints: u64,
    /// The runs of one crash, and of two.
    pub runs: [u64; 2],
    /// What was found, and where the processes were killed.
    pub findings: Vec<(Crashes, Finding)>,
}

impl Explore {
    /// The seed below `seeds` whose job has three checkpoints and the least points, most of them in its first process.
    pub fn least_seed(scenario: &Scenario, seeds: u64) -> Option<u64> {
        let calm = (0..seeds).map(|seed| run(scenario, seed, Crashes::default()));
        let worth = calm.filter(|outcome| outcome.checkpoints >= CHECKPOINTS && outcome.finding.is_none());
        let first = worth.filter(|outcome| outcome.lives[0][0] * 2 > outcome.points);
        first.min_by_key(|outcome| outcome.points).map(|outcome| outcome.seed)
    }

    /// Explores. `progress` is called with the number of runs, and of those that it takes.
    pub fn run(self, scenario: &Scenario, progress: impl Fn(u64, u64) + Sync) -> Explored {
        let calm = self.once(scenario, Crashes::default());
        let mut explored = Explored { checkpoints: calm.checkpoints, ..Explored::default() };
        if let Some(finding) = calm.finding {
            explored.findings.push((Crashes::default(), finding));
            return explored;
        }
        let [points, operations] = calm.lives[0];
        let at = |when: fn(u64) -> When, last: u64| {
            (0..=last).flat_map(move |n| KINDS.map(|kind| Crash { when: when(n), kind }))
        };
        let singles: Vec<_> = at(When::Point, points).map(|crash| Crashes([Some(crash), None])).collect();
        self.each(scenario, &spread(singles, self.most), &progress, &mut explored, 0);
        if let Some(of) = self.pairs
            && explored.findings.is_empty()
        {
            let each = self.most.map(|most| most.isqrt().max(1));
            let (when, last): (fn(u64) -> When, _) = match of {
                Pairs::Operations => (When::DiskOperation, operations),
                Pairs::Points => (When::Point, points),
            };
            let firsts = spread(at(when, last).collect(), each);
            let pairs: Vec<_> =
                firsts.into_iter().flat_map(|first| self.after(scenario, first, each)).collect();
            self.each(scenario, &pairs, &progress, &mut explored, 1);
        }
        explored
    }

    /// Where to kill the process after one that was killed there.
    fn after(self, scenario: &Scenario, first: Crash, most: Option<usize>) -> Vec<Crashes> {
        let outcome = self.once(scenario, Crashes([Some(first), None]));
        let [points, operations] = outcome.lives.get(1).copied().unwrap_or_default();
        let (when, last): (fn(u64) -> When, _) = match first.when {
            When::Point(_) => (When::Point, points),
            When::DiskOperation(_) => (When::DiskOperation, operations),
        };
        let second = (0..=last).map(|n| Crash { when: when(n), kind: first.kind });
        spread(second.map(|second| Crashes([Some(first), Some(second)])).collect(), most)
    }

    fn once(&self, scenario: &Scenario, crashes: Crashes) -> Outcome {
        let Explore { seed, bug, .. } = *self;
        scenario.run(seed, &Options { crashes: Some(crashes), bug, ..Options::default() })
    }

    fn each(
        self,
        scenario: &Scenario,
        chosen: &[Crashes],
        progress: &(impl Fn(u64, u64) + Sync),
        explored: &mut Explored,
        kind: usize,
    ) {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let found = Mutex::new(Vec::new());
        let work = || {
            while !stop.load(Ordering::Relaxed)
                && let at = next.fetch_add(1, Ordering::Relaxed)
                && let Some(crashes) = chosen.get(at)
            {
                if let Some(finding) = self.once(scenario, *crashes).finding {
                    stop.store(true, Ordering::Relaxed);
                    found.lock().unwrap_or_else(PoisonError::into_inner).push((at, *crashes, finding));
                }
                let done = next.load(Ordering::Relaxed).min(chosen.len());
                progress(done as u64, chosen.len() as u64);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads {
                scope.spawn(work);
            }
            work();
        });
        explored.runs[kind] = next.into_inner().min(chosen.len()) as u64;
        // Those before the first were taken by then, and are reported, too.
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_by_key(|(at, ..)| *at);
        explored.findings.extend(found.into_iter().map(|(_, crashes, finding)| (crashes, finding)));
    }
}

/// At most `most` of them, evenly spread.
fn spread<T>(all: Vec<T>, most: Option<usize>) -> Vec<T> {
    let stride = most.map_or(1, |most| all.len().div_ceil(most.max(1)).max(1));
    all.into_iter().step_by(stride).collect()
}

fn run(scenario: &Scenario, seed: u64, crashes: Crashes) -> Outcome {
    scenario.run(seed, &Options { crashes: Some(crashes), ..Options::default() })
}

impl fmt::Display for Crashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Crashes::default() {
            return write!(f, "none");
        }
        let mut between = "";
        for Crash { when, kind } in self.0.iter().flatten() {
            let (what, n) = match when {
                When::Point(n) => ("point", n),
                When::DiskOperation(n) => ("operation", n),
            };
            let kind = if *kind == CrashKind::PowerLoss { "power" } else { "process" };
            write!(f, "{between}{what}:{n}:{kind}")?;
            between = ",";
        }
        Ok(())
    }
}

impl FromStr for Crashes {
    type Err = String;

    fn from_str(text: &str) -> Result<Crashes, String> {
        let form = || format!("`{text}` is not of the form point:12:power,operation:7:process, nor none");
        let one = |text: &str| -> Option<Crash> {
            let mut words = text.split(':');
            let (what, n, kind) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
            let when = match what {
                "point" => When::Point(n),
                "operation" => When::DiskOperation(n),
                _ => return None,
            };
            let kind = match kind {
                "power" => CrashKind::PowerLoss,
                "process" => CrashKind::Process,
                _ => return None,
            };
            words.next().is_none().then_some(Crash { when, kind })
        };
        let mut crashes = Crashes::default();
        if text == "none" {
            return Ok(crashes);
        }
        for (i, text) in text.split(',').enumerate() {
            *crashes.0.get_mut(i).ok_or_else(form)? = Some(one(text).ok_or_else(form)?);
        }
        Ok(crashes)
    }
}
