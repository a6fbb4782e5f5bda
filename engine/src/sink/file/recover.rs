//! Finishes or undoes what an earlier run left in the directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use millstream_storage::disk::Disk;
use serde::Deserialize;

use super::names::{epoch_of, is_pending};
use super::writer::{rename, sync_dir};
use super::{Pending, PendingFile, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::Prepared;

/// Commits what was prepared and removes every other pending file. May be repeated, also after a crash half-way.
pub(super) async fn recover(
    disk: &dyn Disk,
    dir: &Path,
    restored: Option<u64>,
    prepared: Vec<Prepared>,
) -> Result<()> {
    disk.create_dir_all(dir).await.map_err(|error| failed("create the directory", dir, error))?;
    let entries = disk.list(dir).await.map_err(|error| failed("list the directory", dir, error))?;
    let found: BTreeMap<_, _> = entries.into_iter().map(|entry| (entry.name, entry.len)).collect();
    refuse_foreign(dir, restored, found.keys())?;
    let mut changed = false;
    let mut known = BTreeSet::new();
    for part in &prepared {
        let pending = parse(dir, part)?;
        for file in pending.files {
            if is_to_rename(dir, &file, &found, &pending.dir)? {
                rename(disk, dir, &file).await?;
            }
            // Also if it has its final name: who gave it that may have died before it was durable.
            changed = true;
            known.insert(file.pending);
        }
    }
    for name in found.keys().filter(|name| is_pending(name) && !known.contains(*name)) {
        let path = dir.join(name);
        disk.remove(&path).await.map_err(|error| failed("remove it", &path, error))?;
        changed = true;
    }
    if changed { sync_dir(disk, dir).await } else { Ok(()) }
}

/// Output that this run would write a second time, or mix with its own.
fn refuse_foreign<'a>(
    dir: &Path,
    restored: Option<u64>,
    names: impl Iterator<Item = &'a String>,
) -> Result<()> {
    let newest = names.filter_map(|name| Some((epoch_of(name)?, name))).max();
    let dir = dir.display();
    let message = match (newest, restored) {
        (Some((_, name)), None) => format!(
            "{dir}: holds the output of another run ({name}); choose an empty directory, or start from the \
             checkpoints of the run that wrote it"
        ),
        (Some((epoch, name)), Some(restored)) if epoch > restored => format!(
            "{dir}: holds output of epoch {epoch} ({name}), but the checkpoint of epoch {restored} is restored, so \
             its records would be written again; choose an empty directory, or restore the checkpoint of epoch \
             {epoch} or a later one"
        ),
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::Restore, message))
}

fn parse(dir: &Path, part: &Prepared) -> Result<Pending> {
    let refuse = |why: String| {
        let (dir, epoch, shard) = (dir.display(), part.epoch, part.shard);
        let message = format!("{dir}: cannot read the output of shard {shard} in checkpoint {epoch}: {why}");
        Error::new(ErrorKind::Restore, message)
    };
    let pending = Pending::deserialize(&part.pending).map_err(|error| refuse(error.to_string()))?;
    // A checkpoint is untrusted input: no name in it may lead out of the directory.
    match pending.files.iter().find(|file| epoch_of(&file.name).is_none() || !is_pending(&file.pending)) {
        Some(file) => Err(refuse(format!("bad names {:?} and {:?}", file.pending, file.name))),
        None => Ok(pending),
    }
}

/// Whether a prepared file still has its pending name.
fn is_to_rename(dir: &Path, file: &PendingFile, found: &BTreeMap<String, u64>, was: &str) -> Result<bool> {
    let is_pending = found.contains_key(&file.pending);
    let name = if is_pending { &file.pending } else { &file.name };
    let (path, bytes) = (dir.join(name), file.bytes);
    let message = match found.get(name) {
        Some(&len) if len == bytes => return Ok(is_pending),
        Some(len) => format!("{}: has {len} bytes, but the checkpoint says {bytes}", path.display()),
        None => format!(
            "{}: is missing, and so is {}; the checkpoint was made with {} records in it, in the directory {was}",
            path.display(),
            file.pending,
            file.records
        ),
    };
    Err(Error::new(
        ErrorKind::Restore,
        format!("{message}; put the file back, or start without the checkpoint"),
    ))
}
