//! How a finding is told: what it is, what it means, and how to see it again.

use std::fmt;
use std::path::Path;

use super::JUDGED;
use super::work::ASKED;
use crate::explore::Crashes;
use crate::harness::expected::COMMITTED;
use crate::harness::{INJECTED, USER};
use crate::scenario::{Finding, LIVENESS, NO_PANIC};

/// A finding in a seed of a test; it shows what the finding means, and the line that runs the seed again. See
/// [`Check`](super::Check) for an example.
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
        again: bool,
    ) -> Found {
        Found { name, seed, crashes, finding, searched, again, command: command() }
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

    /// The line that runs the seed again, in the shell.
    pub fn replay_line(&self) -> String {
        let crashes = self.crashes.map_or(String::new(), |crashes| format!("SIM_CRASH={crashes} "));
        format!("SIM_SEED={} {crashes}{}", self.seed, self.command)
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
        writeln!(f, "{}: a finding in seed {}, {}", self.name, self.seed, self.searched)?;
        writeln!(f, "\n  {}\n\n{}", self.finding, self.meaning())?;
        if !self.again {
            writeln!(
                f,
                "A second run of the seed was another run. Something in the job is not determined by its input: the order \
                 of a hash map, the machine's clock, a thread, a random number, or what an earlier run has left behind."
            )?;
        }
        write!(f, "To see everything that happens in this run:\n\n  {}\n", self.replay_line())
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
