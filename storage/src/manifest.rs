//! Small files that must be whole or not there: manifests.
//!
//! A 32-byte envelope precedes the contents; `FORMAT.md` draws it.

use std::path::Path;

use crate::disk::{Disk, OpenMode};
use crate::error::{Damage, StoreError};
use crate::planted;

/// The first eight bytes: the envelope's name and version.
const FORMAT: u64 = u64::from_le_bytes(*b"MSman\x00\x001");
const ENVELOPE: usize = 32;

/// Writes `bytes` to `name` in `dir` so that after a crash the file is either whole or as it was before:
/// [`prepare`], then [`publish`].
///
/// ```
/// use millstream_storage::disk::{StdDisk, block_on};
/// use millstream_storage::manifest::{read_verified, write_atomically};
///
/// # let dir = tempfile::tempdir()?;
/// for contents in [b"first", b"later"] {
///     block_on(write_atomically(&StdDisk, dir.path(), "manifest", contents))?;
///     assert_eq!(block_on(read_verified(&StdDisk, &dir.path().join("manifest")))?, contents);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the disk refuses.
pub async fn write_atomically(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<(), StoreError> {
    prepare(disk, dir, name, bytes).await?;
    publish(disk, dir, name).await
}

/// Writes `bytes` under a temporary name, `<name>.tmp`, and syncs the file.
///
/// Who must do something between the two steps takes them one by one:
///
/// ```
/// use millstream_storage::disk::{StdDisk, block_on};
/// use millstream_storage::manifest::{prepare, publish};
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// block_on(prepare(&StdDisk, dir, "manifest", b"contents"))?;
/// assert!(dir.join("manifest.tmp").exists() && !dir.join("manifest").exists());
/// block_on(publish(&StdDisk, dir, "manifest"))?;
/// assert!(dir.join("manifest").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the disk refuses: `name` is as it was before. What a failed attempt leaves, the next one removes.
pub async fn prepare(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = dir.join(format!("{name}.tmp"));
    match disk.remove(&temporary).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(StoreError::io("remove", &temporary)(error));
        }
        _ => {}
    }
    let opened = disk.open(&temporary, OpenMode::Create).await;
    let file = opened.map_err(StoreError::io("create", &temporary))?;
    file.write_at(0, wrap(bytes).into()).await.map_err(StoreError::io("write", &temporary))?;
    if planted!(no_manifest_sync) {
        return Ok(());
    }
    file.sync().await.map_err(StoreError::io("sync", &temporary))
}

/// Gives a prepared file its name, and makes the name durable; and with it those of all files of `dir` that were
/// synced before.
///
/// # Errors
/// If the disk refuses: nobody knows then, before the next start, which contents `name` has.
pub async fn publish(disk: &dyn Disk, dir: &Path, name: &str) -> Result<(), StoreError> {
    let (path, temporary) = (dir.join(name), dir.join(format!("{name}.tmp")));
    disk.rename(&temporary, &path).await.map_err(StoreError::io("rename to its final name", &temporary))?;
    if planted!(no_manifest_dir_sync) {
        return Ok(());
    }
    disk.sync_dir(dir).await.map_err(StoreError::io("sync the directory of", &path))
}

/// Reads what [`write_atomically`] wrote.
///
/// # Errors
/// If the disk refuses, or if a byte is not as it was written.
pub async fn read_verified(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, StoreError> {
    let file = disk.open(path, OpenMode::Read).await.map_err(StoreError::io("open", path))?;
    let len = file.len().await.map_err(StoreError::io("measure", path))?;
    let bytes = file.read_at(0, len as usize).await.map_err(StoreError::io("read", path))?;
    unwrap(bytes).map_err(|(offset, damage)| StoreError::damaged(path, offset, damage))
}

/// The bytes in an envelope, for who keeps them elsewhere than in a file.
///
/// ```
/// use millstream_storage::manifest::{unwrap, wrap};
///
/// let mut wrapped = wrap(b"contents");
/// assert_eq!(unwrap(wrapped.clone()), Ok(b"contents".to_vec()));
/// wrapped[40 - 1] ^= 1;
/// assert!(unwrap(wrapped).is_err());
/// ```
pub fn wrap(bytes: &[u8]) -> Vec<u8> {
    let mut wrapped = vec![0; ENVELOPE];
    wrapped[..8].copy_from_slice(&FORMAT.to_le_bytes());
    wrapped[16..24].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    wrapped.extend_from_slice(bytes);
    let checksum = checksum(&wrapped);
    wrapped[8..12].copy_from_slice(&checksum.to_le_bytes());
    wrapped
}

/// What is in an envelope.
///
/// # Errors
/// If a byte is not as it was written: where, and what is wrong there.
pub fn unwrap(mut bytes: Vec<u8>) -> Result<Vec<u8>, (u64, Damage)> {
    let found = bytes.len() as u64;
    if bytes.len() < ENVELOPE {
        return Err((found, Damage::Truncated { found, expected: ENVELOPE as u64 }));
    }
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    if word(0) != FORMAT {
        return Err((0, Damage::Format { found: word(0), expected: FORMAT }));
    }
    let expected = word(16).saturating_add(ENVELOPE as u64);
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => return Err((found, Damage::Truncated { found, expected })),
        std::cmp::Ordering::Greater => return Err((expected, Damage::TrailingBytes { found, expected })),
        std::cmp::Ordering::Equal => {}
    }
    let (stored, computed) = (word(8) as u32, checksum(&bytes));
    if stored != computed {
        return Err((8, Damage::Checksum { found: stored, computed }));
    }
    bytes.drain(..ENVELOPE);
    Ok(bytes)
}

/// CRC-32 of everything but its own four bytes.
fn checksum(wrapped: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&wrapped[..8]);
    hasher.update(&wrapped[12..]);
    hasher.finalize()
}
