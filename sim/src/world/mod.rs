//! A world: virtual cores, a clock and a disk, in one thread, where every choice comes from a seed.
//!
//! A world outlives the processes that run in it: [`World::run`] runs one, given as one main future per core, to its
//! end or its crash; the next one finds the disk as that left it.

mod clock;
mod ending;
mod endured;
mod fate;
mod frozen;
mod host;
pub(crate) mod kernel;
mod marker;
mod processes;
mod run;
mod schedule;
mod tasks;

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;
use std::time::Duration;

use millstream::host::CoreMain;

use self::clock::Clock;
use self::kernel::{Kernel, State};
use self::run::Run;
use self::schedule::Schedule;
use crate::disk::model::Model;
use crate::disk::{CrashKind, DiskView};
use crate::faults::FaultPlan;
use crate::random::{Random, Streams};
use crate::trace::{Event, Trace, What};

pub use self::endured::Endured;
pub use self::fate::{Crash, RunEnd, Waiting, When};
pub use self::frozen::Freeze;
pub use self::marker::Marker;
pub use self::processes::FreezeKind;
pub use self::tasks::TaskId;

/// What a world is like, besides its seed.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// What may go wrong.
    pub plan: FaultPlan,
    /// The disk loses nothing, whatever crashes: for tests that must then find nothing, or fail.
    pub forgiving: bool,
    /// Keep the list of events, for a timeline.
    pub keep_log: bool,
    /// The most scheduling points (steps and completions) that a process may take.
    pub max_points: u64,
    /// The most virtual time that a process may take.
    pub max_time: Duration,
    /// The longest that may pass between the end of a process and the start of the next, if that is drawn.
    pub downtime: Duration,
}

impl Default for WorldConfig {
    fn default() -> WorldConfig {
        WorldConfig {
            plan: FaultPlan::none(),
            forgiving: false,
            keep_log: false,
            max_points: 10_000_000,
            max_time: Duration::from_secs(24 * 3600),
            downtime: Duration::ZERO,
        }
    }
}

