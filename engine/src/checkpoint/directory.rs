//! The directory that a job's checkpoints are kept in.
//!
//! ```text
//! lease                   locked by the process that runs the job
//! epoch                   the number of the last attempt, whatever became of it
//! manifest-0000000012     a complete checkpoint
//! data/                   the files of the stores, named by the manifests
//! ```

mod remote;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{Disk, Lease};
use millstream_storage::manifest;
use millstream_storage::planted;

use crate::checkpoint::manifest::{FORMAT, FORMAT_OVERTAKEN, Manifest, ManifestKind};
use crate::checkpoint::transfer::copy_files;
use crate::error::{Error, ErrorKind, Result};

pub(super) const MANIFEST: &str = "manifest-";
const EPOCH: &str = "epoch";

/// Where the stores' files are.
pub(crate) fn data_directory(checkpoints: &Path) -> PathBuf {
    checkpoints.join("data")
}

/// Why a manifest was not published.
pub(crate) enum Unpublished {
    /// It does not exist: the checkpoint is void, the job may go on.
    Void(Error),
    /// It may or may not survive: only a restart can tell.
    Unknown(Error),
}

/// A checkpoint directory, leased to this process.
pub(crate) struct Directory {
    disk: Rc<dyn Disk>,
    path: PathBuf,
    _lease: Lease,
}

/// What a directory holds.
pub(crate) struct Contents {
    /// The names of the complete checkpoints, by epoch.
    manifests: BTreeMap<u64, String>,
    /// Manifests that were not finished.
    unfinished: Vec<String>,
    /// The files of the stores.
    data: Vec<String>,
    /// The greatest epoch that was attempted, or that any name here speaks of.
    highest_epoch: u64,
}

impl Contents {
    /// The number of the last checkpoint that is there.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.manifests.keys().next_back().copied()
    }

    /// Whether there is no complete checkpoint.
    pub(crate) fn is_empty(&self) -> bool {
        self.manifests.is_empty()
    }

    /// The first epoch that no attempt has left a name of.
    ///
    /// # Errors
    /// If a name speaks of the last of all numbers, which no job reaches.
    pub(crate) fn first_free_epoch(&self) -> Result<u64> {
        self.highest_epoch.checked_add(1).ok_or_else(|| {
            let message = "a file in the checkpoint directory ends with the number 2^64 - 1; it is not the job's own: \
                           remove it";
            Error::new(ErrorKind::Restore, message)
        })
    }
}

impl Directory {
    /// # Errors
    /// If it cannot be made or read, or another process holds its lease.
    pub(crate) async fn open(disk: Rc<dyn Disk>, path: PathBuf) -> Result<Directory> {
        let failed = |what: &str, error: std::io::Error| {
            let message = format!("checkpoint directory {}: {what}", path.display());
            Error::new(ErrorKind::Checkpoint, message).caused_by(error)
        };
        disk.create_dir_all(&data_directory(&path)).await.map_err(|e| failed("cannot be created", e))?;
        if planted!(lease_not_taken) {
            let lease = Lease { path: path.join("lease"), guard: Box::new(()) };
            return Ok(Directory { disk, path, _lease: lease });
        }
        let lease = disk.lock(&path.join("lease")).await.map_err(|error| {
            let what = match error.kind() {
                std::io::ErrorKind::WouldBlock => "another process runs this job; stop it first",
                _ => "its lease cannot be taken",
            };
            failed(what, error)
        })?;
        Ok(Directory { disk, path, _lease: lease })
    }

    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn contents(&self) -> Result<Contents> {
        let names = self.list(&self.path).await?;
        let data = self.list(&data_directory(&self.path)).await?;
        let manifests: BTreeMap<u64, String> = names
            .iter()
            .filter_map(|name| Some((name.strip_prefix(MANIFEST)?.parse().ok()?, name.clone())))
            .collect();
        // Names of manifests, of unfinished manifests and of state files all end with an epoch.
        let epochs = names.iter().chain(&data).filter_map(|name| epoch_in(name));
        let highest_epoch = epochs.max().unwrap_or(0).max(self.last_attempt(&names).await?);
        let unfinished = |name: &&String| name.starts_with(MANIFEST) && name.ends_with(".tmp");
        let unfinished = names.iter().filter(unfinished).cloned().collect();
        Ok(Contents { manifests, unfinished, data, highest_epoch })
    }

