//! Copies of whole checkpoints: out of a job's directory as a savepoint, and from there into another's.
//!
//! Files are copied, not linked: a copy may lie on another file system, and what is verified in it is its own bytes.
//! Every copied file is synced and then read and checked as a whole; their names are made durable before the manifest
//! is, so a directory without one is what a copy that was interrupted has left.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{Disk, OpenMode};
use millstream_storage::inspect::verify;
use millstream_storage::planted;
use millstream_storage::snapshot::DeltaFile;

use crate::checkpoint::directory::{MANIFEST, Unpublished, data_directory, publish, read_manifest};
use crate::checkpoint::manifest::{Manifest, ManifestKind, Part};
use crate::checkpoint::request::Savepoint;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::file;

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;

/// An I/O error, or damage, and where.
fn failed(what: &str, path: &Path, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Checkpoint, format!("{}: {what}", path.display())).caused_by(cause)
}

/// Copies a checkpoint, whose output was committed, to a directory of its own.
///
/// # Errors
/// If the directory is not empty, a file is damaged, or the disk refuses. What was copied is removed again, as far as
/// that can be done.
pub(crate) async fn save(
    disk: Rc<dyn Disk>,
    from: PathBuf,
    to: PathBuf,
    manifest: Manifest,
) -> Result<Savepoint> {
    check_committed(&manifest)?;
    let manifest = detached(manifest);
    make_room(&*disk, &to).await?;
    let copied = copy_files(&*disk, &from, &to, &manifest).await;
    let published = match copied {
        Ok(()) => publish(&*disk, &to, &manifest).await,
        Err(error) => Err(Unpublished::Void(error)),
    };
    match published {
        Ok(()) => {
            let bytes = manifest.delta_files().values().map(|file| file.file_bytes()).sum();
            Ok(Savepoint { path: to, epoch: manifest.epoch, bytes })
        }
        Err(Unpublished::Void(error)) => {
            remove_files(&*disk, &to, &manifest).await;
            Err(error)
        }
        // It may be there, and whole: nothing of it may go.
        Err(Unpublished::Unknown(error)) => Err(error),
    }
}

/// Whether all output up to the checkpoint is committed, so that it may be left out.
///
/// # Errors
/// If a sink holds files open across checkpoints: they are known to this job's checkpoints alone.
fn check_committed(manifest: &Manifest) -> Result<()> {
    let has_open = |part: &Part| part.prepared.as_ref().is_some_and(file::has_open);
    let holds = manifest.steps.iter().find(|(_, step)| step.parts.iter().any(has_open));
    let Some((name, _)) = holds else { return Ok(()) };
    let message = format!(
        "sink `{name}` holds files open across checkpoints, whose records a savepoint would lose; drain the job, which ends \
         them, or have files end with each checkpoint"
    );
    Err(Error::new(ErrorKind::Checkpoint, message))
}

/// As a savepoint: what is committed is not to be committed once more, so that nothing depends on where it is.
fn detached(mut manifest: Manifest) -> Manifest {
    manifest.kind = ManifestKind::Savepoint;
    manifest.parent = None;
    let parts = manifest.steps.values_mut().flat_map(|step| &mut step.parts);
    parts.for_each(|part| part.prepared = None);
    manifest
}

/// Makes the directories of a savepoint.
///
/// # Errors
/// If there is something in them already.
async fn make_room(disk: &dyn Disk, to: &Path) -> Result<()> {
    let data = data_directory(to);
    check_empty(disk, to).await?;
    disk.create_dir_all(&data).await.map_err(|error| failed("cannot be created", &data, error))
}

/// Whether a savepoint may be put there.
///
/// # Errors
/// If there is something already, but for the empty folder that a failed attempt leaves.
pub(super) async fn check_empty(disk: &dyn Disk, to: &Path) -> Result<()> {
    for path in [to.to_owned(), data_directory(to)] {
        let entries = match disk.list(&path).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(|error| failed("cannot be listed", &path, error))?,
        };
        if let Some(entry) =
            entries.iter().find(|entry| !(entry.is_dir && data_directory(to).ends_with(&entry.name)))
        {
            let name = &entry.name;
            let message = format!(
                "{}: is not empty, it holds `{name}`; a savepoint needs a directory of its own",
                path.display()
            );
            return Err(Error::new(ErrorKind::Checkpoint, message));
        }
    }
    Ok(())
}

