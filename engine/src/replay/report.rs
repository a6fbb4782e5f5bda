//! What came of a replay.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value as Json;

/// What came of a replay. Its display is for people; as JSON it is for programs.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::replay::{Replay, ReplayReport};
/// # let dir = tempfile::tempdir()?;
///
/// # let (state, saved) = (dir.path().join("state"), dir.path().join("saved"));
/// let job = |limit: u64| {
///     let job = Job::new("doc");
///     let numbers = job.source("numbers", generator(u64::MAX, |n| n));
///     numbers.map(move |n| if n > limit { panic!("too much") } else { n }).sink("out", discard());
///     job
/// };
/// let config = Config::new().cores(1).checkpoints(state);
/// let running = job(u64::MAX).start(config.clone())?;
/// let epoch = running.stop_with_savepoint(&saved).wait()?.epoch;
/// # drop(running);
///
/// let report: ReplayReport = job(0).replay(config, Replay::from(saved, epoch))?;
/// assert!(report.failure.expect("it fails at once").contains("too much"));
/// assert_eq!(report.read["numbers"]["00000"].records, 1);
/// println!("{}", report.last.expect("it has read one"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReplayReport {
    /// The job's name.
    pub job: String,
    /// The checkpoint that it began with.
    pub checkpoint: u64,
    /// The cores that the job had, all in one thread.
    pub cores: usize,
    /// The seed of its order.
    pub seed: u64,
    /// How far each split was read, by source and split.
    pub read: BTreeMap<String, BTreeMap<String, SplitReplay>>,
    /// Rows by sink.
    pub rows: BTreeMap<String, u64>,
    /// The sinks whose rows were counted and not shown, as they do not say [how](crate::sink::Sink::show).
    pub unshown: BTreeSet<String>,
    /// Records that were too late for every window.
    pub late: u64,
    /// Records that could not be decoded, and were left out.
    pub poison: u64,
    /// Why it ended.
    pub ended: ReplayEnd,
    /// The record that was read last, as SOURCE:SPLIT@OFFSET.
    pub last: Option<String>,
    /// What the job failed of, if it did.
    pub failure: Option<String>,
    /// A hash of all that was read and put out, in its order: equal replays have equal ones.
    pub trace: u64,
    /// A hash of all state in the end, if it was [asked for](super::Replay::hash_state). Equal states have equal ones, on
    /// whatever cores.
    pub state: Option<u64>,
}

/// How far a split was read in a replay.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::replay::SplitReplay;
/// let split = SplitReplay { from: 40.into(), to: 42.into(), records: 2 };
/// assert_eq!(split.to.as_u64(), Some(42));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitReplay {
    /// The position in the checkpoint.
    pub from: Json,
    /// The position behind the last record that was read.
    pub to: Json,
    /// Records that were read.
    pub records: u64,
}

/// Why a replay ended.
///
/// ```
/// use millstream::replay::ReplayEnd;
/// assert_eq!(ReplayEnd::Failed.to_string(), "the job failed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayEnd {
    /// All was read that was asked for.
    Reached,
    /// The input ended, and the job with it.
    Finished,
    /// The input has nothing more now, but may go on.
    Exhausted,
    /// The job failed.
    Failed,
}

impl fmt::Display for ReplayEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReplayEnd::Reached => "all was read that was asked for",
            ReplayEnd::Finished => "the input has ended, and the job with it",
            ReplayEnd::Exhausted => "the input has nothing more now",
            ReplayEnd::Failed => "the job failed",
        })
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReplayReport { job, checkpoint, cores, seed, .. } = self;
        writeln!(f, "job `{job}`, replayed from checkpoint {checkpoint}; cores: {cores}, seed: {seed}")?;
        for (source, splits) in &self.read {
            let moved = splits.iter().filter(|(_, split)| split.records > 0);
            for (split, SplitReplay { from, to, records }) in moved.clone() {
                writeln!(f, "  read   {source}:{split} from {from} to {to}: {records} records")?;
            }
            let still = splits.len() - moved.count();
            if still > 0 {
                writeln!(f, "  read   {source}: nothing of {still} of its {} splits", splits.len())?;
            }
        }
        for (sink, rows) in &self.rows {
            let unshown = self.unshown.contains(sink);
            let why = if unshown { ", counted: it does not say how they look as JSON" } else { "" };
            writeln!(f, "  rows   {sink}: {rows}{why}")?;
        }
        if self.late + self.poison > 0 {
            writeln!(f, "  left   {} late, {} that cannot be decoded", self.late, self.poison)?;
        }
        writeln!(f, "  ended  {}", self.ended)?;
        if let Some(last) = &self.last {
            writeln!(f, "  last   {last}")?;
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "  failed {failure}")?;
        }
        if let Some(state) = self.state {
            writeln!(f, "  state  {state:016x}")?;
        }
        writeln!(f, "  trace  {:016x}", self.trace)
    }
}
