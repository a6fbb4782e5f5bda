//! What a test may say of its world, of the job's settings, and of what it asks itself.

use millstream::Config;

use super::{Look, Simulation, refuse_test};
use crate::disk::DiskView;
use crate::faults::FaultPlan;
use crate::mishaps::Mishaps;
use crate::random::Random;

impl Simulation<'_> {
    /// Asked after every process, when what it has committed was found right: an assertion that fails is a finding. The
    /// test holds on to clones of its sinks.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::prelude::*;
    ///
    /// let found = Check::new().seeds(3).find("doc", |sim| {
    ///     let numbers = sim.feed("numbers", |random| (0..random.range(50, 300)).collect::<Vec<_>>());
    ///     let out = sim.sink("out", |n: &u64| *n);
    ///     let seen = out.clone();
    ///     sim.always(move |look| {
    ///         assert_unique(&seen.committed(), |n| *n);
    ///         assert!(look.disk().list("state").is_ok() || !look.done(), "checkpoints are there");
    ///     });
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         job.source("numbers", numbers.clone()).sink("out", out.clone());
    ///         job
    ///     });
    /// });
    /// assert!(found.is_none());
    /// ```
    pub fn always(&mut self, oracle: impl Fn(&Look<'_>) + 'static) {
        self.always.push(Box::new(oracle));
    }

    /// As [`always`](Self::always), once the job has come to its end.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::prelude::*;
    ///
    /// let found = Check::new().seeds(3).find("doc", |sim| {
    ///     let numbers = sim.feed("numbers", |random| (0..random.range(50, 300)).collect::<Vec<_>>());
    ///     let out = sim.sink("out", |n: &u64| *n);
    ///     let seen = out.clone();
    ///     sim.at_end(move |look| {
    ///         assert_unique(&seen.committed(), |n| *n);
    ///         assert!(look.done() && seen.committed().len() >= 50);
    ///     });
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         job.source("numbers", numbers.clone()).sink("out", out.clone());
    ///         job
    ///     });
    /// });
    /// assert!(found.is_none());
    /// ```
    pub fn at_end(&mut self, oracle: impl Fn(&Look<'_>) + 'static) {
        self.at_end.push(Box::new(oracle));
    }

    /// The simulated disk, to lay input there that no feed makes. In directories that are called `input`, since
    /// media that rot spare these.
    pub fn disk(&mut self) -> DiskView {
        self.begun = true;
        self.world.disk()
    }

    /// A stream of random numbers for a concern of the test's own; two concerns of different names draw independently.
    pub fn random(&self, concern: &str) -> Random {
        self.world.streams().stream(&format!("test {concern}"))
    }

    /// Settings of the job. They come after those that the seed draws anew for each process: the number of cores, batches,
    /// the depth of rings, the pace and number of checkpoints; what is set here is not drawn. Checkpoints are in `state`
    /// whatever is set here, since their rules look there.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::prelude::*;
    ///
    /// let found = Check::new().seeds(3).find("doc", |sim| {
    ///     sim.config(|config| config.cores(3).memory_per_core(1 << 20));
    ///     let numbers = sim.feed("numbers", |random| (0..random.range(50, 300)).collect::<Vec<_>>());
    ///     let out = sim.sink("out", |n: &u64| *n);
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         job.source("numbers", numbers.clone()).sink("out", out.clone());
    ///         job
    ///     });
    /// });
    /// assert!(found.is_none(), "{}", found.expect("just seen"));
    /// ```
    pub fn config(&mut self, configure: impl Fn(Config) -> Config + 'static) {
        let earlier = std::mem::replace(&mut self.configure, Box::new(|config| config));
        self.configure = Box::new(move |config| configure(earlier(config)));
    }

    /// The job takes no checkpoints on its way, as with [`Config::batch`] or [`Config::checkpoint_at_end_only`]: that none was
    /// ever restored is no finding then.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::prelude::*;
    ///
    /// let found = Check::new().seeds(30).find("doc", |sim| {
    ///     let numbers = sim.feed("numbers", |random| (0..random.range(50, 300)).collect::<Vec<_>>());
    ///     let out = sim.sink("out", |n: &u64| *n);
    ///     sim.config(|config| config.checkpoint_at_end_only());
    ///     sim.without_checkpoints();
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         job.source("numbers", numbers.clone()).sink("out", out.clone());
    ///         job
    ///     });
    /// });
    /// assert!(found.is_none(), "{}", found.expect("just seen"));
    /// ```
    pub fn without_checkpoints(&mut self) {
        self.world.endures(|endured| endured.unsaved = 1);
    }

    /// The memory that the state of a core may take: [`Config::memory_per_core`], and a finding where more was taken than a tenth
    /// and a segment beyond it.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::prelude::*;
    ///
    /// let found = Check::new().seeds(3).find("doc", |sim| {
    ///     sim.memory_per_core(1 << 20);
    ///     sim.open_files(100);
    ///     let numbers = sim.feed("numbers", |random| (0..random.range(50, 300)).collect::<Vec<_>>());
    ///     let sums = sim.sink("sums", |sum: &(u64, u64)| sum.0);
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         let numbers = job.source("numbers", numbers.clone()).map(|n| (n, n)).key_by(|n| n.0);
    ///         numbers.reduce("sums so far", |sum, n| sum.1 += n.1).sink("sums", sums.clone());
    ///         job
    ///     });
    /// });
    /// assert!(found.is_none(), "{}", found.expect("just seen"));
    /// ```
    pub fn memory_per_core(&mut self, bytes: u64) {
        self.budgets.memory = Some(bytes);
    }

    /// The most files that a process of the job may have open at once.
    pub fn open_files(&mut self, most: usize) {
        self.budgets.files = Some(most);
    }

    /// What the job's state is depends on more than its input: on the clock, on the order of hash maps, on answers from outside.
    /// It is not compared with that of replays then. Otherwise it is, for a job of one feed with one split whose sinks are
    /// all compared in the order of their keys.
    ///
    /// ```
    /// use millstream_sim::prelude::*;
    ///
    /// let test = |sim: &mut Simulation<'_>| {
    ///     sim.without_replays();
    ///     // … and the rest.
    /// };
    /// # let _ = Check::new().seeds(1).find("doc", test);
    /// ```
    pub fn without_replays(&mut self) {
        self.unreplayed = true;
    }

    /// What a source or a sink of the test's own may do wrong: it asks [`may_fail`](Mishaps::may_fail) where it can fail, and up to
    /// `most` times it does. The process fails with it, and another takes over. Nothing goes wrong once faults have ended.
    ///
    /// ```
    /// use millstream::ErrorKind;
    /// use millstream_sim::prelude::*;
    ///
    /// let test = |sim: &mut Simulation<'_>| {
    ///     let mishaps = sim.mishaps("connection", 3);
    ///     // In the sink's `commit`: the first time, and the next ones, as the seed draws it.
    ///     let committed = mishaps.may_fail(ErrorKind::Sink, "the connection is lost");
    ///     assert!(committed.is_ok(), "no job runs yet");
    /// };
    /// # let _ = Check::new().seeds(1).find("doc", test);
    /// ```
    pub fn mishaps(&mut self, concern: &str, most: u64) -> Mishaps {
        self.troubles.of(&format!("test {concern}"), most)
    }

    /// Changes which faults are injected, from what the seed has drawn of those that every job survives: see
    /// [`faults`](crate::faults) for each, and what it promises. To be called first of all.
    ///
    /// ```
    /// use millstream_sim::prelude::*;
    ///
    /// let crashes_alone = |plan: &mut FaultPlan| {
    ///     *plan = FaultPlan { crash: plan.crash, power_loss: plan.power_loss, ..FaultPlan::none() };
    /// };
    /// # let _ = Check::new().seeds(1).find("doc", move |sim| sim.faults(crashes_alone));
    /// ```
    ///
    /// With faults that are [beyond tolerance](FaultPlan::is_beyond_tolerance), the job may stop for good, loudly; what it has
    /// committed must still be right.
    pub fn faults(&mut self, change: impl FnOnce(&mut FaultPlan)) {
        if self.begun {
            refuse_test(
                "the faults are chosen before anything is laid on the disk: call `sim.faults` first of all",
            );
        }
        // Where every point is tried, nothing else goes wrong.
        if self.options.crashes.is_none() {
            let (beyond, calm) = (&mut self.beyond, &mut self.calm);
            let mut spared = false;
            self.world.replan(|plan| {
                change(plan);
                *beyond = plan.is_beyond_tolerance();
                spared = !plan.crash.is_possible();
                *calm = *plan
                    == FaultPlan { cruelty: plan.cruelty, power_loss: plan.power_loss, ..FaultPlan::none() };
            });
            self.world.endures(|endured| endured.calm = u64::from(spared));
        }
    }
}
