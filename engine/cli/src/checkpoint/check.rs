//! Whether a job can start from a checkpoint directory or a savepoint.

use std::io::Write;
use std::path::Path;
use std::rc::Rc;

use millstream::checkpoint::description::JobDescription;
use millstream::checkpoint::inspect::Checkpoints;
use millstream_storage::disk::{StdDisk, block_on};

use super::Outcome;

pub fn run(dir: &Path, job: &Path, output: &mut dyn Write) -> Outcome {
    let job = JobDescription::load(job)?;
    let plan = block_on(Checkpoints::at(Rc::new(StdDisk), dir).plan(&job))?;
    write!(output, "{plan}")?;
    match plan.is_possible() {
        true => Ok(()),
        false => Err(format!("job `{}` cannot start from {}", job.job(), dir.display()).into()),
    }
}
