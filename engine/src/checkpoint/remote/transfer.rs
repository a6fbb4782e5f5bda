//! Files of checkpoints to the store and back.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::path::Path;
use std::rc::Rc;
use std::task::Poll;

use millstream_storage::disk::{Disk, File, OpenMode};
use millstream_storage::planted;
use serde::Deserialize;

use super::chain::{Chain, unreachable};
use super::link::{HeldFile, HeldPart, is_plain, object_name};
use super::patience::Patient;
use crate::checkpoint::manifest::{Manifest, Part};
use crate::error::{Error, ErrorKind, Result};
use crate::host::LocalFuture;

/// Bytes that are read or written at a time.
const CHUNK: u64 = 1 << 20;
/// Files that are on their way at once.
const AT_ONCE: usize = 8;
/// Of a file of overtaken records, before its contents: see `FORMAT.md`.
const ENVELOPE: u64 = 32;

/// A file that a sink keeps beside the checkpoints until what is in it is committed; named so in what its pre-commit
/// returns, under `beside`.
#[derive(Deserialize)]
struct Beside {
    /// Its path in the directory of checkpoints.
    path: String,
    bytes: u64,
}

/// The files that a checkpoint consists of, by their paths in the directory of checkpoints, and their lengths.
///
/// # Errors
/// If a name would not do in every store.
pub(crate) fn files_of(manifest: &Manifest) -> Result<BTreeMap<String, u64>> {
    let delta = manifest.delta_files().into_values();
    let mut files: BTreeMap<String, u64> =
        delta.map(|file| (format!("data/{}", file.name), file.file_bytes())).collect();
    for part in manifest.steps.values().flat_map(|step| &step.parts) {
        let overtaken = part.overtaken.iter().map(|of| (format!("data/{}", of.file), of.bytes + ENVELOPE));
        files.extend(overtaken);
        files.extend(beside(part)?.into_iter().map(|file| (file.path, file.bytes)));
    }
    match files.keys().find(|path| !is_plain(path)) {
        None => Ok(files),
        Some(path) => {
            let message = format!("{path:?} is no name for an object: letters, digits, `-`, `_` and `.` are");
            Err(Error::new(ErrorKind::Checkpoint, message))
        }
    }
}

fn beside(part: &Part) -> Result<Vec<Beside>> {
    let named = part.prepared.as_ref().and_then(|prepared| prepared.get("beside"));
    let files = named.map(Vec::<Beside>::deserialize).transpose();
    let failed = |error| {
        let what = "`beside` in a pre-commit does not tell files by `path` and `bytes`";
        Error::new(ErrorKind::Checkpoint, what).caused_by(error)
    };
    Ok(files.map_err(failed)?.unwrap_or_default())
}

/// Stores what is not stored yet of a checkpoint's files, while there is time. Returns where they all are, and how many
/// bytes were stored.
///
/// # Errors
/// If a file cannot be read, or the store refuses.
pub(crate) async fn upload(
    chain: &Rc<Chain>,
    objects: &Patient,
    disk: &Rc<dyn Disk>,
    dir: &Path,
    manifest: &Manifest,
) -> Result<(BTreeMap<String, HeldFile>, u64)> {
    let files = files_of(manifest)?;
    let sent = Rc::new(Cell::new(0));
    let missing = files.iter().filter(|(path, _)| !chain.stored.borrow().contains_key(*path));
    let uploads = missing.map(|(path, &bytes)| -> LocalFuture<Result<()>> {
        let (chain, objects, disk, sent) = (chain.clone(), objects.clone(), disk.clone(), sent.clone());
        let (path, local) = (path.clone(), dir.join(path));
        Box::pin(async move {
            let file = upload_file(&chain, &objects, &*disk, (&path, &local), bytes).await?;
            sent.set(sent.get() + bytes);
            chain.stored.borrow_mut().insert(path, file);
            Ok(())
        })
    });
    all(uploads.collect()).await?;
    let stored = chain.stored.borrow();
    let held = files.into_keys().map(|path| {
        let file = stored[&path].clone();
        (path, file)
    });
    Ok((held.collect(), sent.get()))
}

async fn upload_file(
    chain: &Chain,
    objects: &Patient,
    disk: &dyn Disk,
    (path, local): (&str, &Path),
    bytes: u64,
) -> Result<HeldFile> {
    let failed = |error: std::io::Error| {
        let message = format!("{}: cannot be read for {}", local.display(), chain.place());
        Error::new(ErrorKind::Checkpoint, message).caused_by(error)
    };
    let file = disk.open(local, OpenMode::Read).await.map_err(failed)?;
    let found = file.len().await.map_err(failed)?;
    if found != bytes {
        let message = format!("{}: has {found} bytes, and {bytes} are expected", local.display());
        return Err(Error::new(ErrorKind::Checkpoint, message));
    }
    let mut held = HeldFile { generation: chain.generation(), parts: Vec::new() };
    let mut at = 0;
    while at < bytes || held.parts.is_empty() {
        let len = (bytes - at).min(chain.part_bytes);
        let part = read(&*file, at, len).await.map_err(failed)?;
        held.parts.push(HeldPart { bytes: len, crc: crc32fast::hash(&part) });
        let name = object_name(held.generation, path, held.parts.len() - 1);
        let stored = objects.store(&name, part).await;
        stored.map_err(|refusal| unreachable(&format!("{}: {name}", chain.place()), refusal))?;
        at += len;
    }
    Ok(held)
}

