//! What a user's test is run by: which seeds, and what becomes of a finding.

use std::path::PathBuf;
use std::time::Duration;

use super::found::Found;
use super::{Simulation, env};
use crate::explore::Crashes;
use crate::scenario::{Scenario, panics};
use crate::tape_file::TapeFile;

/// Seeds, if nothing else is said.
const SEEDS: u64 = 100;

/// Runs a test of a job in a hundred worlds, each drawn by a seed, on all cores, and stops at the first finding. See
/// [the module](super) for an example, and `sim/TESTING.md` for all of it.
///
/// The environment may say otherwise:
///
/// | | |
/// |---|---|
/// | `SIM_SEEDS=1000` | so many seeds |
/// | `SIM_FIRST=5000` | from this one on |
/// | `SIM_THREADS=1` | on fewer cores |
/// | `SIM_SEED=1234`, `SIM_SEED=revenue:1234` | one seed alone, with everything that happens in it printed; of the check of that name alone, and others are left out |
/// | `SIM_SHRINK=60` | what is found is made smaller for so many seconds at most, and kept on a tape |
/// | `SIM_TIMELINE=run.html` | what is found is drawn, after it was made smaller: a page for a browser. A path that ends with `/` is a directory for such pages |
/// | `SIM_TAPE=revenue-1234.tape` | the run on a tape, and no other |
///
/// # Panics
/// With what was found, what it means, and the lines that run that seed again, and that shrink it.
pub fn check(name: &'static str, test: impl Fn(&mut Simulation<'_>) + Send + Sync + 'static) {
    report(from_env().find(name, test));
}

/// Kills a test's job at each of its points in turn, by a signal and by a loss of power: that of the shortest seed with three
/// checkpoints, while nothing else goes wrong. A few thousand runs for a small job; `SIM_MOST=500` is for about so many of
/// them, evenly spread.
///
/// ```
/// use millstream::prelude::*;
/// use millstream_sim::prelude::*;
///
/// fn sums_are_exact(sim: &mut Simulation<'_>) {
///     let numbers = sim.feed("numbers", |random| (0..random.range(100, 200)).collect::<Vec<_>>());
///     let sums = sim.sink("sums", |sum: &(u64, u64)| sum.0);
///     sim.run(|| {
///         let job = Job::new("doc");
///         let numbers = job.source("numbers", numbers.clone()).map(|n| (n % 10, n)).key_by(|n| n.0);
///         numbers.reduce("sums so far", |sum, n| sum.1 += n.1).sink("sums", sums.clone());
///         job
///     });
/// }
///
/// // In a `#[test]`:
/// # if false {
/// explore("sums", sums_are_exact);
/// # }
/// # let found = Check::new().most(20).explore("sums", sums_are_exact);
/// # assert!(found.is_none(), "{}", found.expect("just seen"));
/// ```
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
/// assert!(found.to_string().contains(&format!("SIM_SEED=doc:{} ", found.seed())));
/// ```
#[derive(Clone, Debug)]
pub struct Check {
    pub(super) seeds: u64,
    pub(super) first: u64,
    pub(super) only: Option<u64>,
    /// The only check that is run.
    pub(super) meant: Option<String>,
    pub(super) crashes: Option<Crashes>,
    pub(super) tape: Option<(PathBuf, TapeFile)>,
    pub(super) threads: usize,
    pub(super) most: Option<usize>,
    pub(super) bug: Option<&'static str>,
    /// How long what is found is made smaller.
    pub(super) shrink: Option<Duration>,
    /// Where it is drawn.
    pub(super) timeline: Option<PathBuf>,
}

impl Default for Check {
    fn default() -> Check {
        Check::new()
    }
}

impl Check {
    /// A hundred seeds from 0, on all cores.
    pub fn new() -> Check {
        Check {
            seeds: SEEDS,
            first: 0,
            only: None,
            meant: None,
            crashes: None,
            tape: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            most: None,
            bug: None,
            shrink: None,
            timeline: None,
        }
    }

