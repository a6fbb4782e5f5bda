//! How a finding is told: what it is, what it means, and how to see it again.

use std::fmt;
use std::path::{Path, PathBuf};

use super::JUDGED;
use super::env::{absolute, quoted};
use super::work::ASKED;
use crate::explore::Crashes;
use crate::harness::budgets::{FILES, MEMORY};
use crate::harness::expected::COMMITTED;
use crate::harness::replays::{REPLAYED, STATE_OF_INPUT, TAINTED};
use crate::harness::{INJECTED, USER};
use crate::scenario::{Finding, LIVENESS, NO_PANIC};
use crate::tape_file::TapeFile;

/// A finding in a seed of a test; it shows what the finding means, and the lines that run the seed again, and make it smaller.
/// See [`Check`](super::Check) for an example.
#[derive(Clone, Debug)]
pub struct Found {
    name: &'static str,
    seed: u64,
    crashes: Option<Crashes>,
    finding: Finding,
    /// After how much.
    searched: String,
    /// Whether the same came of a second run.
    again: bool,
    /// Whether there is a run in which it was seen: it may be about all seeds together.
    has_run: bool,
    /// What is left of the run.
    tape: Option<PathBuf>,
    /// What was made of it.
    told: Vec<String>,
    /// What runs this program once more.
    command: String,
}

impl Found {
    /// To be called where the test runs: a test is known by its thread.
    pub(super) fn new(
        name: &'static str,
        seed: u64,
        crashes: Option<Crashes>,
        finding: Finding,
        searched: String,
    ) -> Found {
        let (again, has_run, tape, told) = (true, true, None, Vec::new());
        Found { name, seed, crashes, finding, searched, again, has_run, tape, told, command: command() }
    }

    /// Whether the same came of a second run.
    pub(super) fn again(self, again: bool) -> Found {
        Found { again, ..self }
    }

    /// It is about all seeds together.
    pub(super) fn of_no_run(self) -> Found {
        Found { has_run: false, ..self }
    }

    /// It was found there.
    pub(super) fn on_tape(self, path: &Path) -> Found {
        Found { tape: Some(absolute(path)), ..self }
    }

    pub(super) fn has_run(&self) -> bool {
        self.has_run
    }

    /// What is left of it is there.
    pub(super) fn kept_on(&mut self, path: &Path) {
        self.tape = Some(absolute(path));
    }

    /// Something was made of it, or could not be.
    pub(super) fn tell(&mut self, what: String) {
        self.told.push(what);
    }

    /// What was found.
    pub fn finding(&self) -> &Finding {
        &self.finding
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Where processes were killed, if that was not drawn.
    pub fn crashes(&self) -> Option<Crashes> {
        self.crashes
    }

    /// The tape with what is left of the run, if it was made smaller.
    pub fn tape(&self) -> Option<&Path> {
        self.tape.as_deref()
    }

    /// The line that runs it again, in the shell: the seed, or what is left of it on a tape.
    pub fn replay_line(&self) -> String {
        match &self.tape {
            Some(tape) => format!("SIM_TAPE={} {}", quoted(&tape.display().to_string()), self.command),
            None => self.seed_line(),
        }
    }

    /// The line that runs the seed again.
    fn seed_line(&self) -> String {
        Found::line_by(self.name, self.seed, self.crashes, &self.command)
    }

    /// The line that runs a seed of a check, in which nothing need have been found.
    pub(super) fn line(name: &str, seed: u64, crashes: Option<Crashes>) -> String {
        Found::line_by(name, seed, crashes, &command())
    }

    fn line_by(name: &str, seed: u64, crashes: Option<Crashes>, command: &str) -> String {
        let crashes = crashes.map_or(String::new(), |crashes| format!("SIM_CRASH={crashes} "));
        format!("SIM_SEED={} {crashes}{command}", quoted(&format!("{name}:{seed}")))
    }

    fn meaning(&self) -> &'static str {
        match self.finding.rule.as_str() {
            COMMITTED => {
                "After a crash the job went on from its last checkpoint, and what it has put out is not what one run \
                 without crashes does. Mostly the job remembers something outside of its state (a field, a static, a \
                 file), or a sink makes visible what no checkpoint has made final."
            }
            USER => {
                "A function of the job panicked. What it was given came from the feeds: see the log of the replay."
            }
            INJECTED => {
                "A source, a sink or the engine gave up though nothing was wrong that its error tells of."
            }
            JUDGED => "Nothing is said about the job yet: the test is to be changed first.",
            REPLAYED => {
                "From one checkpoint to a later one, over the same records, the job did not do once more what it had done. It \
                 depends on something outside of its state (a field, a static, a file, the clock, the order of a hash map), which \
                 a restart changes. If it may, say so by `sim.without_replays()`."
            }
            STATE_OF_INPUT => {
                "The job's state is not what its input comes to, though its output may be: it depends on something else (a \
                 field, the clock, the order of a hash map), which a restart or another number of cores changes. If it may, say \
                 so by `sim.without_replays()`."
            }
            TAINTED => "What a disk has damaged was taken for what it had held.",
            MEMORY | FILES => {
                "The job took more than the test allows it: see `sim.memory_per_core` and `sim.open_files`."
            }
            ASKED => "The test's own assertion failed, while the output agrees with the reference.",
            NO_PANIC => {
                "The test itself panicked, or a function of the job where the reference called it, or a feed is of another \
                 type than its source."
            }
            LIVENESS => {
                "No fault was left, and the job did not come to its end. Does each of its sources end?"
            }
            _ => {
                "A rule of the simulator is broken: by a source, a sink or a function of the job, or by the engine."
            }
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.has_run {
            true => writeln!(f, "{}: a finding in seed {}, {}", self.name, self.seed, self.searched)?,
            false => writeln!(f, "{}: a finding {}", self.name, self.searched)?,
        }
        writeln!(f, "\n  {}\n\n{}", self.finding, self.meaning())?;
        if !self.has_run {
            return Ok(());
        }
        if !self.again {
            writeln!(
                f,
                "A second run of the seed was another run. Something in the job is not determined by its input: the order \
                 of a hash map, the machine's clock, a thread, a random number, or what an earlier run has left behind."
            )?;
        }
        self.told.iter().try_for_each(|told| writeln!(f, "{told}"))?;
        if self.tape.is_some() {
            write!(f, "To see everything that happens in what is left of it:\n\n  {}\n", self.replay_line())?;
        }
        write!(f, "To see everything that happens in this run:\n\n  {}\n", self.seed_line())?;
        if self.tape.is_none() && self.crashes.is_none() {
            let page = TapeFile::usual_name(self.name, self.seed, "html");
            let (page, line) = (quoted(&page.display().to_string()), self.seed_line());
            write!(
                f,
                "\nTo see it as a page, without what it does not take to fail:\n\n  SIM_SHRINK=60 SIM_TIMELINE={page} {line}\n"
            )?;
        }
        Ok(())
    }
}

/// What runs this test, or this program, once more.
fn command() -> String {
    let package = std::env::var("CARGO_PKG_NAME").map_or(String::new(), |name| format!(" -p {name}"));
    let thread = std::thread::current();
    if let Some(test) = thread.name().filter(|name| *name != "main") {
        return format!("cargo test{package} {test} -- --exact --nocapture");
    }
    let program = std::env::args().next().unwrap_or_default();
    let path = Path::new(&program);
    let folder = path.parent().and_then(Path::file_name);
    match path.file_name().filter(|_| folder.is_some_and(|folder| folder == "examples")) {
        Some(example) => format!("cargo run{package} --example {}", example.display()),
        None => program,
    }
}
