//! The shipped engine, killed and restarted under faults until its job is done, with what it put out compared to
//! the reference interpreter's answer after every process.

mod alarms;
mod aligned;
mod async_map;
mod batch;
mod beyond;
mod checkpoints;
mod connected;
mod cores;
mod data;
mod expected;
mod files;
mod formats;
mod joins;
mod kinds;
mod larger;
mod levels;
mod marks;
mod outputs;
mod postgres;
mod process;
mod remote;
mod replays;
mod rescale;
mod savepoints;
mod shelves;
mod supervised;
mod topics;
mod unaligned;
mod union;
mod versions;
mod windows;
mod windows_clock;
mod windows_merging;
mod windows_pool;
mod windows_stacked;
mod windows_triggers;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use millstream::job::Job;
use millstream::{Config, ErrorKind, JobControl, Report, Result as Outcome};

use self::checkpoints::Numbers;
use self::replays::Replayed;
use super::{Body, Finding, Options, Scenario, restart_until_done};
use crate::disk::DiskView;
use crate::faults::FaultPlan;
use crate::random::{Chance, Random, Streams};
use crate::world::{World, WorldConfig};

/// Where the jobs keep their checkpoints.
const STATE: &str = "state";

/// A job, and what it must put out.
trait Work {
    /// The job, made anew for each process.
    fn job(&self) -> Job;

    /// Whether what is committed is right; complete, too, if the job says that it is done.
    fn check(&self, disk: &DiskView, done: bool) -> Result<(), Finding>;

    /// The memory that a core may take for state, if it is limited.
    fn memory(&self) -> Option<u64> {
        None
    }

    /// What it asks of the settings.
    fn configure(&self, config: Config) -> Config {
        config
    }

    /// Batches that a ring holds, if that is not to be drawn.
    fn ring_depth(&self) -> Option<usize> {
        None
    }

    /// The most cores that are drawn.
    fn most_cores(&self) -> usize {
        4
    }

    /// From now on nothing may go wrong outside either.
    fn calm(&self) {}

    /// The steps that may be on fewer cores than the job.
    fn movable(&self) -> &[&str] {
        &[]
    }

    /// What may be asked of a replay between two checkpoints.
    fn replayed(&self, _from: u64, _to: u64) -> Replayed {
        Replayed::Not
    }

    /// Whether the counts of a run from the very beginning to the very end are right.
    fn account(&self, _report: &Report) -> Result<(), Finding> {
        Ok(())
    }
}

/// How the job is run: drawn anew for each process, but for what must stay.
struct Knobs {
    random: Random,
    groups: u32,
    cores: Option<usize>,
    /// Every process has the same number of cores, or another than the one before.
    steady: bool,
    last_cores: usize,
    most_cores: usize,
}

impl Knobs {
    fn new(world: &World, options: &Options, most_cores: usize) -> Knobs {
        let mut random = world.streams().stream("knobs");
        let most = most_cores as u32;
        let groups = *random.pick(&[most, most + 1, 128]);
        let (steady, last_cores) = (random.below(3) == 0, random.range(1, most_cores as u64) as usize);
        Knobs { random, groups, cores: options.cores, steady, last_cores, most_cores }
    }

    fn draw_cores(&mut self) -> usize {
        if !self.steady {
            let others = self.random.index(self.most_cores - 1);
            self.last_cores = 1 + (self.last_cores + others) % self.most_cores;
        }
        self.cores.unwrap_or(self.last_cores)
    }

    fn draw(&mut self, calm: bool) -> Config {
        let micros = |random: &mut Random, most| Duration::from_micros(random.magnitude(most));
        let cores = self.draw_cores();
        let random = &mut self.random;
        let config = Config::new()
            .cores(cores)
            .checkpoints(STATE)
            .max_parallelism(self.groups)
            .batch_size(random.magnitude(64) as usize)
            .ring_depth(random.range(1, 4) as usize)
            .step_budget(random.magnitude(200) as usize)
            .checkpoint_every(Duration::from_micros(100) + micros(random, 50_000))
            .retained_checkpoints(random.range(1, 3) as usize);
        let (timeout, tolerated) = (micros(random, 1_000_000), random.below(20) as u32);
        if calm {
            config
        } else {
            config.checkpoint_timeout(timeout).tolerated_checkpoint_failures(tolerated)
        }
    }
}

/// What of the outcomes is forgiven.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tolerance {
    /// Errors that an injected fault has caused.
    Faults,
    /// Every loud stop.
    Stops,
}

