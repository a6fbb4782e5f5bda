//! A scenario: what is run in a world, through crashes and restarts, and how it is judged.

pub mod control;
pub mod engine;
pub(crate) mod panics;
pub mod protocol;
pub mod store;
pub mod topic;

use std::fmt;
use std::time::Duration;

use millstream::host::CoreMain;

use crate::coverage::Coverage;
use crate::explore::Crashes;
use crate::faults::{FaultPlan, late_start};
use crate::random::Streams;
use crate::tape::{Deck, Recorder, Tape};
use crate::trace::Event;
use crate::world::{Endured, RunEnd, World, WorldConfig};

pub use panics::keep_panics_quiet;

/// What went wrong: the oracle that says so, and what it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that was broken.
    pub rule: String,
    /// What was seen instead.
    pub seen: String,
}

impl Finding {
    /// A finding.
    pub fn new(rule: impl Into<String>, seen: impl Into<String>) -> Finding {
        Finding { rule: rule.into(), seen: seen.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.seen)
    }
}

/// What the caller decides instead of the seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Keep the list of events.
    pub keep_log: bool,
    /// The number of cores of every process; otherwise drawn.
    pub cores: Option<usize>,
    /// The bug to be switched on, of those in [`planted`](crate::planted).
    pub bug: Option<&'static str>,
    /// Where processes are killed; then nothing else goes wrong.
    pub crashes: Option<Crashes>,
    /// The most scheduling points that a process may take, if fewer than usual.
    pub most_points: Option<u64>,
    /// No time passes between the end of a process and the start of the next, and cores are [`prompt`](Options::prompt): so it
    /// was for seeds that are older than that.
    pub at_once: bool,
    /// Cores take their first step as soon as they are open: so it was for seeds that are older than that.
    pub prompt: bool,
}

/// The longest that may pass until a process is started again.
const DOWNTIME: Duration = Duration::from_secs(60);

/// The rule that every scenario ends with.
pub(crate) const LIVENESS: &str = "once faults end, the work gets done";

/// The rule of what comes to no verdict of its own.
pub(crate) const NO_PANIC: &str = "nothing panics";

/// The rule that a process breaks which gets stuck, or takes more points than a world allows.
pub(crate) const PROGRESS: &str = "every process makes progress";

/// What a scenario does in a world.
pub type Body = Box<dyn Fn(&mut World, &Options) -> Result<(), Finding> + Send + Sync>;

/// A scenario.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Whether a bug was planted in it, so that some seed must find it.
    pub planted: bool,
    /// Whether it runs a job, which can be killed at each of its points.
    pub is_job: bool,
    /// Draws the world of a seed.
    pub config: fn(&Streams) -> WorldConfig,
    /// Runs it.
    pub body: Body,
}

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The hash of everything that happened.
    pub hash: u64,
    /// Scheduling points.
    pub points: u64,
    /// What the scenario counts, if it counts something.
    pub work: u64,
    /// Virtual time.
    pub time: Duration,
    /// The scheduling points and disk operations of each process.
    pub lives: Vec<[u64; 2]>,
    /// Completed checkpoints, if it is a job that has them.
    pub checkpoints: u64,
    /// What the faults struck.
    pub coverage: Coverage,
    /// What its processes have been through.
    pub endured: Endured,
    /// What happened, if it was to be kept.
    pub events: Vec<Event>,
    /// What the caller had decided.
    pub options: Options,
    /// What went wrong, if something did.
    pub finding: Option<Finding>,
}

impl Outcome {
    /// The line that runs it again: with this program, as this scenario.
    ///
    /// ```
    /// use millstream_sim::scenario::{self, Options};
    ///
    /// let all = scenario::all();
    /// let protocol = all.iter().find(|scenario| scenario.name == "protocol").expect("it is there");
    /// let outcome = protocol.run(7, &Options { cores: Some(2), ..Options::default() });
    /// let line = outcome.replay_line("millstream-sim", protocol.name);
    /// assert_eq!(line, "millstream-sim replay 7 --scenario protocol --cores 2");
    /// ```
    pub fn replay_line(&self, program: &str, scenario: &str) -> String {
        let Options { cores, crashes, bug, at_once, prompt, .. } = self.options;
        let at_once = if at_once { " --at-once" } else { "" };
        let prompt = if prompt { " --prompt" } else { "" };
        let cores = cores.map_or(String::new(), |cores| format!(" --cores {cores}"));
        let crash = crashes.map_or(String::new(), |crashes| format!(" --crash {crashes}"));
        let bug = bug.map_or(String::new(), |bug| format!(" --bug {bug}"));
        format!("{program} replay {} --scenario {scenario}{cores}{crash}{bug}{at_once}{prompt}", self.seed)
    }
}