/// Reads a part of a file, in pieces.
async fn read(file: &dyn File, from: u64, len: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    while (bytes.len() as u64) < len {
        let at = bytes.len() as u64;
        let piece = file.read_at(from + at, (len - at).min(CHUNK) as usize).await?;
        if piece.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend(piece);
    }
    Ok(bytes)
}

/// Sees to it that the files of a checkpoint are in the directory, whole and durable: those that are there already and are
/// the same stay, the others are fetched.
///
/// # Errors
/// If an object is missing or damaged, or the store or the disk refuses.
pub(crate) async fn download(
    chain: &Rc<Chain>,
    objects: &Patient,
    disk: &Rc<dyn Disk>,
    dir: &Path,
    files: &BTreeMap<String, HeldFile>,
) -> Result<()> {
    let dirs: BTreeSet<_> =
        files.keys().filter_map(|path| Some(dir.join(Path::new(path).parent()?))).collect();
    let failed = |path: &Path, error| {
        let message = format!("{}: cannot be made ready", path.display());
        Error::new(ErrorKind::Restore, message).caused_by(error)
    };
    for path in &dirs {
        disk.create_dir_all(path).await.map_err(|error| failed(path, error))?;
    }
    let fetches = files.iter().map(|(path, file)| -> LocalFuture<Result<()>> {
        let (chain, objects, disk) = (chain.clone(), objects.clone(), disk.clone());
        let (path, local, file) = (path.clone(), dir.join(path), file.clone());
        Box::pin(async move {
            if is_same(&*disk, &local, &file).await {
                return Ok(());
            }
            fetch(&chain, &objects, &*disk, (&path, &local), &file).await
        })
    });
    all(fetches.collect()).await?;
    for path in &dirs {
        disk.sync_dir(path).await.map_err(|error| failed(path, error))?;
    }
    Ok(())
}

/// Whether a local file is what the store has. One that cannot be read is not.
async fn is_same(disk: &dyn Disk, path: &Path, file: &HeldFile) -> bool {
    let Ok(local) = disk.open(path, OpenMode::Read).await else { return false };
    if local.len().await.ok() != Some(file.bytes()) {
        return false;
    }
    if planted!(local_file_trusted) {
        return true;
    }
    let mut at = 0;
    for part in &file.parts {
        match read(&*local, at, part.bytes).await {
            Ok(bytes) if crc32fast::hash(&bytes) == part.crc => at += part.bytes,
            _ => return false,
        }
    }
    true
}

async fn fetch(
    chain: &Chain,
    objects: &Patient,
    disk: &dyn Disk,
    (path, local): (&str, &Path),
    file: &HeldFile,
) -> Result<()> {
    let failed = |error: std::io::Error| {
        let message = format!("{}: cannot be written", local.display());
        Error::new(ErrorKind::Restore, message).caused_by(error)
    };
    match disk.remove(local).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let target = disk.open(local, OpenMode::Create).await.map_err(failed)?;
    let mut at = 0;
    for (number, part) in file.parts.iter().enumerate() {
        let name = file.object(path, number);
        let refuse = |why: String| {
            let message = format!("{}: {name}: {why}; restore the object from a copy", chain.place());
            Error::new(ErrorKind::Restore, message)
        };
        let found = objects.get(&name).await.map_err(|refusal| unreachable(chain.place(), refusal))?;
        let bytes = found.ok_or_else(|| refuse("is missing".to_owned()))?;
        if bytes.len() as u64 != part.bytes {
            return Err(refuse(format!("has {} bytes, and {} are expected", bytes.len(), part.bytes)));
        }
        let crc = crc32fast::hash(&bytes);
        if crc != part.crc {
            return Err(refuse(format!("is damaged: its checksum is {crc:08x}, expected {:08x}", part.crc)));
        }
        target.write_at(at, bytes.into()).await.map_err(failed)?;
        at += part.bytes;
    }
    target.sync().await.map_err(failed)
}

/// Runs all, some at once. After an error nothing new is begun, and what is on its way is dropped.
async fn all(waiting: Vec<LocalFuture<Result<()>>>) -> Result<()> {
    let mut waiting = waiting.into_iter();
    let mut running: Vec<LocalFuture<Result<()>>> = waiting.by_ref().take(AT_ONCE).collect();
    poll_fn(move |cx| {
        let mut at = 0;
        while at < running.len() {
            match running[at].as_mut().poll(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => match waiting.next() {
                    // It is polled in this round.
                    Some(next) => running[at] = next,
                    None => drop(running.swap_remove(at)),
                },
                Poll::Pending => at += 1,
            }
        }
        if running.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}