    /// What the environment says: see [`check`] and [`explore`].
    ///
    /// # Errors
    /// If one of its variables cannot be understood, or its tape cannot be read.
    pub fn from_env() -> Result<Check, String> {
        env::read()
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

    /// What is found is made smaller, for so long at most: all is taken away that it does not take to break the rule. What is
    /// left is kept on a tape, in the directory of the [page](Check::timeline) or the one where the program runs; the finding
    /// tells where.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_sim::prelude::*;
    ///
    /// let check = Check::new().shrink(Duration::from_secs(60)).timeline("found/");
    /// # let _ = check;
    /// ```
    pub fn shrink(self, longest: Duration) -> Check {
        Check { shrink: Some(longest), ..self }
    }

    /// What is found is drawn there, after it was [made smaller](Check::shrink), if it was to be: a page for a browser. A path
    /// that ends with `/` is a directory, in which it is called after the check and the seed.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::prelude::*;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let page = dir.path().join("run.html");
    /// let found = Check::new().timeline(&page).find("doc", |sim| {
    ///     let numbers = sim.feed("numbers", |_| vec![1, 2, 3]);
    ///     let out = sim.sink("out", |n: &u64| *n);
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         job.source("numbers", numbers.clone()).sink("out", out.clone());
    ///         job
    ///     });
    ///     assert_eq!(out.committed().len(), 4, "one is missing");
    /// });
    /// assert!(found.is_some());
    /// assert!(std::fs::read_to_string(page)?.contains("one is missing"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn timeline(self, page: impl Into<PathBuf>) -> Check {
        Check { timeline: Some(page.into()), ..self }
    }

    /// The finding in the least seed that has one, if there is one.
    pub fn find(
        &self,
        name: &'static str,
        test: impl Fn(&mut Simulation<'_>) + Send + Sync + 'static,
    ) -> Option<Found> {
        panics::keep_those_of_runs();
        let scenario = Scenario::of_job(name, test);
        if self.leaves_out(name) {
            return None;
        }
        let found = match (&self.tape, self.only) {
            (Some((path, tape)), _) => self.play(&scenario, path, tape),
            (None, Some(seed)) => self.replay(&scenario, seed),
            (None, None) => self.swarm(&scenario),
        };
        found.map(|found| self.look_closer(&scenario, found))
    }

    /// The finding at the first point with one, of those at which the job of the shortest seed can be killed.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::prelude::*;
    ///
    /// let found = Check::new().most(20).explore("doc", |sim| {
    ///     let numbers = sim.feed("numbers", |random| (0..random.range(100, 200)).collect::<Vec<_>>());
    ///     let out = sim.sink("out", |n: &u64| *n);
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         job.source("numbers", numbers.clone()).sink("out", out.clone());
    ///         job
    ///     });
    /// });
    /// assert!(found.is_none());
    /// ```
    pub fn explore(
        &self,
        name: &'static str,
        test: impl Fn(&mut Simulation<'_>) + Send + Sync + 'static,
    ) -> Option<Found> {
        panics::keep_those_of_runs();
        let scenario = Scenario::of_job(name, test);
        if self.leaves_out(name) {
            return None;
        }
        let found = match (&self.tape, self.only, self.crashes) {
            (Some((path, tape)), ..) => self.play(&scenario, path, tape),
            (None, Some(seed), Some(_)) => self.replay(&scenario, seed),
            (None, only, _) => self.every_point(&scenario, only),
        };
        found.map(|found| self.look_closer(&scenario, found))
    }

    /// Whether another check alone is to be run.
    fn leaves_out(&self, name: &str) -> bool {
        let Some(meant) = self.meant.as_deref().filter(|meant| *meant != name) else { return false };
        println!("{name}: left out, since `{meant}` alone is to be run");
        true
    }
}
