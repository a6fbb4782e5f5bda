//! Commits the beginning of a file: as much of it as a checkpoint knows.

use std::path::Path;

use crc32fast::Hasher;
use millstream_storage::disk::{Disk, File, OpenMode, SharedBytes};

use super::names::of_cut;
use super::publish::rename;
use super::{PendingFile, failed};
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are copied at once.
const COPY_BYTES: usize = 256 << 10;

/// Copies the first bytes of an open file, and gives the copy the final name. The file itself stays: it is removed when
/// that name is durable. A copy that a crash left unfinished was removed before.
pub(super) async fn cut(disk: &dyn Disk, dir: &Path, file: &PendingFile) -> Result<()> {
    let (source, name) = (dir.join(&file.pending), of_cut(&file.pending, file.bytes));
    let path = dir.join(&name);
    let from = disk.open(&source, OpenMode::Read).await.map_err(|error| failed("open it", &source, error))?;
    let to = disk.open(&path, OpenMode::Create).await.map_err(|error| failed("create it", &path, error))?;
    let sum = copy(&*from, &*to, file.bytes)
        .await
        .map_err(|error| failed(&format!("copy {} bytes to {name}", file.bytes), &source, error))?;
    if Some(sum) != file.open {
        let (source, bytes) = (source.display(), file.bytes);
        return Err(Error::new(
            ErrorKind::Restore,
            format!(
                "{source}: its first {bytes} bytes are not those that the checkpoint knows: the file is damaged; \
                 put back what it was, or start without the checkpoint"
            ),
        ));
    }
    to.sync().await.map_err(|error| failed("sync it", &path, error))?;
    rename(disk, dir, &PendingFile { pending: name, ..file.clone() }).await
}

/// Returns the CRC-32 of what it copied.
async fn copy(from: &dyn File, to: &dyn File, bytes: u64) -> std::io::Result<u32> {
    let (mut sum, mut done) = (Hasher::new(), 0);
    while done < bytes {
        let chunk = from.read_at(done, COPY_BYTES.min((bytes - done) as usize)).await?;
        if chunk.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        sum.update(&chunk);
        let len = chunk.len() as u64;
        to.write_at(done, SharedBytes::from(chunk)).await?;
        done += len;
    }
    Ok(sum.finalize())
}
