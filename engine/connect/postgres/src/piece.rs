//! Pieces: what a shard puts out in an epoch, in a file until it is committed.
//!
//! ```text
//! file    = frame*                        named <first epoch>-<number>-<shard>.rows
//! frame   = length: u32 LE                of the tuples
//!           checksum: u32 LE              CRC-32 of the file's name, the frame's offset (u64 LE) and the tuples
//!           tuples: [u8; length]          of the server's binary COPY format, whole ones
//! ```
//! How long a file is says the checkpoint that names it. Names are never used twice.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream::{Error, ErrorKind, Result};
use millstream_storage::disk::{Disk, File, OpenMode};
use serde::{Deserialize, Serialize};

/// The directory of all sinks' pieces, in that of the checkpoints.
pub(crate) const SPOOL: &str = "spool";
/// Bytes before the tuples of a frame.
pub(crate) const HEAD: usize = 8;
/// No frame is longer: tuples are put into the next one when this is reached.
pub(crate) const FRAME_BYTES: usize = 256 << 10;
/// What a single row may take beyond that, and what a length that was damaged may ask for.
const MOST_BYTES: usize = 1 << 30;

/// A piece, as checkpoints name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Piece {
    /// The epoch that it belongs to.
    pub(crate) epoch: u64,
    /// The file.
    pub(crate) file: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// Rows in it, or removals of rows.
    pub(crate) records: u64,
    /// The shape of its tuples: see [`Target::shape`](crate::target::Target::shape).
    pub(crate) shape: u64,
}

/// What a checkpoint keeps: the pieces of a shard that are not known to be committed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pending {
    /// The sink's name.
    pub(crate) sink: String,
    /// The last epoch that was in the table then.
    pub(crate) committed: u64,
    pub(crate) pieces: Vec<Piece>,
    /// Their files, for whoever stores checkpoints in another place, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) beside: Vec<Beside>,
}

/// A file, by its path in the directory of checkpoints.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Beside {
    pub(crate) path: String,
    pub(crate) bytes: u64,
}

/// The name of the `number`-th file of a shard, in the run that began with an epoch.
pub(crate) fn file_name(first_epoch: u64, number: u64, shard: usize) -> String {
    format!("{first_epoch:010}-{number:010}-{shard:03}.rows")
}

/// Whether this can be the name of a piece.
pub(crate) fn is_file_name(name: &str) -> bool {
    let parts: Option<Vec<&str>> = name.strip_suffix(".rows").map(|stem| stem.split('-').collect());
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.is_some_and(|parts| parts.len() == 3 && parts.iter().all(is_number))
}

/// The directory of a sink's pieces, in the one of the job's.
pub(crate) fn directory(parent: &Path, sink: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '-' };
    // The hash keeps apart what looks the same now.
    let hash = millstream_storage::hash::stable_hash(sink.as_bytes());
    let readable: String = sink.chars().take(64).map(plain).collect();
    parent.join(format!("{readable}-{hash:016x}"))
}

/// Completes a frame that begins at `offset` of a file: `frame` holds the tuples, behind room for what is before them.
pub(crate) fn seal(frame: &mut [u8], file: &str, offset: u64) {
    let (head, tuples) = frame.split_at_mut(HEAD);
    head[..4].copy_from_slice(&(tuples.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&checksum(file, offset, tuples).to_le_bytes());
}

fn checksum(file: &str, offset: u64, tuples: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(file.as_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(tuples);
    hasher.finalize()
}

/// Reads a piece, frame by frame.
pub(crate) struct PieceReader {
    file: Rc<dyn File>,
    path: PathBuf,
    name: String,
    offset: u64,
    end: u64,
}

impl PieceReader {
    /// # Errors
    /// If the file is missing or is not as long as it must be.
    pub(crate) async fn open(disk: &dyn Disk, dir: &Path, piece: &Piece) -> Result<PieceReader> {
        let path = dir.join(&piece.file);
        let lost = |why: String| {
            let message = format!(
                "{}: {why}; it holds {} records of epoch {} that are not in the table yet: put it back, or start \
                 without the checkpoint",
                path.display(),
                piece.records,
                piece.epoch
            );
            Error::new(ErrorKind::Restore, message)
        };
        let file = match disk.open(&path, OpenMode::Read).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(lost("is missing".into()));
            }
            opened => opened.map_err(|error| failed("open it", &path, error))?,
        };
        let len = file.len().await.map_err(|error| failed("look at it", &path, error))?;
        if len != piece.bytes {
            return Err(lost(format!("has {len} bytes, but the checkpoint says {}", piece.bytes)));
        }
        Ok(PieceReader { file, path, name: piece.file.clone(), offset: 0, end: len })
    }

    /// The tuples of the next frame; `None` at the end.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if self.offset == self.end {
            return Ok(None);
        }
        let head = self.read(self.offset, HEAD).await?;
        let head: [u8; HEAD] = head.try_into().map_err(|_| self.damaged())?;
        let [len, sum] =
            [&head[..4], &head[4..]].map(|part| u32::from_le_bytes(part.try_into().expect("4 bytes")));
        let next = self.offset + HEAD as u64 + u64::from(len);
        if next > self.end || len as usize > MOST_BYTES + FRAME_BYTES {
            return Err(self.damaged());
        }
        let tuples = self.read(self.offset + HEAD as u64, len as usize).await?;
        if tuples.len() != len as usize || checksum(&self.name, self.offset, &tuples) != sum {
            return Err(self.damaged());
        }
        self.offset = next;
        Ok(Some(tuples))
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let read = self.file.read_at(offset, len).await;
        read.map_err(|error| failed(&format!("read {len} bytes at {offset}"), &self.path, error))
    }

    fn damaged(&self) -> Error {
        let message = format!(
            "{}: the frame at {} is damaged: its checksum is another; nothing of the epoch was committed",
            self.path.display(),
            self.offset
        );
        Error::new(ErrorKind::Restore, message)
    }
}

/// An I/O error and the path it is about.
pub(crate) fn failed(what: &str, path: &Path, error: std::io::Error) -> Error {
    let lacks_room = millstream_storage::disk::lacks_room(&error);
    let kind = if lacks_room { ErrorKind::Exhausted } else { ErrorKind::Sink };
    Error::new(kind, format!("{}: cannot {what}", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests;