/// A simulated machine.
///
/// ```
/// use millstream_sim::world::{RunEnd, World, WorldConfig};
/// use millstream_storage::disk::OpenMode;
///
/// let mut world = World::new(7, WorldConfig::default());
/// let end = world.run(vec![Box::new(|host| {
///     Box::pin(async move {
///         let file = host.disk().open("hello".as_ref(), OpenMode::Create).await.expect("a new disk is empty");
///         file.write_at(0, b"world".to_vec().into()).await.expect("no faults are on");
///     })
/// })]);
/// assert_eq!(end, RunEnd::Finished);
/// assert_eq!(world.disk().read("hello").expect("it was written"), b"world");
/// ```
pub struct World {
    kernel: Rc<Kernel>,
    streams: Streams,
    config: WorldConfig,
    faults: Random,
    /// Whoever starts the processes again.
    supervisor: Random,
    /// The longest that it takes, in this world.
    downtime: Duration,
    faults_ended: bool,
    crash: Option<Crash>,
    freeze: Option<Freeze>,
    /// When the next processes wake that are frozen: point, process.
    wakes: Vec<(u64, u64)>,
    zombies: Random,
    processes: u64,
    points: u64,
    /// What the scenario counts.
    work: u64,
    /// The longest life of a process so far: points, disk operations.
    longest: [u64; 2],
    /// The life of each process.
    lives: Vec<[u64; 2]>,
    /// Where the next processes are killed, if that is not drawn.
    script: Option<VecDeque<Option<Crash>>>,
    /// Completed checkpoints of jobs.
    checkpoints: u64,
    endured: Endured,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, config: WorldConfig) -> World {
        World::of(Streams::new(seed), config)
    }

    /// The world of these streams.
    pub(crate) fn of(streams: Streams, config: WorldConfig) -> World {
        let (faults, zombies) = (streams.stream("faults"), streams.stream("zombies"));
        let mut supervisor = streams.stream("supervisor");
        let longest = config.downtime;
        let downtime = *supervisor.pick(&[Duration::ZERO, longest / 60, longest]);
        let mut schedule = Schedule::new(config.plan.stall, streams.stream("schedule"));
        if let Some(most) = config.plan.late_start {
            schedule.set_late(most.as_nanos() as u64, streams.stream("starts"));
        }
        let state = State::new(
            Clock::new(config.plan.clock_jump, streams.stream("clock")),
            schedule,
            Model::new(config.plan.clone(), config.forgiving, streams.stream("disk")),
            Trace::new(config.keep_log),
            streams.stream("host"),
        );
        World {
            kernel: Rc::new(Kernel::new(state)),
            streams,
            config,
            faults,
            supervisor,
            downtime,
            faults_ended: false,
            crash: None,
            freeze: None,
            wakes: Vec::new(),
            zombies,
            processes: 0,
            points: 0,
            work: 0,
            longest: [256, 32],
            lives: Vec::new(),
            script: None,
            checkpoints: 0,
            endured: Endured::default(),
        }
    }

    /// The same world from its beginning, with another plan of faults. Not to be called once something has happened in it, or
    /// its [disk](Self::disk) was looked at.
    ///
    /// ```
    /// use millstream_sim::faults::FaultPlan;
    /// use millstream_sim::random::Chance;
    /// use millstream_sim::world::{World, WorldConfig};
    /// let mut world = World::new(7, WorldConfig { plan: FaultPlan::none(), ..WorldConfig::default() });
    /// world.replan(|plan| plan.crash = Chance::ALWAYS);
    /// assert!(world.draw_crash().is_some());
    /// ```
    pub fn replan(&mut self, change: impl FnOnce(&mut FaultPlan)) {
        change(&mut self.config.plan);
        let anew = World::of(self.streams.clone(), self.config.clone());
        *self = World { script: self.script.take(), endured: self.endured, ..anew };
    }

    /// The random streams of this world's seed; those named `clock`, `schedule`, `disk`, `host`, `faults`, `supervisor`,
    /// `starts` and `zombies` are its own.
    pub fn streams(&self) -> Streams {
        self.streams.clone()
    }

    /// The disk, from outside.
    pub fn disk(&self) -> DiskView {
        DiskView::new(self.kernel.clone())
    }

    /// Sets when the next process is killed.
    pub fn set_crash(&mut self, crash: Option<Crash>) {
        self.crash = crash;
    }

    /// Says where the next processes are killed, instead of what is drawn; those after them are not.
    pub fn script(&mut self, crashes: impl IntoIterator<Item = Option<Crash>>) {
        self.script = Some(crashes.into_iter().collect());
    }

    /// Lets the time pass that a supervisor takes to start a process again, if it takes any: seconds, or a minute. Transactions
    /// may time out meanwhile, and timers and state that expires become due.
    ///
    /// ```
    /// use millstream_sim::world::{World, WorldConfig};
    /// use std::time::Duration;
    /// let downtime = Duration::from_secs(60);
    /// let mut world = World::new(7, WorldConfig { downtime, ..WorldConfig::default() });
    /// world.wait_for_restart();
    /// assert!(world.now() <= downtime);
    /// ```
    pub fn wait_for_restart(&mut self) {
        let most = self.downtime.as_nanos() as u64;
        if most > 0 {
            let nanos = self.supervisor.magnitude(most);
            let mut state = self.kernel.state();
            state.clock.now += nanos;
            state.note(What::Note, [nanos, 0], || "waits to be started again".to_owned());
        }
    }

    /// Draws from the plan whether, when and how the next process is killed: early points as often as late ones, up
    /// to somewhat beyond the longest life so far.
    pub fn draw_crash(&mut self) -> Option<Crash> {
        self.crash = None;
        if let Some(script) = &mut self.script {
            self.crash = script.pop_front().flatten();
            return self.crash;
        }
        if !self.faults_ended && self.faults.chance(self.config.plan.crash) {
            let power = self.faults.chance(self.config.plan.power_loss);
            let kind = if power { CrashKind::PowerLoss } else { CrashKind::Process };
            self.crash = Some(Crash { when: When::draw(&mut self.faults, self.longest), kind });
        }
        self.crash
    }

    /// Runs a process: one main future per core. It is killed where [`set_crash`](Self::set_crash) or
    /// [`draw_crash`](Self::draw_crash) said. In the end its locks are released and its tasks are gone.
    ///
    /// # Panics
    /// If a task panics. The world is then of no further use.
    pub fn run(&mut self, mains: Vec<CoreMain>) -> RunEnd {
        self.process(mains, false)
    }

    /// As [`run`](Self::run), in the process that ran last and has come to an end by itself: its clock goes on. What its cores
    /// held is gone all the same.
    ///
    /// ```
    /// use millstream_sim::world::{World, WorldConfig};
    /// use std::time::Duration;
    /// let mut world = World::new(7, WorldConfig::default());
    /// world.run(vec![Box::new(|_| Box::pin(async {}))]);
    /// let before = world.now();
    /// world.run_on(vec![Box::new(|host| Box::pin(async move { host.sleep(Duration::from_secs(1)).await }))]);
    /// assert!(world.now() >= before + Duration::from_secs(1));
    /// ```
    ///
    /// # Panics
    /// If a task panics.
    pub fn run_on(&mut self, mains: Vec<CoreMain>) -> RunEnd {
        self.process(mains, true)
    }

    fn process(&mut self, mains: Vec<CoreMain>, again: bool) -> RunEnd {
        self.processes += 1;
        let process = self.processes;
        let mut run = Run::new(&self.kernel, &self.config, process, &mut self.zombies);
        run.fate(self.crash.take(), self.freeze.take(), mem::take(&mut self.wakes));
        run.start(mains, again);
        let end = run.until_end();
        self.endured.kills += u64::from(matches!(end, RunEnd::Crashed(_)));
        let life = run.life();
        self.close(process, &end, life[0]);
        self.points += life[0];
        self.lives.push(life);
        self.longest = [self.longest[0].max(life[0]), self.longest[1].max(life[1])];
        end
    }

    /// From now on nothing goes wrong, and nobody is killed: what is alive must now come to its end.
    pub fn end_faults(&mut self) {
        self.faults_ended = true;
        (self.crash, self.freeze) = (None, None);
        let mut state = self.kernel.state();
        state.disk.trouble.end_faults();
        state.clock.end_faults();
        state.schedule.end_faults();
    }

    /// Cuts the power between two processes.
    pub fn cut_power(&mut self) {
        self.bury_all();
        let mut state = self.kernel.state();
        let now = state.clock.now;
        let fates = state.disk.end_process(now, 0, Some(CrashKind::PowerLoss), &mut self.faults);
        state.mark_faults(String::new);
        state.note(What::Aftermath, [0, fates], || "the power was cut between two processes".to_owned());
    }

    /// Adds a remark of the scenario to the trace.
    pub fn note(&self, numbers: [u64; 2], text: impl FnOnce() -> String) {
        self.kernel.state().note(What::Note, numbers, text);
    }

    /// What puts marks into its log.
    pub fn marker(&self) -> Marker {
        Marker::new(self.kernel.clone())
    }

    /// What its wall clock shows, in milliseconds since the epoch.
    pub fn wall_millis(&self) -> i64 {
        self.kernel.state().clock.wall_millis()
    }

    /// Virtual time since the world began.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.kernel.state().clock.now)
    }

    /// Scheduling points so far, in all processes.
    pub fn points(&self) -> u64 {
        self.points
    }

    /// Adds to what the scenario counts: operations, records.
    pub fn count_work(&mut self, work: u64) {
        self.work += work;
    }

    /// What the scenario has counted.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// The scheduling points and disk operations of each process so far.
    pub fn lives(&self) -> &[[u64; 2]] {
        &self.lives
    }

    /// Adds to the number of checkpoints that jobs have completed.
    pub fn count_checkpoints(&mut self, checkpoints: u64) {
        self.checkpoints += checkpoints;
    }

    /// The checkpoints that jobs have completed.
    pub fn checkpoints(&self) -> u64 {
        self.checkpoints
    }

    /// What processes have endured so far.
    pub fn endured(&self) -> Endured {
        self.endured
    }

    /// Changes what is told of that.
    pub(crate) fn endures(&mut self, change: impl FnOnce(&mut Endured)) {
        change(&mut self.endured);
    }

    /// The hash of everything that happened so far: equal for equal runs.
    pub fn trace_hash(&self) -> u64 {
        self.kernel.state().trace.hash()
    }

    /// What happened so far; empty unless the log is kept.
    pub fn events(&self) -> Vec<Event> {
        self.kernel.state().trace.events().to_vec()
    }
}