/// Reads the manifest of a savepoint.
///
/// # Errors
/// If there is none, or it is damaged, or it is a checkpoint of a job's own.
pub(crate) async fn read_savepoint(disk: &dyn Disk, from: &Path) -> Result<Manifest> {
    let refuse = |what: String| Error::new(ErrorKind::Restore, format!("{}: {what}", from.display()));
    let entries = disk.list(from).await;
    let entries = entries.map_err(|error| refuse("cannot be listed".to_owned()).caused_by(error))?;
    let epochs = entries.iter().filter_map(|entry| entry.name.strip_prefix(MANIFEST)?.parse::<u64>().ok());
    let Some(epoch) = epochs.max() else {
        return Err(refuse("holds no savepoint, or one that was not finished".to_owned()));
    };
    let path = from.join(format!("{MANIFEST}{epoch:010}"));
    let manifest = read_manifest(disk, &path, epoch).await;
    let manifest = manifest
        .map_err(|what| refuse(format!("{}: {what}; restore the file from a copy", path.display())))?;
    if manifest.kind != ManifestKind::Savepoint {
        return Err(refuse(
            "holds checkpoints of a job and no savepoint; a job goes on from its checkpoints by \
             `Config::checkpoints` alone"
                .to_owned(),
        ));
    }
    Ok(manifest)
}

/// Copies the state files of a checkpoint, durable but for their names.
///
/// # Errors
/// If one is missing or damaged, or the disk refuses.
pub(super) async fn copy_files(disk: &dyn Disk, from: &Path, to: &Path, manifest: &Manifest) -> Result<()> {
    let (from, to) = (data_directory(from), data_directory(to));
    for file in manifest.delta_files().into_values() {
        if planted!(savepoint_of_new_files) && file.epoch < manifest.epoch {
            continue;
        }
        copy_file(disk, &from.join(&file.name), &to.join(&file.name), file).await?;
        let verified = verify(disk, &to, file).await;
        verified.map_err(|error| {
            failed("was copied, and the copy is not whole", &from.join(&file.name), error)
        })?;
    }
    Ok(())
}

async fn copy_file(disk: &dyn Disk, from: &Path, to: &Path, file: &DeltaFile) -> Result<()> {
    let source = disk.open(from, OpenMode::Read).await;
    let source = source.map_err(|error| failed("cannot be opened", from, error))?;
    match disk.remove(to).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed("is in the way of a copy, and cannot be removed", to, error));
        }
        _ => {}
    }
    let target = disk.open(to, OpenMode::Create).await;
    let target = target.map_err(|error| failed("cannot be created", to, error))?;
    let (mut at, end) = (0, file.file_bytes());
    while at < end {
        let len = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
        let bytes = source.read_at(at, len).await.map_err(|error| failed("cannot be read", from, error))?;
        if bytes.is_empty() {
            let message = format!("{}: ends at {at}, and {end} bytes are expected", from.display());
            return Err(Error::new(ErrorKind::Checkpoint, message));
        }
        let read = bytes.len() as u64;
        target.write_at(at, bytes.into()).await.map_err(|error| failed("cannot be written", to, error))?;
        at += read;
    }
    if planted!(savepoint_not_synced) {
        return Ok(());
    }
    target.sync().await.map_err(|error| failed("cannot be synced", to, error))
}

/// Removes what a failed copy has left. What cannot be removed is in nobody's way: there is no manifest.
async fn remove_files(disk: &dyn Disk, to: &Path, manifest: &Manifest) {
    let data = data_directory(to);
    for name in manifest.files() {
        // Not all of them were copied.
        let _ = disk.remove(&data.join(name)).await;
    }
    let _ = disk.remove(&to.join(format!("{MANIFEST}{:010}.tmp", manifest.epoch))).await;
}
