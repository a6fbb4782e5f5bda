//! Looking at the files of a store from outside, for tools: nothing here is used by a running job.

mod replay;

use std::path::Path;

use crate::delta::{self, DeltaReader};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::snapshot::DeltaFile;

pub use replay::{Record, Replay};

/// What a whole and undamaged file holds.
///
/// ```
/// use millstream_storage::inspect::FileContents;
///
/// let nothing = FileContents::default();
/// assert_eq!(nothing.records + nothing.tombstones, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileContents {
    /// Blocks.
    pub blocks: u64,
    /// Records that set a key, whether they were replaced later or not.
    pub records: u64,
    /// Records that remove a key.
    pub tombstones: u64,
}

/// Reads every byte of a delta file and checks it: its length, each block's checksum and place, the records' lengths.
///
/// ```
/// use std::rc::Rc;
/// use millstream_storage::disk::{Disk, StdDisk, block_on};
/// use millstream_storage::{hash::stable_hash, inspect, store::{Store, StoreConfig}};
///
/// let dir = tempfile::tempdir()?;
/// let disk = Rc::new(StdDisk);
/// let mut store = Store::new(StoreConfig::new("counts", 1));
/// let table = store.create_table(0, 0);
/// store.put(table, stable_hash(b"JFK"), b"JFK", b"8 bytes.")?;
/// let snapshot = block_on(store.seal(1).write(disk.clone(), dir.path().into()))?;
/// let contents = block_on(inspect::verify(&*disk, dir.path(), &snapshot.files[0]))?;
/// assert_eq!((contents.blocks, contents.records), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the disk refuses, or if a byte is not as it was written; the error names the file and the offset.
pub async fn verify(disk: &dyn Disk, dir: &Path, file: &DeltaFile) -> Result<FileContents, StoreError> {
    let mut reader = DeltaReader::open(disk, dir, file).await?;
    let path = reader.path().to_owned();
    let mut contents = FileContents::default();
    while let Some((offset, block)) = reader.next_block().await? {
        contents.blocks += 1;
        for record in delta::records(block) {
            let (_, header) =
                record.map_err(|(at, damage)| StoreError::damaged(&path, offset + at as u64, damage))?;
            match header.is_tombstone() {
                true => contents.tombstones += 1,
                false => contents.records += 1,
            }
        }
    }
    Ok(contents)
}
