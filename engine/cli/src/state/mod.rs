//! `millstream state`: what the state in a checkpoint is.

mod list;
mod read;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use millstream::checkpoint::inspect::Checkpoints;
use millstream::checkpoint::manifest::Manifest;

use crate::checkpoint::{Outcome, manifest, open};

/// What is to be done with state.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the states in a checkpoint
    Ls(Checkpoint),
    /// Print the entries of a state as lines of JSON
    Read(read::Options),
}

/// One checkpoint.
#[derive(clap::Args)]
pub struct Checkpoint {
    /// The job's checkpoint directory, or the manifest of one checkpoint in it
    checkpoint: PathBuf,
    /// The checkpoint's number [default: the last]
    epoch: Option<u64>,
}

/// Does it.
pub fn run(command: &Command) -> Outcome {
    let mut output = io::BufWriter::new(io::stdout().lock());
    match command {
        Command::Ls(checkpoint) => list::run(checkpoint, &mut output),
        Command::Read(options) => read::run(options, &mut output),
    }?;
    Ok(output.flush()?)
}

impl Checkpoint {
    fn open(&self) -> Outcome<(Checkpoints, Manifest)> {
        let named = number(&self.checkpoint).and_then(|epoch| Some((self.checkpoint.parent()?, epoch)));
        let (dir, epoch) = match named {
            Some((dir, epoch)) => (dir, Some(epoch)),
            None => (self.checkpoint.as_path(), self.epoch),
        };
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let (checkpoints, epochs) = open(dir)?;
        let manifest = manifest(&checkpoints, &epochs, epoch.unwrap_or(epochs[epochs.len() - 1]))?;
        Ok((checkpoints, manifest))
    }
}

/// The number of a checkpoint whose manifest is named.
fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("manifest-")?.parse().ok()
}