    /// The number of the last attempt, 0 if there was none.
    async fn last_attempt(&self, names: &[String]) -> Result<u64> {
        if !names.iter().any(|name| name == EPOCH) {
            return Ok(0);
        }
        let path = self.path.join(EPOCH);
        let refuse = |what: String| {
            let message = format!(
                "{}: {what}; it holds the number of the last checkpoint attempt: if it is lost, remove it",
                path.display()
            );
            Error::new(ErrorKind::Restore, message)
        };
        let bytes =
            manifest::read_verified(&*self.disk, &path).await.map_err(|error| refuse(error.to_string()))?;
        let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| refuse("it holds no number".to_owned()))
    }

    /// Makes durable that a checkpoint of this number is attempted, before it is: no later one gets the number, even
    /// if the attempt leaves nothing behind.
    ///
    /// # Errors
    /// If it cannot be written: the number is still free then.
    pub(crate) async fn claim(&self, epoch: u64) -> Result<()> {
        let bytes = epoch.to_string().into_bytes();
        let written = manifest::write_atomically(&*self.disk, &self.path, EPOCH, &bytes).await;
        written.map_err(|error| {
            let message = format!("the number of checkpoint {epoch} was not recorded");
            Error::new(ErrorKind::Checkpoint, message).caused_by(error)
        })
    }

    async fn list(&self, path: &Path) -> Result<Vec<String>> {
        let entries = self.disk.list(path).await.map_err(|error| {
            let message = format!("{}: cannot be listed", path.display());
            Error::new(ErrorKind::Checkpoint, message).caused_by(error)
        })?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    /// Makes durable what an earlier run may have left in the caches: a process that was killed between a rename
    /// and its sync leaves a name that is there, but could still be lost when power is.
    ///
    /// # Errors
    /// If the directory cannot be synced.
    pub(crate) async fn settle(&self) -> Result<()> {
        if planted!(restored_name_trusted) {
            return Ok(());
        }
        let synced = self.disk.sync_dir(&self.path).await;
        synced.map_err(|error| {
            let message = format!("{}: cannot be synced", self.path.display());
            Error::new(ErrorKind::Restore, message).caused_by(error)
        })
    }

    /// The last complete checkpoint, `passed_over` of them left out of account. A damaged one is refused, never passed over for an older one.
    ///
    /// # Errors
    /// If it is damaged or of an unknown form.
    pub(crate) async fn latest(&self, contents: &Contents, passed_over: usize) -> Result<Option<Manifest>> {
        let newest = contents.manifests.keys().rev().nth(passed_over);
        match newest {
            Some(&epoch) => self.at(contents, epoch).await,
            None => Ok(None),
        }
    }

    /// The checkpoint of an epoch, if there is one.
    ///
    /// # Errors
    /// As [`Directory::latest`].
    pub(crate) async fn at(&self, contents: &Contents, epoch: u64) -> Result<Option<Manifest>> {
        let Some(name) = contents.manifests.get(&epoch) else { return Ok(None) };
        let path = self.path.join(name);
        let manifest = read_manifest(&*self.disk, &path, epoch).await.map_err(|what| {
            let message = format!(
                "{}: {what}; restore the file from a copy, or remove it to go back to the checkpoint before it \
                 (output since then would be repeated)",
                path.display()
            );
            Error::new(ErrorKind::Restore, message)
        })?;
        Ok(Some(manifest))
    }

    /// Makes a checkpoint complete: durable under its final name.
    pub(crate) async fn publish(&self, manifest: &Manifest) -> Result<(), Unpublished> {
        publish(&*self.disk, &self.path, manifest).await
    }

    /// Takes a savepoint over as this directory's first checkpoint: all of it is copied.
    ///
    /// # Errors
    /// If a file of it is missing or damaged, or the disk refuses.
    pub(crate) async fn import(&self, from: &Path, savepoint: &Manifest) -> Result<()> {
        let copied = copy_files(&*self.disk, from, &self.path, savepoint).await;
        let taken = match copied {
            Ok(()) => {
                let imported = Manifest { kind: ManifestKind::Imported, ..savepoint.clone() };
                self.publish(&imported).await
            }
            Err(error) => Err(Unpublished::Void(error)),
        };
        taken.map_err(|(Unpublished::Void(error) | Unpublished::Unknown(error))| {
            let message = format!("the savepoint in {} cannot be taken over", from.display());
            Error::new(ErrorKind::Restore, message).caused_by(error)
        })
    }

    /// Removes all but the last `keep` checkpoints, every state file that none of them names, and what unfinished
    /// checkpoints have left. No checkpoint may be under way. While a job runs, `complete` is its last checkpoint: what
    /// was written ahead since then is named by the next one, and stays. So does `copied`, of which a savepoint is made.
    ///
    /// # Errors
    /// If a retained manifest cannot be read, or a file cannot be removed.
    pub(crate) async fn retire(&self, keep: usize, complete: Option<u64>, copied: Option<u64>) -> Result<()> {
        let contents = self.contents().await?;
        let count = contents.manifests.len().saturating_sub(keep);
        let (mut old, mut kept) = (Vec::new(), Vec::new());
        for (i, (&epoch, name)) in contents.manifests.iter().enumerate() {
            let is_copied = Some(epoch) == copied && !planted!(copied_files_retired);
            // Prepared, given up, and not removed then.
            let is_void = complete.is_some_and(|complete| epoch > complete);
            let of = if (i < count && !is_copied) || is_void { &mut old } else { &mut kept };
            of.push(name);
        }
        let mut named = BTreeSet::new();
        for name in kept {
            let bytes = manifest::read_verified(&*self.disk, &self.path.join(name)).await;
            let bytes = bytes.map_err(|error| Error::new(ErrorKind::Checkpoint, error.to_string()))?;
            let manifest: Manifest = serde_json::from_slice(&bytes)
                .map_err(|error| Error::new(ErrorKind::Checkpoint, format!("{name}: {error}")))?;
            if planted!(retire_names_newest) {
                named.clear();
            }
            named.extend(manifest.files().into_iter().map(str::to_owned));
        }
        for name in old.iter().copied().chain(&contents.unfinished) {
            self.remove(&self.path.join(name)).await?;
        }
        // The manifests must be gone for good before what they name is.
        if !old.is_empty() {
            let synced = self.disk.sync_dir(&self.path).await;
            synced.map_err(|error| Error::new(ErrorKind::Checkpoint, "old checkpoints").caused_by(error))?;
        }
        let data = data_directory(&self.path);
        let ahead = |name: &str| match (complete, epoch_in(name)) {
            (Some(complete), Some(epoch)) => epoch >= complete && !planted!(spill_retired),
            _ => false,
        };
        for name in contents.data.iter().filter(|name| !named.contains(*name) && !ahead(name)) {
            self.remove(&data.join(name)).await?;
        }
        Ok(())
    }

    async fn remove(&self, path: &Path) -> Result<()> {
        match self.disk.remove(path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let message = format!("{}: cannot be removed", path.display());
                Err(Error::new(ErrorKind::Checkpoint, message).caused_by(error))
            }
            _ => Ok(()),
        }
    }
}

