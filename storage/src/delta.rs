//! Reading a delta file back: no byte is given out before it was verified.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::disk::{Disk, File, OpenMode};
use crate::error::{Damage, StoreError};
use crate::log::block::{self, Header, Identity};
use crate::log::record;
use crate::planted;
use crate::snapshot::DeltaFile;

/// Bytes read at a time, and at least a block.
const READ: usize = 1 << 20;

/// A delta file, block by block.
pub(crate) struct DeltaReader {
    file: Rc<dyn File>,
    path: PathBuf,
    expected: DeltaFile,
    /// What the next block must say of itself.
    next: Identity,
    /// Bytes of the file from `chunk_start` on.
    chunk: Vec<u8>,
    chunk_start: u64,
}

impl DeltaReader {
    /// Opens the file and checks its length.
    pub(crate) async fn open(
        disk: &dyn Disk,
        dir: &Path,
        expected: &DeltaFile,
    ) -> Result<DeltaReader, StoreError> {
        let path = dir.join(&expected.name);
        let file = disk.open(&path, OpenMode::Read).await.map_err(StoreError::io("open", &path))?;
        let found = file.len().await.map_err(StoreError::io("measure", &path))?;
        let wrong = |at, damage| Err(StoreError::damaged(&path, at, damage));
        match found.cmp(&expected.bytes) {
            std::cmp::Ordering::Less => wrong(found, Damage::Truncated { found, expected: expected.bytes })?,
            std::cmp::Ordering::Greater => {
                wrong(expected.bytes, Damage::TrailingBytes { found, expected: expected.bytes })?
            }
            std::cmp::Ordering::Equal => {}
        }
        let next = Identity {
            store: expected.store_id,
            epoch: expected.epoch,
            offset: 0,
            index: 0,
            part: expected.part,
        };
        Ok(DeltaReader { file, path, expected: expected.clone(), next, chunk: Vec::new(), chunk_start: 0 })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next block, verified, with its place in the file; `None` at the end.
    pub(crate) async fn next_block(&mut self) -> Result<Option<(u64, &[u8])>, StoreError> {
        let offset = self.next.offset;
        if offset == self.expected.bytes {
            let (found, expected) = (u64::from(self.next.index), u64::from(self.expected.blocks));
            return if found == expected {
                Ok(None)
            } else {
                Err(self.damaged(Damage::Misplaced { field: "number of blocks", found, expected }))
            };
        }
        if self.expected.bytes - offset < block::HEADER as u64 {
            let left = self.expected.bytes - offset;
            return Err(
                self.damaged(Damage::Malformed(format!("{left} bytes are left, too few for a block")))
            );
        }
        self.fill(block::HEADER).await?;
        let header = self.header();
        check_lengths(&header, self.expected.bytes - offset).map_err(|damage| self.damaged(damage))?;
        self.fill(header.len as usize).await?;
        check_block(self.unread(), self.next).map_err(|damage| self.damaged(damage))?;
        self.next.offset += u64::from(header.len);
        self.next.index += 1;
        let start = (offset - self.chunk_start) as usize;
        Ok(Some((offset, &self.chunk[start..start + header.len as usize])))
    }

    /// Makes `len` bytes from the next block's start available.
    async fn fill(&mut self, len: usize) -> Result<(), StoreError> {
        let offset = self.next.offset;
        if offset + len as u64 <= self.chunk_start + self.chunk.len() as u64 {
            return Ok(());
        }
        let left = usize::try_from(self.expected.bytes - offset).unwrap_or(usize::MAX);
        let wanted = READ.max(len).min(left);
        let read = self.file.read_at(offset, wanted).await.map_err(StoreError::io("read", &self.path))?;
        self.chunk = read;
        self.chunk_start = offset;
        if self.chunk.len() < wanted {
            let found = offset + self.chunk.len() as u64;
            return Err(self.damaged(Damage::Truncated { found, expected: self.expected.bytes }));
        }
        Ok(())
    }

    fn unread(&self) -> &[u8] {
        &self.chunk[(self.next.offset - self.chunk_start) as usize..]
    }

    fn header(&self) -> Header {
        Header::decode(self.unread()[..block::HEADER].try_into().expect("`fill` provided a header"))
    }

    fn damaged(&self, damage: Damage) -> StoreError {
        StoreError::damaged(&self.path, self.next.offset, damage)
    }
}

fn check_lengths(header: &Header, left: u64) -> Result<(), Damage> {
    if header.format != block::FORMAT {
        return Err(Damage::Format { found: header.format, expected: block::FORMAT });
    }
    if !header.lengths_fit() || u64::from(header.len) > left {
        let (len, used) = (header.len, header.used);
        let what = format!("a block of {len} bytes, {used} used, cannot be where {left} bytes are left");
        return Err(Damage::Malformed(what));
    }
    Ok(())
}

/// Verifies the block that `bytes` begin with: that it is whole, unchanged, and where it belongs. Returns its length.
pub(crate) fn check_block(bytes: &[u8], must: Identity) -> Result<usize, Damage> {
    let Some(header) = bytes.first_chunk().map(Header::decode) else {
        return Err(Damage::Malformed(format!("{} bytes are left, too few for a block", bytes.len())));
    };
    check_lengths(&header, bytes.len() as u64)?;
    let computed = block::checksum(&bytes[..header.len as usize]);
    if computed != header.checksum && !planted!(no_checksum) {
        return Err(Damage::Checksum { found: header.checksum, computed });
    }
    let is = header.identity;
    let fields = [
        ("store id", is.store, must.store),
        ("epoch", is.epoch, must.epoch),
        ("number of the file", u64::from(is.part), u64::from(must.part)),
        ("offset in the file", is.offset, must.offset),
        ("number of the block", u64::from(is.index), u64::from(must.index)),
    ];
    match fields.into_iter().find(|(_, found, expected)| found != expected) {
        Some((field, found, expected)) => Err(Damage::Misplaced { field, found, expected }),
        None => Ok(header.len as usize),
    }
}

/// The records of a verified block, as offsets in it and headers.
pub(crate) fn records(
    block: &[u8],
) -> impl Iterator<Item = Result<(usize, record::Header), (usize, Damage)>> {
    let header = block[..block::HEADER].try_into().expect("a verified block is longer than its header");
    let used = Header::decode(header).used as usize;
    let mut at = block::HEADER;
    std::iter::from_fn(move || {
        if at >= used {
            return None;
        }
        let start = at;
        let word = u64::from_ne_bytes(block[at..at + 8].try_into().expect("`used` is a multiple of eight"));
        let header = record::Header::from_word(word);
        at += header.size();
        if at > used {
            let what = format!("a record of {} bytes reaches beyond its block", header.size());
            at = used;
            return Some(Err((start, Damage::Malformed(what))));
        }
        Some(Ok((start, header)))
    })
}

/// The key and the value of the record that [`records`] has found at an offset of a block.
pub(crate) fn key_and_value(block: &[u8], at: usize, header: record::Header) -> (&[u8], &[u8]) {
    let key = at + record::HEADER;
    let value = key + header.key_len().next_multiple_of(8);
    (&block[key..key + header.key_len()], &block[value..value + header.value_len()])
}
