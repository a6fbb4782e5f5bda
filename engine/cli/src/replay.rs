//! `millstream replay`: an incident, once more.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;
use std::time::Duration;

use millstream::replay::{Replay, VARIABLE};
use millstream_storage::disk::block_on;

use crate::checkpoint::{Outcome, manifest, open};

/// What is replayed, and how far.
///
/// The program is run as it is, with MILLSTREAM_REPLAY set: `Job::run` and `Job::start` then replay the job of the checkpoint
/// in one thread, in an order that is the same each time, and the process ends. Nothing is written but what is shown: each row
/// that a sink would have got is a line of JSON, with the record that was read last. The job may run meanwhile.
///
/// It ends with 0 when all was read, with 1 when the job failed, and with 2 when it could not be replayed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  millstream replay --checkpoint state -- target/release/orders --config orders.toml
  millstream replay --checkpoint state/41 --until orders:partition-00003@88172 -- target/release/orders
  millstream replay --checkpoint state/41 --until 88172 -- gdb -ex 'break rust_panic' --args target/release/orders
  millstream replay --checkpoint state/41 --until-checkpoint 42 --output incident --save-state -- target/release/orders
  millstream state read incident/state --state visits")]
pub struct Options {
    /// The job's checkpoint directory, or a savepoint, and the checkpoint's number [default: the last before the end]
    #[arg(long, value_name = "DIR[/ID]")]
    checkpoint: PathBuf,
    /// Where to end: with the record at OFFSET, or at a position as `checkpoint show` prints it ({"offset":…}), of a split; the
    /// names may be left out where there is one. Several times: when all have come so far [default: the end of what is there]
    #[arg(long, value_name = "SOURCE:SPLIT@OFFSET")]
    until: Vec<String>,
    /// End where this later checkpoint was taken
    #[arg(long, value_name = "ID")]
    until_checkpoint: Option<u64>,
    /// End after so many records
    #[arg(long, value_name = "N")]
    records: Option<u64>,
    /// Write rows.ndjson and report.json there, instead of rows to the standard output; must be empty or not there
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Also write the state in the end to the output's directory `state`, for `millstream state`
    #[arg(long, requires = "output")]
    save_state: bool,
    /// Another order, with several records on their way at once
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The number of cores [default: as many as took the checkpoint]
    #[arg(long)]
    cores: Option<usize>,
    /// Milliseconds that pass by the wall clock with each record: for timers and windows that follow it
    #[arg(long, value_name = "MILLIS", default_value_t = 0)]
    pace: u64,
    /// The program, and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// Runs the program in the place of this one.
pub fn run(options: &Options) -> Outcome<Infallible> {
    let (dir, id) = named(&options.checkpoint);
    for path in options.output.iter().chain([&dir]) {
        path.to_str().ok_or_else(|| format!("{}: the name is not UTF-8", path.display()))?;
    }
    let (checkpoints, epochs) = open(&dir)?;
    let id = match id {
        Some(id) => manifest(&checkpoints, &epochs, id).map(|manifest| manifest.epoch)?,
        None => {
            let goes_on = |epoch: &&u64| block_on(checkpoints.manifest(**epoch)).is_ok_and(|of| !of.finished);
            let last = epochs.iter().rev().find(goes_on).copied();
            last.ok_or_else(|| format!("{}: the job has ended, and nothing follows", dir.display()))?
        }
    };
    // The program may go to another directory.
    let mut replay =
        Replay::from(absolute(&dir)?, id).seed(options.seed).pace(Duration::from_millis(options.pace));
    for until in &options.until {
        replay = replay.until(until);
    }
    if let Some(id) = options.until_checkpoint {
        replay = replay.until_checkpoint(id);
    }
    if let Some(records) = options.records {
        replay = replay.records(records);
    }
    if let Some(cores) = options.cores {
        replay = replay.cores(cores);
    }
    if let Some(output) = &options.output {
        replay = replay.output(absolute(output)?);
    }
    if options.save_state {
        replay = replay.save_state();
    }
    let (program, arguments) = options.program.split_first().expect("it is required");
    let error = Command::new(program).args(arguments).env(VARIABLE, replay.to_json()).exec();
    Err(format!("{}: cannot be run: {error}", program.display()).into())
}

/// The directory, and the number behind it.
fn named(path: &Path) -> (PathBuf, Option<u64>) {
    let number = path.file_name().and_then(|name| {
        let name = name.to_str()?;
        name.strip_prefix("manifest-").unwrap_or(name).parse().ok()
    });
    match (number, path.parent()) {
        (Some(id), Some(dir)) if !path.is_dir() => {
            let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
            (dir.to_owned(), Some(id))
        }
        _ => (path.to_owned(), None),
    }
}