/// Runs a job through chaos to its end, and once more after that.
fn endure(
    world: &mut World,
    options: &Options,
    work: &dyn Work,
    tolerance: Tolerance,
) -> Result<(), Finding> {
    let mut knobs = Knobs::new(world, options, work.most_cores());
    let mut places = world.streams().stream("places");
    let replays = RefCell::new(world.streams().stream("replays"));
    let chaos = world.streams().stream("chaos").range(1, 6) as u32;
    let (disk, started, control) = (world.disk(), Cell::new(0), RefCell::new(None));
    let (checkpoints, numbers, marker) = (Cell::new(0), Numbers::default(), world.marker());
    let mut mains = || {
        let calm = started.replace(started.get() + 1) >= chaos;
        let mut config = knobs.draw(calm);
        if calm {
            work.calm();
        }
        if let Some(depth) = work.ring_depth() {
            config = config.ring_depth(depth);
        }
        if let Some(memory) = work.memory() {
            config = config.memory_per_core(memory);
        }
        for step in work.movable() {
            if places.below(3) > 0 {
                config = config.parallelism(step, places.range(1, work.most_cores() as u64) as usize);
            }
        }
        config = work.configure(config);
        let (mains, of) = work.job().into_mains(&config).expect("the job is well formed");
        control.replace(Some(of));
        mains
    };
    let judge = || {
        let control: JobControl = control.borrow().clone().expect("a process was started");
        let outcome = marks::of_job(&marker, &control);
        let calm = started.get() > chaos;
        checkpoints.set(checkpoints.get() + control.metrics().job().checkpoints.get());
        numbers.check(&control)?;
        let report = judge(outcome, calm, tolerance)?;
        if tolerance == Tolerance::Faults {
            checkpoints::check(&disk)?;
        }
        work.check(&disk, report.is_some())?;
        if tolerance == Tolerance::Faults {
            replays::check(&disk, work, &mut replays.borrow_mut())?;
        }
        within_memory(&control, work.memory())?;
        if let Some(report) = report.as_ref().filter(|report| report.restored.is_none()) {
            work.account(report)?;
        }
        Ok(report)
    };
    let done = restart_until_done(world, chaos, &mut mains, || Ok(judge()?.is_some()));
    world.count_checkpoints(checkpoints.get());
    match done {
        Err(finding) if tolerance == Tolerance::Stops && finding.rule == super::LIVENESS => return Ok(()),
        done => done?,
    }
    // What is called done stays done.
    world.freeze();
    work.calm();
    world.cut_power();
    world.run(mains());
    match judge()? {
        Some(report) if report.already_finished => Ok(()),
        _ if tolerance == Tolerance::Stops => Ok(()),
        other => Err(Finding::new("a job that has ended stays ended", format!("{other:?}"))),
    }
}

/// The segments of a store whose limit is as small as the scenarios draw it, in bytes.
const SEGMENT: u64 = 16 << 10;

/// Whether no core has taken a tenth more than its memory, and one segment. A step looks at its memory after as many
/// records as usually fill a segment; where some values are several times as long as the usual one, and two of those fit
/// a segment, such a piece takes more, and a segment is a thirtieth of these limits.
fn within_memory(control: &JobControl, memory: Option<u64>) -> Result<(), Finding> {
    let Some(memory) = memory else { return Ok(()) };
    let shards = control.metrics().shards();
    match shards
        .iter()
        .map(|shard| shard.most_state_bytes.get())
        .find(|most| *most > memory + memory / 10 + SEGMENT)
    {
        None => Ok(()),
        Some(most) => {
            Err(Finding::new("state stays within its memory", format!("{most} of {memory} bytes were taken")))
        }
    }
}

/// The report of a job that got to its end; nothing of one that was killed or was allowed to fail.
fn judge(
    outcome: Option<Outcome<Report>>,
    calm: bool,
    tolerance: Tolerance,
) -> Result<Option<Report>, Finding> {
    let error = match outcome {
        None => return Ok(None),
        Some(Ok(report)) => return Ok(Some(report)),
        Some(Err(error)) => error,
    };
    let text = error.to_string();
    let excused = is_injected(&text) && !calm;
    match tolerance {
        _ if error.kind() == ErrorKind::User => Err(Finding::new("user code does not fail", text)),
        Tolerance::Faults if !excused => Err(Finding::new("a job fails by an injected fault only", text)),
        _ => Ok(None),
    }
}

