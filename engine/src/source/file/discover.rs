//! Which files there are, and whether a checkpoint's positions still fit them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use millstream_storage::disk::{Disk, OpenMode};
use millstream_storage::planted;
use serde_json::Value as Json;

use super::codec::{Codec, MAGIC_BYTES};
use super::cursor::Position;
use super::input::Start;
use crate::error::{Error, ErrorKind, Result};

/// The files that `paths` name: themselves, or for a directory those in it, hidden ones and sub-directories left
/// out. Sorted; one that is named twice is read once.
///
/// # Errors
/// If a path names nothing.
pub(super) async fn discover(disk: &dyn Disk, paths: &[PathBuf]) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for path in paths {
        match disk.list(path).await {
            Ok(entries) => {
                let visible = entries.iter().filter(|entry| !entry.is_dir && !entry.name.starts_with('.'));
                for entry in visible {
                    files.insert(utf8(&path.join(&entry.name))?);
                }
            }
            Err(error) if is_no_directory(&error) => {
                disk.open(path, OpenMode::Read).await.map_err(|error| unreadable(path, error))?;
                files.insert(utf8(path)?);
            }
            Err(error) => return Err(unreadable(path, error)),
        }
    }
    Ok(files)
}

fn is_no_directory(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound)
}

/// Split names are text: they go into checkpoints and messages.
fn utf8(path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::new(ErrorKind::Config, format!("{}: the name is not UTF-8", path.display())))
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Source, format!("{}: cannot read it", path.display())).caused_by(error)
}

/// The restored positions, with files that are new added at their beginning.
///
/// # Errors
/// If a file that was not read to its end is not there any more.
pub(super) fn reconcile(
    files: &BTreeSet<String>,
    restored: &BTreeMap<String, Json>,
) -> Result<BTreeMap<String, Position>> {
    let mut positions = BTreeMap::new();
    for (name, json) in restored {
        let position: Position = serde_json::from_value(json.clone()).map_err(|error| {
            let message = format!("{name}: its position in the checkpoint is not one of a file: {json}");
            Error::new(ErrorKind::Restore, message).caused_by(error)
        })?;
        if !position.ended && !files.contains(name) {
            return Err(vanished(name, &position));
        }
        positions.insert(name.clone(), position);
    }
    for name in files {
        if planted!(new_file_passed_over) && !restored.is_empty() {
            continue;
        }
        positions.entry(name.clone()).or_default();
    }
    Ok(positions)
}

fn vanished(name: &str, position: &Position) -> Error {
    let message = format!(
        "{name}: was read up to byte {}, but is not among the files of the source any more; put it back, or start \
         without the checkpoint",
        position.offset
    );
    Error::new(ErrorKind::Restore, message)
}

/// Where to begin in a file to go on at a position.
///
/// # Errors
/// If the file is shorter.
pub(super) async fn resume(disk: &dyn Disk, name: &str, position: &Position) -> Result<Start> {
    if position.ended || position.offset == 0 {
        return Ok(Start::Fresh);
    }
    let path = Path::new(name);
    let (len, codec) = inspect(disk, path).await.map_err(|error| unreadable(path, error))?;
    if !codec.is_plain() && !planted!(seeks_in_compressed) {
        return Ok(Start::Skip(position.offset));
    }
    if len < position.offset {
        let message = format!(
            "{name}: has {len} bytes, but was read up to byte {} before the checkpoint, so it is not the file that \
             was read; put that one back, or start without the checkpoint",
            position.offset
        );
        return Err(Error::new(ErrorKind::Restore, message));
    }
    Ok(Start::Seek(position.offset))
}

async fn inspect(disk: &dyn Disk, path: &Path) -> io::Result<(u64, Codec)> {
    let file = disk.open(path, OpenMode::Read).await?;
    let len = file.len().await?;
    let head = file.read_at(0, MAGIC_BYTES).await?;
    Ok((len, Codec::detect(&head, &path.to_string_lossy())?))
}
