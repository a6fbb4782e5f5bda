//! Finishes or undoes what an earlier run left in the directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use millstream_storage::disk::{DirEntry, Disk};
use millstream_storage::planted;
use serde::Deserialize;

use super::cut::cut;
use super::names::{epoch_of, is_pending};
use super::partition::{MAX_DEPTH, is_name};
use super::publish::{make_dirs, partition_of, rename, rounds, sync_dir, touched};
use super::{Pending, PendingFile, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::Prepared;

/// The lengths of files by their paths in the directory.
type Found = BTreeMap<String, u64>;

/// What a prepared file needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// It was committed.
    Nothing,
    Rename,
    /// It was still open: something was written to it after the checkpoint.
    Cut,
}

/// Commits what was prepared and removes every other pending file. May be repeated, also after a crash half-way.
pub(super) async fn recover(
    disk: &dyn Disk,
    dir: &Path,
    restored: Option<u64>,
    prepared: Vec<Prepared>,
) -> Result<()> {
    disk.create_dir_all(dir).await.map_err(|error| failed("create the directory", dir, error))?;
    let found = find(disk, dir).await?;
    refuse_foreign(dir, restored, found.keys())?;
    let mut files = Vec::new();
    for part in &prepared {
        let pending = parse(dir, part)?;
        for file in pending.files {
            let need = need(dir, &file, &found, &pending.dir)?;
            files.push((file, need));
        }
    }
    // An open file is needed until the part of it that counts has its final name.
    let known: BTreeSet<_> =
        files.iter().filter(|(_, need)| *need != Need::Nothing).map(|(file, _)| &file.pending).collect();
    let orphans = found.keys().filter(|name| is_pending(name) && !known.contains(name));
    let mut removed = remove(disk, dir, orphans).await?;
    make_dirs(disk, dir, files.iter().map(|(file, _)| partition_of(&file.name))).await?;
    let cut: Vec<_> =
        files.iter().filter(|(_, need)| *need == Need::Cut).map(|(file, _)| file.pending.clone()).collect();
    commit(disk, dir, files).await?;
    if !planted!(not_cut) {
        removed |= remove(disk, dir, cut.iter()).await?;
    }
    if removed { sync_dir(disk, dir).await } else { Ok(()) }
}

/// Gives prepared files their final names. Also makes durable those that they have: who gave them may have died before
/// they were.
async fn commit(disk: &dyn Disk, dir: &Path, mut files: Vec<(PendingFile, Need)>) -> Result<()> {
    files.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    for round in rounds(files, |(file, _)| &file.name) {
        for (file, need) in &round {
            match need {
                Need::Nothing => {}
                Need::Cut if !planted!(not_cut) => cut(disk, dir, file).await?,
                Need::Rename | Need::Cut => rename(disk, dir, file).await?,
            }
        }
        for dir in touched(dir, round.iter().map(|(file, _)| file.name.as_str())) {
            sync_dir(disk, &dir).await?;
        }
    }
    Ok(())
}

/// Removes files, and returns whether there was one.
async fn remove(disk: &dyn Disk, dir: &Path, names: impl Iterator<Item = &String>) -> Result<bool> {
    let mut any = false;
    for name in names {
        let path = dir.join(name);
        disk.remove(&path).await.map_err(|error| failed("remove it", &path, error))?;
        any = true;
    }
    Ok(any)
}

/// The files in the directory and in those of its partitions.
async fn find(disk: &dyn Disk, dir: &Path) -> Result<Found> {
    let (mut found, mut dirs) = (Found::new(), vec![(String::new(), 0)]);
    while let Some((inside, depth)) = dirs.pop() {
        let path = dir.join(&inside);
        let entries = disk.list(&path).await.map_err(|error| failed("list the directory", &path, error))?;
        for DirEntry { name, len, is_dir } in entries {
            let is_partition = is_dir && depth < MAX_DEPTH && is_name(&name);
            let name = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            if is_partition {
                dirs.push((name, depth + 1));
            } else if !is_dir {
                found.insert(name, len);
            }
        }
    }
    Ok(found)
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

/// What is to be done about a prepared file.
fn need(dir: &Path, file: &PendingFile, found: &Found, was: &str) -> Result<Need> {
    let (pending, named) = (found.get(&file.pending), found.get(&file.name));
    let bytes = file.bytes;
    let message = match (pending, named) {
        // The open file may be there still: it is removed last.
        (_, Some(&len)) if file.open.is_some() && len == bytes => return Ok(Need::Nothing),
        (Some(&len), _) if len == bytes => return Ok(Need::Rename),
        (Some(&len), _) if file.open.is_some() && len > bytes => return Ok(Need::Cut),
        (None, Some(&len)) if len == bytes => return Ok(Need::Nothing),
        (Some(len), _) | (None, Some(len)) => {
            let name = if pending.is_some() { &file.pending } else { &file.name };
            format!("{}: has {len} bytes, but the checkpoint says {bytes}", dir.join(name).display())
        }
        (None, None) => format!(
            "{}: is missing, and so is {}; the checkpoint was made with {} records in it, in the directory {was}",
            dir.join(&file.name).display(),
            file.pending,
            file.records
        ),
    };
    Err(Error::new(
        ErrorKind::Restore,
        format!("{message}; put the file back, or start without the checkpoint"),
    ))
}
