//! A user's job as the harness runs it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use millstream::job::Job;
use millstream::{Config, JobControl};

use super::output::Output;
use super::troubles::Troubles;
use super::{Budgets, Configure, Look, Oracle};
use crate::disk::DiskView;
use crate::harness::replays::Replayed;
use crate::harness::{STATE, Work};
use crate::scenario::{Finding, panics};

/// The rule of what a test asks of the output itself.
pub(super) const ASKED: &str = "what the test asks of committed output holds";

/// Longer than any checkpoint takes without faults.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What a test has said.
pub(super) struct OfUser<'a> {
    pub(super) job: &'a dyn Fn() -> Job,
    pub(super) outputs: &'a [Box<dyn Output>],
    pub(super) always: &'a [Oracle],
    pub(super) at_end: &'a [Oracle],
    pub(super) configure: &'a Configure,
    /// How often checkpoints are taken, if that is to be oftener than usual.
    pub(super) brisk: Option<Duration>,
    /// Its state, and what it has put out between two checkpoints, come again in a replay.
    pub(super) replayed: bool,
    pub(super) budgets: Budgets,
    /// What goes wrong outside, unless nothing is to.
    pub(super) troubles: Option<&'a Troubles>,
    /// Nothing goes wrong: no checkpoint that takes its time is to end a process, either.
    pub(super) calm: bool,
    /// Records that were late, in the process that had most.
    pub(super) late: Cell<u64>,
    /// Whether the job has said before that it is done: on a full disk its last process cannot tell readers of a topic what
    /// is durable, and the next one does.
    pub(super) was_done: Cell<bool>,
}

impl Work for OfUser<'_> {
    fn job(&self) -> Job {
        (self.job)()
    }

    fn check(&self, disk: &DiskView, done: bool) -> Result<(), Finding> {
        let done = done && self.was_done.replace(done);
        self.outputs.iter().try_for_each(|output| output.check(done))?;
        let look = Look { disk, done };
        let at_end = self.at_end.iter().filter(|_| done);
        self.always.iter().chain(at_end).try_for_each(|oracle| ask(oracle, &look))
    }

    fn configure(&self, config: Config) -> Config {
        let config = if self.calm { config.checkpoint_timeout(PATIENCE) } else { config };
        let config = match self.brisk {
            Some(pace) => config.checkpoint_every(pace),
            None => config,
        };
        // Where else they were, nobody would look at them.
        (self.configure)(config).checkpoints(STATE)
    }

    fn tolerated(&self) -> Option<u32> {
        // What the settings of the test say is not known here: one must have failed at least.
        Some(0)
    }

    fn memory(&self) -> Option<u64> {
        self.budgets.memory
    }

    fn open_files(&self) -> Option<usize> {
        self.budgets.files
    }

    fn replayed(&self, from: u64, to: u64) -> Replayed {
        if !self.replayed {
            return Replayed::Not;
        }
        let told = self.outputs.iter().filter_map(|of| Some((of.name().to_owned(), of.rows(from, to)?)));
        let told: Vec<(String, Vec<String>)> = told.collect();
        let sinks = told.iter().map(|(sink, _)| sink.clone()).collect();
        let rows =
            told.into_iter().flat_map(|(sink, rows)| rows.into_iter().map(move |row| (sink.clone(), row)));
        Replayed::RowsOf(sinks, rows.collect())
    }

    fn has_reference_state(&self) -> bool {
        self.replayed
    }

    fn begins(&self, calm: bool) {
        self.troubles.iter().for_each(|troubles| troubles.arm(!calm));
    }

    fn watch(&self, control: &JobControl) {
        // Nor while it is replayed.
        self.troubles.iter().for_each(|troubles| troubles.arm(false));
        let late = control.metrics().sum(|shard| &shard.late);
        self.late.set(self.late.get().max(late));
    }
}

/// Asks what a test has to say; an assertion that fails is a finding.
fn ask(oracle: &Oracle, look: &Look<'_>) -> Result<(), Finding> {
    let payload = match catch_unwind(AssertUnwindSafe(|| oracle(look))) {
        Ok(()) => return Ok(()),
        Err(payload) => payload,
    };
    match payload.downcast::<Finding>() {
        Ok(finding) => Err(*finding),
        Err(payload) => Err(Finding::new(ASKED, panics::text_of(&*payload))),
    }
}