/// Makes a checkpoint complete in a directory: durable under its final name.
pub(super) async fn publish(disk: &dyn Disk, path: &Path, manifest: &Manifest) -> Result<(), Unpublished> {
    let name = format!("{MANIFEST}{:010}", manifest.epoch);
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        let message = format!("the manifest of checkpoint {} was not written", manifest.epoch);
        Error::new(ErrorKind::Checkpoint, message).caused_by(error)
    };
    let bytes = serde_json::to_vec(manifest).expect("a manifest has string keys only");
    // The names of the state files first: a manifest must never name what a crash can take away.
    if !planted!(no_data_dir_sync) {
        let synced = disk.sync_dir(&data_directory(path)).await;
        synced.map_err(|error| Unpublished::Void(failed(error.into())))?;
    }
    let prepared = manifest::prepare(disk, path, &name, &bytes).await;
    prepared.map_err(|error| Unpublished::Void(failed(error.into())))?;
    let published = manifest::publish(disk, path, &name).await;
    published.map_err(|error| Unpublished::Unknown(failed(error.into())))
}

/// Reads and checks the manifest of an epoch.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn read_manifest(disk: &dyn Disk, path: &Path, epoch: u64) -> Result<Manifest, String> {
    let bytes = manifest::read_verified(disk, path).await.map_err(|error| error.to_string())?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| format!("it is not a manifest of form {FORMAT}: {error}"))?;
    if !(FORMAT..=FORMAT_OVERTAKEN).contains(&manifest.format) || manifest.epoch != epoch {
        let Manifest { format, epoch: found, .. } = manifest;
        return Err(format!("it holds checkpoint {found} in form {format}"));
    }
    Ok(manifest)
}

/// The number that a file's name ends with, before its extension.
fn epoch_in(name: &str) -> Option<u64> {
    let stem = name.strip_suffix(".log").or(name.strip_suffix(".tmp")).unwrap_or(name);
    stem.rsplit('-').next()?.parse().ok()
}
