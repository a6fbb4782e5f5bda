//! Many seeds of a scenario, on as many threads as wanted: every seed is a world of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::coverage::Coverage;
use crate::scenario::{Options, Outcome, Scenario};
use crate::world::Endured;

/// Which seeds, and how.
///
/// ```
/// use millstream_sim::scenario::{self, Options};
/// use millstream_sim::swarm::Swarm;
///
/// let protocol = scenario::all().into_iter().find(|scenario| scenario.name == "protocol").expect("it is there");
/// let swarm = Swarm { first: 0, seeds: 20, until: None, threads: 2, options: Options::default(), keep_going: true };
/// let summary = swarm.run(&protocol, |done| assert!(done <= 20));
/// assert_eq!((summary.seeds, summary.findings.len()), (20, 0));
/// assert!(summary.endured.kills > 0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Swarm {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// None is begun after that.
    pub until: Option<Instant>,
    /// How many threads.
    pub threads: usize,
    /// What the caller decides instead of the seeds.
    pub options: Options,
    /// Go on after a finding.
    pub keep_going: bool,
}

/// What came of them.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Scheduling points.
    pub points: u64,
    /// Virtual time.
    pub time: Duration,
    /// What the scenario counts, if it counts something.
    pub work: u64,
    /// What the faults struck.
    pub coverage: Coverage,
    /// What processes have been through.
    pub endured: Endured,
    /// Outcomes with a finding, lowest seed first. Unless it kept going, the first is the lowest there is.
    pub findings: Vec<Outcome>,
}

impl Swarm {
    /// Runs them. `progress` is called after each seed with the number of those that are done.
    pub fn run(self, scenario: &Scenario, progress: impl Fn(u64) + Sync) -> Summary {
        let next = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let summary = Mutex::new(Summary::default());
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= self.seeds || self.until.is_some_and(|until| Instant::now() >= until) {
                    break;
                }
                let outcome = scenario.run(self.first.wrapping_add(at), &self.options);
                if outcome.finding.is_some() && !self.keep_going {
                    // Lower seeds are all taken already, and will be reported too if they find something.
                    stop.store(true, Ordering::Relaxed);
                }
                let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
                summary.add(outcome);
                progress(summary.seeds);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads {
                scope.spawn(work);
            }
            work();
        });
        let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.findings.sort_by_key(|outcome| outcome.seed.wrapping_sub(self.first));
        summary
    }
}

impl Summary {
    /// Adds what came of another scenario.
    pub fn merge(&mut self, other: Summary) {
        self.seeds += other.seeds;
        self.points += other.points;
        self.time += other.time;
        self.work += other.work;
        self.coverage.add(&other.coverage);
        self.endured.add(other.endured);
        self.findings.extend(other.findings);
    }

    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.points += outcome.points;
        self.time += outcome.time;
        self.work += outcome.work;
        self.coverage.add(&outcome.coverage);
        self.endured.add(outcome.endured);
        if outcome.finding.is_some() {
            self.findings.push(outcome);
        }
    }
}
