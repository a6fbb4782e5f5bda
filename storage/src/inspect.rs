//! Looking at the files of a store from outside, for tools: nothing here is used by a running job.

mod replay;

use std::collections::VecDeque;
use std::path::Path;

use crate::delta::{self, DeltaReader};
use crate::disk::Disk;
use crate::error::{Damage, StoreError};
use crate::file_index::entries_of;
use crate::file_index::read::IndexReader;
use crate::snapshot::{DeltaFile, FileIndex};

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

/// Reads every byte of a delta file and checks it: its length, each block's checksum and place, the records' lengths; and,
/// if it has an index that is not known to be damaged, that this tells what the blocks hold.
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
    let mut index = match file.index.filter(|index| !index.damaged) {
        Some(index) => Some(Told::open(disk, dir, file, index).await?),
        None => None,
    };
    while let Some((offset, block)) = reader.next_block().await? {
        contents.blocks += 1;
        if let Some(index) = &mut index {
            index.check(&path, offset, block).await?;
        }
        for record in delta::records(block) {
            let (_, header) =
                record.map_err(|(at, damage)| StoreError::damaged(&path, offset + at as u64, damage))?;
            match header.is_tombstone() {
                true => contents.tombstones += 1,
                false => contents.records += 1,
            }
        }
    }
    if let Some(index) = &mut index {
        index.check_end().await?;
    }
    Ok(contents)
}

/// What the index of a file tells of its blocks, one after the other.
struct Told {
    reader: IndexReader,
    seed: u64,
    /// By block: its length, and its entries.
    next: VecDeque<(u32, Vec<u8>)>,
}

impl Told {
    async fn open(
        disk: &dyn Disk,
        dir: &Path,
        file: &DeltaFile,
        index: FileIndex,
    ) -> Result<Told, StoreError> {
        let reader = IndexReader::open(disk, dir, file, index).await?;
        Ok(Told { reader, seed: index.seed, next: VecDeque::new() })
    }

    /// Compares what is told of the next block with what the block holds.
    async fn check(&mut self, path: &Path, offset: u64, block: &[u8]) -> Result<(), StoreError> {
        if self.next.is_empty() {
            self.read_on().await?;
        }
        let mut entries = Vec::new();
        entries_of(block, self.seed, &mut entries)
            .map_err(|(at, damage)| StoreError::damaged(path, offset + at as u64, damage))?;
        if self.next.pop_front() != Some((block.len() as u32, entries)) {
            let what = "the index of the file tells of other records than are in the block".to_owned();
            return Err(StoreError::damaged(path, offset, Damage::Malformed(what)));
        }
        Ok(())
    }

    /// Reads the end of the index, behind which nothing may be told.
    async fn check_end(&mut self) -> Result<(), StoreError> {
        self.read_on().await
    }

    async fn read_on(&mut self) -> Result<(), StoreError> {
        let groups = self.reader.next().await?.unwrap_or_default();
        self.next.extend(groups.iter().map(|group| (group.len, group.bytes.to_vec())));
        Ok(())
    }
}
