//! What a replay begins with, and what it is to come to.

use std::path::PathBuf;
use std::rc::Rc;

use millstream_storage::disk::{Disk, block_on};

use super::Replay;
use super::overlay::Overlay;
use super::until::{Until, positions_of};
use crate::checkpoint::inspect::Checkpoints;
use crate::checkpoint::manifest::Manifest;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::restart::Restart;

/// What a replay begins with.
pub(super) struct Origin {
    pub(super) directory: PathBuf,
    /// What is restored; or where the replay is to end, if it begins with nothing.
    pub(super) manifest: Manifest,
    from_nothing: bool,
}

/// Where a replay that begins with nothing keeps what it makes: in memory, and where no checkpoint is.
const BESIDE: &str = "replayed-from-the-beginning";

impl Origin {
    pub(super) fn find(replay: &Replay) -> Result<Origin> {
        let directory = replay.settings.checkpoint.clone();
        let checkpoints = Checkpoints::at(replay.disk.clone(), &directory);
        let epochs = block_on(checkpoints.epochs())?;
        let refuse =
            |what: String| Err(Error::new(ErrorKind::Restore, format!("{}: {what}", directory.display())));
        if replay.settings.from_nothing {
            let id = replay.settings.until_checkpoint.unwrap_or_default();
            if !epochs.contains(&id) {
                return refuse(not_there(id, &epochs));
            }
            let manifest = block_on(checkpoints.manifest(id))?;
            return Ok(Origin { directory, manifest, from_nothing: true });
        }
        let Some(id) = replay.settings.id else {
            for &epoch in epochs.iter().rev() {
                let manifest = block_on(checkpoints.manifest(epoch))?;
                if !manifest.finished {
                    return Ok(Origin { directory, manifest, from_nothing: false });
                }
            }
            return refuse("holds no checkpoint to replay from".to_owned());
        };
        if !epochs.contains(&id) {
            return refuse(not_there(id, &epochs));
        }
        let manifest = block_on(checkpoints.manifest(id))?;
        if manifest.finished {
            let earlier: Vec<u64> = epochs.into_iter().filter(|epoch| *epoch < id).collect();
            let which = if earlier.is_empty() { "none".to_owned() } else { list(&earlier) };
            return refuse(format!(
                "the job had ended with checkpoint {id}: nothing follows; earlier ones are {which}"
            ));
        }
        Ok(Origin { directory, manifest, from_nothing: false })
    }

    /// The number of the checkpoint that it begins with; 0 is none.
    pub(super) fn epoch(&self) -> u64 {
        if self.from_nothing { 0 } else { self.manifest.epoch }
    }

    /// Where the replayed job has its checkpoints.
    pub(super) fn kept(&self) -> PathBuf {
        if self.from_nothing { self.directory.join(BESIDE) } else { self.directory.clone() }
    }

    /// Where it is to end.
    pub(super) fn until(&self, replay: &Replay) -> Result<Vec<Until>> {
        let mut until: Vec<Until> = replay.settings.until.iter().cloned().map(Until::Text).collect();
        let Some(id) = replay.settings.until_checkpoint else { return Ok(until) };
        let checkpoints = Checkpoints::at(replay.disk.clone(), &self.directory);
        let epochs = block_on(checkpoints.epochs())?;
        let refuse = |what: String| {
            Err(Error::new(ErrorKind::Config, format!("{}: {what}", self.directory.display())))
        };
        if !epochs.contains(&id) {
            return refuse(not_there(id, &epochs));
        }
        let from = self.epoch();
        if id <= from {
            return refuse(format!("checkpoint {id}, where the replay is to end, is not later than {from}"));
        }
        until.extend(positions_of(&block_on(checkpoints.manifest(id))?));
        Ok(until)
    }

    /// The disk, with the files of the checkpoint held open: the job may remove them.
    pub(super) fn overlay(&self, replay: &Replay, own: Option<PathBuf>) -> Result<Rc<dyn Disk>> {
        let checkpoints = Checkpoints::at(replay.disk.clone(), &self.directory);
        let overlay = Overlay::new(replay.disk.clone(), self.kept(), own);
        if self.from_nothing {
            return Ok(Rc::new(overlay));
        }
        let names = self.manifest.files().into_iter().map(|name| checkpoints.data_path().join(name));
        for path in names.chain([checkpoints.manifest_path(self.manifest.epoch)]) {
            block_on(overlay.keep(path.clone())).map_err(|error| {
                let message = format!(
                    "{}: cannot be opened; if the job runs, it may have removed the checkpoint: take a later one",
                    path.display()
                );
                Error::new(ErrorKind::Restore, message).caused_by(error)
            })?;
        }
        Ok(Rc::new(overlay))
    }

    pub(super) fn config(&self, config: Config, cores: usize) -> Config {
        let mut config = config.cores(cores).checkpoints(self.kept()).checkpoint_at_end_only();
        config.savepoint = None;
        // What is here is replayed, and nothing is stored.
        config.remote = None;
        config.restart = Restart::none();
        if config.max_parallelism.is_none() {
            // It follows from the cores of the machine that the job ran on.
            config.max_parallelism = Some(self.manifest.max_parallelism);
        }
        // The state in the end is taken at rest.
        config.unaligned_after = None;
        config
    }
}

fn not_there(id: u64, epochs: &[u64]) -> String {
    let which =
        if epochs.is_empty() { "there is none".to_owned() } else { format!("there are {}", list(epochs)) };
    format!(
        "checkpoint {id} is not there (any more): {which}; `Config::retained_checkpoints` says how many are kept, and a \
         savepoint stays"
    )
}

fn list(epochs: &[u64]) -> String {
    epochs.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
