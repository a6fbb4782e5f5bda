//! What the last checkpoints took, step by step.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::time::Timestamp;

/// How many checkpoints are remembered.
///
/// ```
/// use millstream::metrics::{HISTORY, Metrics};
///
/// fn has_forgotten_some(metrics: &Metrics) -> bool {
///     let job = metrics.job();
///     job.checkpoints.get() + job.aborted.get() > HISTORY as u64
/// }
/// ```
pub const HISTORY: usize = 64;

/// What a checkpoint took, or the attempt at one.
///
/// ```
/// # use millstream::prelude::*;
/// # let dir = tempfile::tempdir()?;
/// use millstream::metrics::{CheckpointStats, StepCheckpoint};
///
/// let job = Job::new("doc");
/// job.source("numbers", generator(1_000, |n| n as i64))
///     .event_time(|n| *n, Watermarks::monotonous())
///     .key_by(|n| *n)
///     .window(Tumbling::of(secs(1)))
///     .reduce("sums", |sum, n| *sum += n)
///     .sink("nowhere", discard());
/// let running = job.start(Config::new().cores(2).checkpoints(dir.path()).checkpoint_at_end_only())?;
/// let control = running.control();
/// running.wait()?;
///
/// let of: Vec<CheckpointStats> = control.metrics().checkpoint_history();
/// assert_eq!((of.len(), of[0].epoch), (1, 1));
/// assert!(of[0].is_complete());
/// let sums: Vec<&StepCheckpoint> = of[0].steps.iter().filter(|of| of.step == "sums").collect();
/// assert_eq!(sums.len(), 2, "one of each core");
/// assert_eq!(of[0].new_bytes() + of[0].shared_bytes(), sums.iter().map(|of| of.new_bytes).sum::<u64>());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointStats {
    /// Its number.
    pub epoch: u64,
    /// Why it was aborted, if it was.
    pub aborted: Option<String>,
    /// What it was taken for.
    pub purpose: CheckpointPurpose,
    /// When it was triggered, by the wall, in milliseconds since the epoch.
    pub triggered: Timestamp,
    /// The same by the monotonic clock of the host, whose start is arbitrary: beside it, the durations below have their place
    /// even where the wall clock was set meanwhile.
    pub began: Duration,
    /// From the end of the one before to its trigger; nothing if it is the first of the run.
    pub pause: Option<Duration>,
    /// From its trigger until it was durable as a whole, or aborted.
    pub duration: Duration,
    /// From there until every sink had committed; zero if it was aborted.
    pub commit: Duration,
    /// Of its duration, from when it was durable in the directory until it was, or was not, where checkpoints
    /// [are complete](crate::Config::checkpoints_to); zero without such a place.
    pub upload: Duration,
    /// Bytes of files that were stored there for it, and not for one before it.
    pub uploaded_bytes: u64,
    /// What it took each step on each core, by step and core. Of one that was aborted, as far as it got.
    pub steps: Vec<StepCheckpoint>,
}

impl CheckpointStats {
    /// Whether it was completed.
    pub fn is_complete(&self) -> bool {
        self.aborted.is_none()
    }

    /// Bytes of state that it wrote.
    pub fn new_bytes(&self) -> u64 {
        self.steps.iter().map(|step| step.new_bytes).sum()
    }

    /// Bytes of state that it shares with the checkpoint before it.
    pub fn shared_bytes(&self) -> u64 {
        self.steps.iter().map(|step| step.shared_bytes).sum()
    }
}

/// What a checkpoint is taken for.
///
/// ```
/// use millstream::metrics::{CheckpointPurpose, CheckpointStats};
///
/// fn of_savepoints(history: &[CheckpointStats]) -> impl Iterator<Item = &CheckpointStats> {
///     history.iter().filter(|of| of.purpose == CheckpointPurpose::Savepoint)
/// }
/// # assert_eq!(of_savepoints(&[]).count(), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointPurpose {
    /// It was due: the job goes on from it after a failure.
    Recovery,
    /// It is copied as a savepoint.
    Savepoint,
    /// It is the last one: the job has worked on all of its input, or was drained.
    End,
}

/// What a checkpoint took a step on a core. The clock is read once for each step of the engine, and never for a record:
/// times are as exact as those steps are short, which is well below a millisecond under usual loads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepCheckpoint {
    /// The step.
    pub step: String,
    /// The core.
    pub core: usize,
    /// From the first barrier that came to the last: how long inputs waited for others.
    pub alignment: Duration,
    /// From the engine's step that saw the last barrier until the state was handed to the background: no records were
    /// worked on meanwhile but those of that one step.
    pub synchronous: Duration,
    /// Writing the state, or the pre-commit of a sink, in the background.
    pub asynchronous: Duration,
    /// Bytes of state files that it wrote.
    pub new_bytes: u64,
    /// Bytes of state files that the checkpoint before it names, too.
    pub shared_bytes: u64,
    /// Bytes of the records that the barrier has overtaken, if any.
    pub overtaken_bytes: u64,
}

/// What a core measures of a step's share of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timing {
    pub alignment: Duration,
    pub synchronous: Duration,
    pub asynchronous: Duration,
}

/// The last checkpoints, oldest first, and the one under way: written by the coordinator, read by anybody.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Attempts>);

#[derive(Debug, Default)]
struct Attempts {
    last: VecDeque<CheckpointStats>,
    under_way: Option<CheckpointStats>,
}

impl History {
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run begins: what an earlier one had under way was cut off.
    pub(crate) fn begin(&self) {
        self.attempts().under_way = None;
    }

    /// What is known of the one under way.
    pub(crate) fn note(&self, stats: &CheckpointStats) {
        self.attempts().under_way = Some(stats.clone());
    }

    /// The one under way is over.
    pub(crate) fn add(&self, stats: CheckpointStats) {
        let mut attempts = self.attempts();
        attempts.under_way = None;
        if attempts.last.len() == HISTORY {
            attempts.last.pop_front();
        }
        attempts.last.push_back(stats);
    }

    pub(crate) fn read(&self) -> Vec<CheckpointStats> {
        self.attempts().last.iter().cloned().collect()
    }

    pub(crate) fn under_way(&self) -> Option<CheckpointStats> {
        self.attempts().under_way.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_is_not_under_way_in_the_next_run() {
        let history = History::default();
        history.note(&CheckpointStats {
            epoch: 7,
            aborted: None,
            purpose: CheckpointPurpose::Recovery,
            triggered: 0,
            began: Duration::ZERO,
            pause: None,
            duration: Duration::ZERO,
            commit: Duration::ZERO,
            upload: Duration::ZERO,
            uploaded_bytes: 0,
            steps: Vec::new(),
        });
        assert_eq!(history.under_way().map(|stats| stats.epoch), Some(7));
        history.begin();
        assert_eq!((history.under_way(), history.read()), (None, Vec::new()));
    }
}