/// Whether an error tells of a fault that was injected, or of the time that it took.
fn is_injected(error: &str) -> bool {
    let injected = ["os error 5)", "os error 24)", "os error 28)", "took longer than", "(injected)"];
    injected.iter().any(|reason| error.contains(reason))
}

/// No run takes as many steps, not even one whose feeds pause for long between single records while checkpoints follow
/// each other without a break: the longest seen took five million.
const MAX_POINTS: u64 = 50_000_000;

/// A world with every fault that must be survived, and mostly crashes.
fn survivable(streams: &Streams) -> WorldConfig {
    let mut random = streams.stream("plan");
    let mut plan = FaultPlan::swarm(&mut random);
    if random.below(4) > 0 {
        plan.crash = Chance::ALWAYS;
    }
    WorldConfig { plan, max_points: MAX_POINTS, ..WorldConfig::default() }
}

fn scenario(name: &'static str, about: &'static str, body: Body) -> Scenario {
    Scenario { name, about, planted: false, is_job: true, config: survivable, body }
}

/// The scenario of a kind of work, made from the streams of a seed.
fn of<W: Work + 'static>(
    name: &'static str,
    about: &'static str,
    make: impl Fn(&mut World) -> W + Send + Sync + 'static,
) -> Scenario {
    let body = move |world: &mut World, options: &Options| {
        let work = make(world);
        endure(world, options, &work, Tolerance::Faults)
    };
    scenario(name, about, Box::new(body))
}

/// Every scenario with the engine.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        of("windows", "a window with late records, of one split out of order", |world| {
            windows::Windows::new(world)
        }),
        of("slices", "windows that overlap, some larger than memory", |world| {
            windows_merging::Merging::slices(world)
        }),
        of("sessions", "sessions that grow and merge, some larger than memory", |world| {
            windows_merging::Merging::sessions(world)
        }),
        of("triggers", "windows with triggers and evictors, some larger than memory", |world| {
            windows_triggers::Triggers::new(world)
        }),
        of("stacked", "windows over the results of windows", |world| windows_stacked::Stacked::new(world)),
        of("clock", "windows of the clock", |world| windows_clock::Clock::new(world)),
        of("process", "state and timers per key", |world| process::Keyed::new(world)),
        of("union", "two sources of several splits that pause", |world| union::Union::new(world)),
        union::idle_scenario(),
        union::narrow_scenario(),
        levels::scenario(),
        of("aligned", "sources of uneven pace that wait for each other", |world| {
            aligned::Aligned::new(world)
        }),
        of("connected", "two streams and a broadcast one, side outputs and partitioners", |world| {
            connected::Connected::new(world)
        }),
        of("files", "from files through a window into files", |world| files::Files::new(world)),
        of("poison", "files with lines that cannot be decoded", |world| files::Files::poisoned(world)),
        of("formats", "from files of NDJSON and CSV, plain and compressed", |world| {
            files::Files::formatted(world)
        }),
        of("outputs", "into partitioned, rolled and long files, some with a footer", |world| {
            outputs::Outputs::new(world)
        }),
        of("alarms", "timers that wait for the clock, which jumps", |world| alarms::Alarms::new(world)),
        of("kinds", "all kinds of state, with a TTL and timers", |world| kinds::Kinds::new(world)),
        of("crowded", "all kinds of state, larger than memory", |world| kinds::Kinds::crowded(world)),
        of("rescale", "a window and a process, on another number of cores each time", |world| {
            rescale::Both::new(world)
        }),
        supervised::scenario_of_restarts(),
        of("narrow", "a window and a process, each on other cores each time", |world| {
            rescale::Both::narrow(world)
        }),
        of("unaligned", "barriers that overtake what waits", |world| unaligned::Unaligned::new(world)),
        of("larger", "a window and a process whose state is larger than memory", |world| {
            larger::Larger::new(world)
        }),
        of("joins", "joins of two streams, and the ready steps, out of order", |world| {
            joins::Joins::new(world)
        }),
        of("cores", "lists of cores, on another number of cores each time", |world| cores::Cores::new(world)),
        of("versions", "state that becomes another type in mid-life", |world| versions::Versions::new(world)),
        of("topics", "from a topic through a window into a topic", topics::Topics::new),
        savepoints::scenario(),
        of("postgres", "a window into the tables of a database whose connections break", |world| {
            postgres::Tables::new(world)
        }),
        remote::scenario(),
        async_map::scenario(),
        of("batch", "final results alone, of input far out of order", |world| batch::Batch::new(world)),
        beyond::scenario(),
    ]
}