impl Scenario {
    /// Runs one seed. A panic is a finding, as is anything the disk's seam forbids.
    pub fn run(&self, seed: u64, options: &Options) -> Outcome {
        self.run_of(Streams::new(seed), options)
    }

    /// Runs one seed, and writes down what is drawn.
    ///
    /// ```
    /// use millstream_sim::scenario::{self, Options};
    ///
    /// let all = scenario::all();
    /// let scenario = all.iter().find(|scenario| scenario.name == "protocol").expect("it is there");
    /// let (outcome, tape) = scenario.record(7, &Options::default());
    /// assert_eq!(scenario.play(7, &tape, &Options::default()).hash, outcome.hash);
    /// ```
    pub fn record(&self, seed: u64, options: &Options) -> (Outcome, Tape) {
        let recorder = Recorder::default();
        let outcome = self.run_of(Streams::taped(seed, Deck::Writes(recorder.clone())), options);
        (outcome, recorder.tape())
    }

    /// Runs with what is on a tape instead of what a seed draws; the seed is only the outcome's name.
    pub fn play(&self, seed: u64, tape: &Tape, options: &Options) -> Outcome {
        self.run_of(Streams::taped(seed, Deck::Plays(tape.clone())), options)
    }

    fn run_of(&self, streams: Streams, options: &Options) -> Outcome {
        let seed = streams.seed();
        let mut config = WorldConfig { keep_log: options.keep_log, ..(self.config)(&streams) };
        config.max_points = config.max_points.min(options.most_points.unwrap_or(u64::MAX));
        if !options.at_once {
            config.downtime = DOWNTIME;
        }
        if !options.at_once && !options.prompt {
            config.plan.late_start = late_start(&mut streams.stream("late starts"));
        }
        let config = match options.crashes {
            Some(_) => {
                let plan = FaultPlan { cruelty: config.plan.cruelty, ..FaultPlan::none() };
                WorldConfig { plan, downtime: Duration::ZERO, ..config }
            }
            None => config,
        };
        let mut world = World::of(streams, config);
        if let Some(Crashes(crashes)) = options.crashes {
            world.script(crashes);
        }
        crate::planted::set(options.bug);
        let result = panics::catch(|| (self.body)(&mut world, options));
        let finding = match result {
            Ok(Ok(())) => {
                let violations = world.disk().violations();
                violations.first().map(|first| Finding::new("the disk is used as it must be", first))
            }
            Ok(Err(finding)) => Some(finding),
            Err(payload) => Some(Finding::new(NO_PANIC, panics::text_of(&*payload))),
        };
        Outcome {
            seed,
            hash: world.trace_hash(),
            points: world.points(),
            work: world.work(),
            time: world.now(),
            lives: world.lives().to_vec(),
            checkpoints: world.checkpoints(),
            coverage: world.disk().coverage(),
            endured: world.endured(),
            events: world.events(),
            options: *options,
            finding,
        }
    }
}

/// Runs processes one after another: `chaos` of them under faults and crashes, then as many as needed (up to 8)
/// without, until `done`.
///
/// # Errors
/// A finding, if a process got stuck, or the calm ones did not get done: what survived the chaos must come to its end.
pub fn restart_until_done(
    world: &mut World,
    chaos: u32,
    mut mains: impl FnMut() -> Vec<CoreMain>,
    mut done: impl FnMut() -> Result<bool, Finding>,
) -> Result<(), Finding> {
    const CALM: u32 = 8;
    for process in 0..chaos + CALM {
        if process == chaos {
            world.end_faults();
        }
        if process > 0 {
            world.wait_for_restart();
        }
        world.draw_crash();
        let end = world.run(mains());
        if let RunEnd::Deadlock(_) | RunEnd::OutOfTime(_) = end {
            return Err(Finding::new(PROGRESS, end.to_string()));
        }
        if done()? {
            return Ok(());
        }
    }
    Err(Finding::new(LIVENESS, format!("not after {CALM} calm processes")))
}

/// Every scenario, those with a planted bug included.
pub fn all() -> Vec<Scenario> {
    [engine::scenarios(), store::scenarios(), topic::scenarios(), protocol::scenarios(), control::scenarios()]
        .into_iter()
        .flatten()
        .collect()
}
