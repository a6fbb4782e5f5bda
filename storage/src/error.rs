//! What can go wrong between the store and the disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::TooLarge;

/// A failed write, or something on disk that must not be used.
///
/// ```
/// use millstream_storage::disk::{StdDisk, block_on};
/// use millstream_storage::error::{Damage, StoreError};
/// use millstream_storage::manifest::{read_verified, write_atomically};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("names");
/// block_on(write_atomically(&StdDisk, dir.path(), "names", b"Ada, Grace"))?;
/// let mut bytes = std::fs::read(&path)?;
/// bytes[40] ^= 1;
/// std::fs::write(&path, bytes)?;
///
/// let error = block_on(read_verified(&StdDisk, &path)).unwrap_err();
/// assert!(matches!(error, StoreError::Damaged { damage: Damage::Checksum { .. }, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An operation of the disk failed.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "create", "read", "sync", ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the disk answered.
        source: io::Error,
    },
    /// Bytes on disk are not what was written there.
    #[error(
        "{} is damaged at byte {offset}: {damage}; nothing of it was used: put back this file from a backup, or \
         restore from another checkpoint by name", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What differs.
        damage: Damage,
    },
    /// A snapshot that this version or configuration cannot take.
    #[error("the snapshot of store {store:?} cannot be restored: {reason}")]
    Refused {
        /// The store's name in the snapshot.
        store: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A record does not fit into this store.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// How bytes differ from what was written.
///
/// ```
/// use millstream_storage::error::Damage;
///
/// let damage = Damage::Truncated { found: 4096, expected: 16384 };
/// assert_eq!(damage.to_string(), "the file ends after 4096 of 16384 bytes");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The first bytes are not those of this format.
    #[error("it begins with {found:#018x}, not with the mark of this format, {expected:#018x}")]
    Format {
        /// What is there.
        found: u64,
        /// What should be.
        expected: u64,
    },
    /// The checksum does not match the contents.
    #[error("its checksum is {found:#010x}, but its bytes give {computed:#010x}")]
    Checksum {
        /// What is there.
        found: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A field that tells where a block belongs names another place: a misdirected, stale or swapped write.
    #[error("the {field} is {found}, but must be {expected}")]
    Misplaced {
        /// Which field.
        field: &'static str,
        /// What is there.
        found: u64,
        /// What should be.
        expected: u64,
    },
    /// The file ends too early.
    #[error("the file ends after {found} of {expected} bytes")]
    Truncated {
        /// Length of the file in bytes.
        found: u64,
        /// Length that was written.
        expected: u64,
    },
    /// The file is longer than it was written.
    #[error("the file has {found} bytes, but {expected} were written")]
    TrailingBytes {
        /// Length of the file in bytes.
        found: u64,
        /// Length that was written.
        expected: u64,
    },
    /// Bytes that pass their checksum and still make no sense.
    #[error("{0}")]
    Malformed(String),
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { action, path, source }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, damage: Damage) -> StoreError {
        StoreError::Damaged { path: path.to_owned(), offset, damage }
    }
}
