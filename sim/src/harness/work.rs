//! What is run: a job, and what it must put out.

use millstream::job::Job;
use millstream::{Config, JobControl, Report};

use super::replays::Replayed;
use crate::disk::DiskView;
use crate::scenario::Finding;

/// A job, and what it must put out.
pub(crate) trait Work {
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

    /// How many checkpoints in a row may fail, if that is not what was drawn.
    fn tolerated(&self) -> Option<u32> {
        None
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

    /// Whether the state of a checkpoint follows from the input before it alone, so that it can be made once more.
    fn has_reference_state(&self) -> bool {
        false
    }

    /// The most files that a process may have open at once, if that is limited.
    fn open_files(&self) -> Option<usize> {
        None
    }

    /// A process begins. Nothing may go wrong outside if it is `calm`.
    fn begins(&self, _calm: bool) {}

    /// A process is over, whatever came of it.
    fn watch(&self, _control: &JobControl) {}

    /// Whether the counts of a run from the very beginning to the very end are right.
    fn account(&self, _report: &Report) -> Result<(), Finding> {
        Ok(())
    }
}
