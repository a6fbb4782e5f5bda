//! A store's records out of its files, one after the other, in no more memory than a block needs.

use std::collections::BTreeMap;
use std::path::Path;
use std::vec;

use crate::delta::{self, DeltaReader};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::snapshot::{DeltaFile, StoreSnapshot, TableEntry};
use crate::store::check_snapshot;

/// The records of the live tables of a snapshot, in the order in which they were written: a later one of a key replaces
/// an earlier one.
///
/// ```
/// use std::rc::Rc;
/// use millstream_storage::disk::{StdDisk, block_on};
/// use millstream_storage::inspect::{Record, Replay};
/// use millstream_storage::{hash::stable_hash, store::{Store, StoreConfig}};
///
/// let dir = tempfile::tempdir()?;
/// let disk = Rc::new(StdDisk);
/// let mut store = Store::new(StoreConfig::new("counts", 1));
/// let table = store.create_table(7, 0);
/// let mut snapshot = block_on(store.seal(1).write(disk.clone(), dir.path().into()))?;
/// for (epoch, value) in [(2, b"1"), (3, b"2")] {
///     store.put(table, stable_hash(b"JFK"), b"JFK", value)?;
///     snapshot = block_on(store.seal(epoch).write(disk.clone(), dir.path().into()))?;
///     store.flushed(epoch, &snapshot);
/// }
///
/// let mut seen = Vec::new();
/// let mut replay = Replay::new(&*disk, dir.path(), &snapshot)?;
/// let mut visit = |record: Record<'_>| seen.push((record.table.state, record.value.map(<[u8]>::to_vec)));
/// while let Some(bytes) = block_on(replay.step(&mut visit))? {
///     assert_eq!(bytes % 4096, 0);
/// }
/// assert_eq!(seen, [(7, Some(b"1".to_vec())), (7, Some(b"2".to_vec()))]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Replay<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    tables: BTreeMap<u32, TableEntry>,
    files: vec::IntoIter<DeltaFile>,
    reader: Option<DeltaReader>,
}

/// A record of a live table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'r> {
    /// Its table.
    pub table: &'r TableEntry,
    /// Its key: of a collection's record, the owner's with the part's number behind it.
    pub key: &'r [u8],
    /// Its value, or `None` if it says that the key is removed.
    pub value: Option<&'r [u8]>,
}

impl<'a> Replay<'a> {
    /// The records of `part`, whose files lie in `dir`. Leave tables out of it, and their records are passed over.
    ///
    /// # Errors
    /// If the snapshot is of another format, or contradicts itself.
    pub fn new(disk: &'a dyn Disk, dir: &'a Path, part: &StoreSnapshot) -> Result<Replay<'a>, StoreError> {
        check_snapshot(part)?;
        let tables = part.tables.iter().map(|table| (table.id, table.clone())).collect();
        Ok(Replay { disk, dir, tables, files: part.files.clone().into_iter(), reader: None })
    }

    /// Reads the next block, verifies it, and visits its records. Returns how many bytes were read, or `None` at the
    /// end.
    ///
    /// # Errors
    /// If the disk refuses, or a byte is not as it was written; the error names the file and the offset.
    pub async fn step(&mut self, mut visit: impl FnMut(Record<'_>)) -> Result<Option<u64>, StoreError> {
        loop {
            if self.reader.is_none() {
                let Some(file) = self.files.next() else { return Ok(None) };
                self.reader = Some(DeltaReader::open(self.disk, self.dir, &file).await?);
            }
            let reader = self.reader.as_mut().expect("it has just been opened");
            let path = reader.path().to_owned();
            let Some((offset, block)) = reader.next_block().await? else {
                self.reader = None;
                continue;
            };
            for record in delta::records(block) {
                let (at, header) =
                    record.map_err(|(at, damage)| StoreError::damaged(&path, offset + at as u64, damage))?;
                let Some(table) = self.tables.get(&header.table) else { continue };
                let (key, value) = delta::key_and_value(block, at, header);
                let value = (!header.is_tombstone()).then_some(value);
                let checked = table.layout.check(key.len(), value.map(<[u8]>::len));
                checked.map_err(|damage| StoreError::damaged(&path, offset + at as u64, damage))?;
                visit(Record { table, key, value });
            }
            return Ok(Some(block.len() as u64));
        }
    }
}
