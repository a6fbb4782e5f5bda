//! A replay that the program was not written for: what the environment says.

use std::process;

use super::origin::Origin;
use super::{Replay, run};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Job;

/// The variable of the environment that has a program replay its job instead of running it: what [`Replay::to_json`] makes.
/// `millstream replay` sets it.
///
/// ```
/// assert_eq!(millstream::replay::VARIABLE, "MILLSTREAM_REPLAY");
/// ```
pub const VARIABLE: &str = "MILLSTREAM_REPLAY";

/// What a program ends with whose job has failed in the replay, and one that could not be replayed.
const FAILED: i32 = 1;
const REFUSED: i32 = 2;

fn told() -> Option<String> {
    std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned())
}

/// Replays a job instead of running it, if the environment says so; then the process ends with the replay, so that nothing
/// is done with its results that belongs behind a run.
///
/// # Errors
/// If another job is to be replayed.
pub(crate) fn obey(job: &Job, config: &Config) -> Result<()> {
    let Some(told) = told() else { return Ok(()) };
    let (replay, origin) = Replay::from_json(&told)
        .and_then(|replay| Origin::find(&replay).map(|origin| (replay, origin)))
        .unwrap_or_else(|error| refused(&error));
    let name = job.name();
    if origin.manifest.job != name {
        let message = format!(
            "job `{name}` is not run: {VARIABLE} is set, and this process replays job `{}`, besides which nothing may run",
            origin.manifest.job
        );
        return Err(Error::new(ErrorKind::Job, message));
    }
    eprintln!(
        "millstream: {VARIABLE} is set: job `{name}` is replayed from checkpoint {} in {}; it writes nothing but what is \
         shown, and the process ends with it",
        origin.manifest.epoch,
        origin.directory.display()
    );
    // The job may go on meanwhile, and have a later one.
    let replay = replay.at(origin.manifest.epoch);
    match run(job, config.clone(), replay) {
        Err(error) => refused(&error),
        Ok(report) => {
            eprint!("{report}");
            process::exit(if report.failure.is_some() { FAILED } else { 0 })
        }
    }
}

fn refused(error: &Error) -> ! {
    eprintln!("millstream: the job is not replayed: {error}");
    process::exit(REFUSED)
}

/// # Errors
/// If the environment says that a job is to be replayed: one that is driven by others cannot be.
pub(crate) fn refuse() -> Result<()> {
    match told() {
        None => Ok(()),
        Some(_) => {
            let message = format!(
                "{VARIABLE} is set, and the job is not run by `Job::run` or `Job::start`, which replay it; use these, or \
                 `Job::replay`"
            );
            Err(Error::new(ErrorKind::Job, message))
        }
    }
}
