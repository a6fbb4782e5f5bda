//! Gives files their final names, durably, and those of a partition in their order: a reader sees no record of a key
//! before those that came earlier, whatever is lost in a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use millstream_storage::disk::Disk;

use super::{PendingFile, failed};
use crate::error::Result;

/// Gives a file its final name.
pub(super) async fn rename(disk: &dyn Disk, dir: &Path, file: &PendingFile) -> Result<()> {
    let (from, to) = (dir.join(&file.pending), dir.join(&file.name));
    let renamed = disk.rename(&from, &to).await;
    renamed.map_err(|error| failed(&format!("rename it to {}", file.name), &from, error))
}

/// Makes the names in a directory durable.
pub(super) async fn sync_dir(disk: &dyn Disk, dir: &Path) -> Result<()> {
    disk.sync_dir(dir).await.map_err(|error| failed("sync the directory", dir, error))
}

/// Makes the directories that files will lie in.
pub(super) async fn make_dirs(
    disk: &dyn Disk,
    dir: &Path,
    partitions: impl Iterator<Item = &str>,
) -> Result<()> {
    for partition in partitions.filter(|partition| !partition.is_empty()).collect::<BTreeSet<_>>() {
        let path = dir.join(partition);
        disk.create_dir_all(&path).await.map_err(|error| failed("create the directory", &path, error))?;
    }
    Ok(())
}

/// The partition in a final name; empty if there is none.
pub(super) fn partition_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(partition, _)| partition)
}

/// Files, the oldest first, in rounds: the first of each partition, the second of each, and so on. The names of a round must
/// be durable before those of the next are given.
pub(super) fn rounds<F>(files: Vec<F>, name: impl Fn(&F) -> &str) -> Vec<Vec<F>> {
    let mut rounds: Vec<Vec<F>> = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for file in files {
        let count = counts.entry(partition_of(name(&file)).to_owned()).or_default();
        if *count == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[*count].push(file);
        *count += 1;
    }
    rounds
}

/// The directories whose names change when files get these final names, the innermost first. Those between the files
/// and `dir` are among them: another core may have made them, and its own sync may be still under way.
pub(super) fn touched<'a>(dir: &Path, names: impl Iterator<Item = &'a str>) -> Vec<PathBuf> {
    let mut dirs = BTreeSet::from([dir.to_owned()]);
    for name in names {
        let inside = Path::new(name).ancestors().skip(1);
        dirs.extend(inside.filter(|part| !part.as_os_str().is_empty()).map(|part| dir.join(part)));
    }
    dirs.into_iter().rev().collect()
}
