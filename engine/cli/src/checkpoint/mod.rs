//! `millstream checkpoint`: what is in a checkpoint directory, and whether it is whole.

mod check;
mod diff;
mod list;
mod show;
mod verify;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream::checkpoint::inspect::Checkpoints;
use millstream::checkpoint::manifest::{Manifest, Overtaken, StepManifest};
use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::snapshot::DeltaFile;

/// What to do with the checkpoints in a directory.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the complete checkpoints
    Ls {
        /// The job's checkpoint directory
        dir: PathBuf,
    },
    /// Show the steps of a checkpoint, and how much state each has
    Show(One),
    /// Read every byte of the checkpoints' files and check it; names each damaged file and where
    Verify(One),
    /// Tell whether a job can start from the last checkpoint, or from a savepoint, and what becomes of each step; fails if
    /// it cannot
    Check {
        /// The job's checkpoint directory, or a savepoint
        dir: PathBuf,
        /// The description of the job, as the program wrote it by `Job::describe`
        #[arg(long, value_name = "FILE")]
        job: PathBuf,
    },
    /// Show what changed between two checkpoints
    Diff {
        /// The job's checkpoint directory
        dir: PathBuf,
        /// The number of the earlier one; default: the one before the last
        from: Option<u64>,
        /// The number of the later one; default: the last
        to: Option<u64>,
    },
}

/// One of the checkpoints in a directory.
#[derive(clap::Args)]
pub struct One {
    /// The job's checkpoint directory
    dir: PathBuf,
    /// The checkpoint's number; default: the last for `show`, all for `verify`
    epoch: Option<u64>,
}

/// What a command ends with.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Runs a command.
pub fn run(command: &Command) -> Outcome {
    let output = &mut io::stdout().lock() as &mut dyn Write;
    match command {
        Command::Ls { dir } => list::run(dir, output),
        Command::Show(one) => show::run(&one.dir, one.epoch, output),
        Command::Verify(one) => verify::run(&one.dir, one.epoch, output),
        Command::Check { dir, job } => check::run(dir, job, output),
        Command::Diff { dir, from, to } => diff::run(dir, *from, *to, output),
    }
}

/// The checkpoints in a directory, and their numbers: at least one.
pub fn open(dir: &Path) -> Outcome<(Checkpoints, Vec<u64>)> {
    let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir);
    let epochs = block_on(checkpoints.epochs())?;
    if epochs.is_empty() {
        return Err(format!("{}: holds no checkpoint", dir.display()).into());
    }
    Ok((checkpoints, epochs))
}

/// The manifest of a checkpoint of these numbers.
pub fn manifest(checkpoints: &Checkpoints, epochs: &[u64], epoch: u64) -> Outcome<Manifest> {
    if !epochs.contains(&epoch) {
        let known: Vec<_> = epochs.iter().map(u64::to_string).collect();
        return Err(format!("there is no checkpoint {epoch}; there are {}", known.join(", ")).into());
    }
    Ok(block_on(checkpoints.manifest(epoch))?)
}

/// The state files of a step, by name.
fn files(step: &StepManifest) -> BTreeMap<&str, &DeltaFile> {
    let stores = step.parts.iter().filter_map(|part| part.store.as_ref());
    stores.flat_map(|store| &store.files).map(|file| (file.name.as_str(), file)).collect()
}

/// The state files of a whole checkpoint, by name.
fn all_files(manifest: &Manifest) -> BTreeMap<&str, &DeltaFile> {
    manifest.steps.values().flat_map(files).collect()
}

/// The files of a step's records that were overtaken.
fn overtaken(step: &StepManifest) -> impl Iterator<Item = &Overtaken> {
    step.parts.iter().filter_map(|part| part.overtaken.as_ref())
}

/// Bytes of files.
fn bytes<'a>(files: impl IntoIterator<Item = &'a DeltaFile>) -> u64 {
    files.into_iter().map(|file| file.file_bytes()).sum()
}
