//! Reading the index of a file, block by block, each verified as a block of records is.

use std::path::Path;

use super::{ENTRY, Entry, GROUP};
use crate::delta::DeltaReader;
use crate::disk::{Disk, SECTOR};
use crate::error::{Damage, StoreError};
use crate::log::block::{self, Header};
use crate::log::record;
use crate::planted;
use crate::snapshot::{DeltaFile, FileIndex};

/// The entries of one block of records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'a> {
    /// Bytes of that block.
    pub(crate) len: u32,
    /// As they stand in the index.
    pub(crate) bytes: &'a [u8],
}

impl Group<'_> {
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> + Clone {
        self.bytes.as_chunks().0.iter().map(Entry::decode)
    }

    /// Whether these can be the records of that block.
    fn fits(&self) -> bool {
        let sizes = self.entries().map(|entry| entry.size());
        let whole = sizes.clone().all(|size| size >= record::HEADER);
        whole && block::HEADER + sizes.sum::<usize>() <= self.len as usize
    }
}

/// The index of a file.
pub(crate) struct IndexReader {
    reader: DeltaReader,
    seed: u64,
    /// How many blocks of records were told of, and their bytes; and how many there are.
    blocks: u32,
    bytes: u64,
    of_file: (u32, u64),
}

impl IndexReader {
    /// Begins to read.
    pub(crate) async fn open(
        disk: &dyn Disk,
        dir: &Path,
        file: &DeltaFile,
        index: FileIndex,
    ) -> Result<IndexReader, StoreError> {
        let reader = DeltaReader::open_index(disk, dir, file).await?;
        let of_file = (file.blocks, file.bytes);
        Ok(IndexReader { reader, seed: index.seed, blocks: 0, bytes: 0, of_file })
    }

    /// What the next block tells, for the blocks of records that follow each other from the last ones on; `None` once all
    /// of them were told of. None of it is given out if any of it makes no sense.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Group<'_>>>, StoreError> {
        let path = self.reader.path().to_owned();
        let Some((at, bytes)) = self.reader.next_block().await? else {
            return match (self.blocks, self.bytes) == self.of_file {
                true => Ok(None),
                false => {
                    let what = format!(
                        "the index tells of {} blocks, and the file has {}",
                        self.blocks, self.of_file.0
                    );
                    Err(StoreError::damaged(&path, self.bytes, Damage::Malformed(what)))
                }
            };
        };
        let left = (self.of_file.0 - self.blocks, self.of_file.1 - self.bytes);
        let groups = groups(bytes, (self.seed, self.blocks), left);
        let groups = groups.map_err(|damage| StoreError::damaged(&path, at, damage))?;
        self.blocks += groups.len() as u32;
        self.bytes += groups.iter().map(|group| u64::from(group.len)).sum::<u64>();
        Ok(Some(groups))
    }
}

/// The groups of a verified block of an index. `must` is the seed, and the number of the block of records that the first is
/// of; `left` how many blocks and bytes there are from that one on.
fn groups(index: &[u8], must: (u64, u32), left: (u32, u64)) -> Result<Vec<Group<'_>>, Damage> {
    let half = |at: usize| u32::from_le_bytes(index[at..at + 4].try_into().expect("four bytes"));
    let header = Header::decode(index[..block::HEADER].try_into().expect("a block has a header"));
    let (first, seed) = (half(52), u64::from(half(56)) | u64::from(half(60)) << 32);
    let fields = [("seed of the index", seed, must.0), ("first block", first.into(), must.1.into())];
    if let Some((field, found, expected)) = fields.into_iter().find(|(_, found, must)| found != must)
        && !planted!(index_trusted)
    {
        return Err(Damage::Misplaced { field, found, expected });
    }
    let malformed = |what: &str| Damage::Malformed(format!("the index tells of {what}"));
    // Behind the last group may be padding up to a multiple of eight, which is shorter than a group.
    let (mut at, used) = (block::HEADER, header.used as usize);
    let (mut found, mut bytes) = (Vec::new(), 0);
    while at + GROUP <= used {
        let (len, count) = (half(at), half(at + 4) as usize);
        let end = count.checked_mul(ENTRY).map_or(usize::MAX, |bytes| at + GROUP + bytes);
        if end > used {
            return Err(malformed("more records than it holds"));
        }
        let group = Group { len, bytes: &index[at + GROUP..end] };
        if len == 0 || !(len as usize).is_multiple_of(SECTOR) || !group.fits() {
            return Err(malformed("a block that cannot be one"));
        }
        bytes += u64::from(len);
        if found.len() >= left.0 as usize || bytes > left.1 {
            return Err(malformed("more blocks than the file has"));
        }
        found.push(group);
        at = end;
    }
    if found.is_empty() {
        return Err(malformed("no block"));
    }
    Ok(found)
}
