//! Reading a delta file back: no byte is given out before it was verified.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::disk::{Buffer, Disk, File, Io, OpenMode, SECTOR};
use crate::error::{Damage, StoreError};
use crate::file_index;
use crate::log::block::{self, Header, Identity};
use crate::log::record;
use crate::planted;
use crate::snapshot::DeltaFile;
use crate::writer::yield_once;

/// Bytes of one read, but for those of a smaller file: large enough for the disk, small enough to stay in a core's cache
/// while they are verified.
const READ: usize = 512 << 10;
/// Reads under way at a time.
const IN_FLIGHT: usize = 4;

/// A delta file, block by block, with reads under way ahead of the block that is looked at.
pub(crate) struct DeltaReader {
    file: Rc<dyn File>,
    path: PathBuf,
    expected: DeltaFile,
    /// What the next block must say of itself, and how many bytes and blocks are read up to the end.
    next: Identity,
    format: u64,
    end: u64,
    /// How many there are up to the end, if that is known.
    blocks: Option<u32>,
    /// Reads that are under way, in the order of the file, and where the next one begins.
    under_way: VecDeque<Io<(Buffer, usize)>>,
    asked: u64,
    /// What is read of the file from the next block on: the rest of a buffer, unless something was carried.
    chunk: Option<Chunk>,
    /// A block, or its beginning, that lies in more than one buffer.
    carried: Vec<u8>,
    spare: Option<Buffer>,
}

/// What a read has brought.
struct Chunk {
    buffer: Buffer,
    /// Its bytes up to the first were looked at; those from the second on are not of the file.
    from: usize,
    end: usize,
}

impl Chunk {
    fn rest(&self) -> &[u8] {
        &self.buffer.as_slice()[self.from..self.end]
    }
}

/// Opens a file and checks its length.
pub(crate) async fn open(
    disk: &dyn Disk,
    dir: &Path,
    expected: &DeltaFile,
) -> Result<(Rc<dyn File>, PathBuf), StoreError> {
    let path = dir.join(&expected.name);
    let file = disk.open(&path, OpenMode::ReadDirect).await.map_err(StoreError::io("open", &path))?;
    let found = file.len().await.map_err(StoreError::io("measure", &path))?;
    let wrong = |at, damage| Err(StoreError::damaged(&path, at, damage));
    let expected = expected.file_bytes();
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => wrong(found, Damage::Truncated { found, expected })?,
        std::cmp::Ordering::Greater => wrong(expected, Damage::TrailingBytes { found, expected })?,
        std::cmp::Ordering::Equal => {}
    }
    Ok((file, path))
}

impl DeltaReader {
    /// Opens the file, checks its length, and begins to read its blocks.
    pub(crate) async fn open(
        disk: &dyn Disk,
        dir: &Path,
        expected: &DeltaFile,
    ) -> Result<DeltaReader, StoreError> {
        DeltaReader::open_rest(disk, dir, expected, (0, 0)).await
    }

    /// As [`DeltaReader::open`], without the first blocks: so many bytes and blocks.
    pub(crate) async fn open_rest(
        disk: &dyn Disk,
        dir: &Path,
        expected: &DeltaFile,
        (offset, index): (u64, u32),
    ) -> Result<DeltaReader, StoreError> {
        let ends = (block::FORMAT, expected.bytes, Some(expected.blocks));
        Ok(DeltaReader::new(open(disk, dir, expected).await?, expected, (offset, index), ends))
    }

    /// Opens the file, checks its length, and begins to read the blocks of its index.
    pub(crate) async fn open_index(
        disk: &dyn Disk,
        dir: &Path,
        expected: &DeltaFile,
    ) -> Result<DeltaReader, StoreError> {
        let end = expected.file_bytes();
        let ends = (file_index::FORMAT, end, None);
        Ok(DeltaReader::new(open(disk, dir, expected).await?, expected, (expected.bytes, 0), ends))
    }

    fn new(
        (file, path): (Rc<dyn File>, PathBuf),
        expected: &DeltaFile,
        (offset, index): (u64, u32),
        (format, end, blocks): (u64, u64, Option<u32>),
    ) -> DeltaReader {
        let &DeltaFile { store_id: store, epoch, part, .. } = expected;
        let mut reader = DeltaReader {
            file,
            path,
            expected: expected.clone(),
            next: Identity { store, epoch, offset, index, part },
            format,
            end,
            blocks,
            under_way: VecDeque::with_capacity(IN_FLIGHT),
            asked: offset,
            chunk: None,
            carried: Vec::new(),
            spare: None,
        };
        reader.read_ahead();
        reader
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the snapshot says of it.
    pub(crate) fn file(&self) -> &DeltaFile {
        &self.expected
    }

    /// The next block, verified, with its place in the file; `None` at the end.
    pub(crate) async fn next_block(&mut self) -> Result<Option<(u64, &[u8])>, StoreError> {
        self.carried.clear();
        let offset = self.next.offset;
        if offset == self.end {
            let found = u64::from(self.next.index);
            let expected = self.blocks.map_or(found, u64::from);
            return if found == expected {
                Ok(None)
            } else {
                Err(self.damaged(Damage::Misplaced { field: "number of blocks", found, expected }))
            };
        }
        if self.end - offset < block::HEADER as u64 {
            let left = self.end - offset;
            return Err(
                self.damaged(Damage::Malformed(format!("{left} bytes are left, too few for a block")))
            );
        }
        self.fill(block::HEADER).await?;
        let header = self.header();
        check_lengths(&header, self.format, self.end - offset).map_err(|damage| self.damaged(damage))?;
        let len = header.len as usize;
        self.fill(len).await?;
        check_block_of(self.format, &self.unread()[..len], self.next)
            .map_err(|damage| self.damaged(damage))?;
        self.next.offset += u64::from(header.len);
        self.next.index += 1;
        if !self.carried.is_empty() {
            return Ok(Some((offset, &self.carried)));
        }
        let chunk = self.chunk.as_mut().expect("`fill` provided a block");
        chunk.from += len;
        Ok(Some((offset, &chunk.buffer.as_slice()[chunk.from - len..chunk.from])))
    }

    /// Makes `len` bytes from the next block's start available.
    async fn fill(&mut self, len: usize) -> Result<(), StoreError> {
        if self.unread().len() >= len {
            return Ok(());
        }
        while self.carried.len() < len {
            if self.chunk.as_ref().is_none_or(|chunk| chunk.rest().is_empty()) {
                self.next_chunk().await?;
            }
            let chunk = self.chunk.as_mut().expect("it was just read");
            let missing = len - self.carried.len();
            if self.carried.is_empty() && chunk.rest().len() >= missing {
                return Ok(());
            }
            let part = chunk.rest().len().min(missing);
            self.carried.extend_from_slice(&chunk.rest()[..part]);
            chunk.from += part;
        }
        Ok(())
    }

    /// Waits for the next read.
    async fn next_chunk(&mut self) -> Result<(), StoreError> {
        self.spare = self.chunk.take().map(|chunk| chunk.buffer);
        self.read_ahead();
        // A read that was begun gets on its way when other tasks of the core have run.
        yield_once().await;
        let read = self.under_way.pop_front().expect("blocks do not reach beyond the file's end");
        let (buffer, end) = read.await.map_err(StoreError::io("read", &self.path))?;
        let read_before = self.next.offset + self.carried.len() as u64;
        let wanted = (self.end - read_before).min(buffer.as_slice().len() as u64);
        if (end as u64) < wanted {
            let found = read_before + end as u64;
            return Err(self.damaged(Damage::Truncated { found, expected: self.end }));
        }
        self.chunk = Some(Chunk { buffer, from: 0, end: wanted as usize });
        self.read_ahead();
        Ok(())
    }

    /// Keeps as many reads under way as may be.
    fn read_ahead(&mut self) {
        while self.under_way.len() < IN_FLIGHT && self.asked < self.end {
            let left = self.end - self.asked;
            let len = left.min(READ as u64).next_multiple_of(SECTOR as u64);
            let fits = |buffer: &Buffer| buffer.as_slice().len() as u64 == len;
            let buffer = self.spare.take().filter(fits).unwrap_or_else(|| Buffer::new(len as usize));
            self.under_way.push_back(self.file.read_into(self.asked, buffer));
            self.asked += len;
        }
    }

    /// What is available from the next block's start on.
    fn unread(&self) -> &[u8] {
        match &self.chunk {
            _ if !self.carried.is_empty() => &self.carried,
            Some(chunk) => chunk.rest(),
            None => &[],
        }
    }

    fn header(&self) -> Header {
        Header::decode(self.unread()[..block::HEADER].try_into().expect("`fill` provided a header"))
    }

    fn damaged(&self, damage: Damage) -> StoreError {
        StoreError::damaged(&self.path, self.next.offset, damage)
    }
}

fn check_lengths(header: &Header, expected: u64, left: u64) -> Result<(), Damage> {
    if header.format != expected {
        return Err(Damage::Format { found: header.format, expected });
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
    check_block_of(block::FORMAT, bytes, must)
}

/// As [`check_block`], for a block of records or of an index.
fn check_block_of(format: u64, bytes: &[u8], must: Identity) -> Result<usize, Damage> {
    let Some(header) = bytes.first_chunk().map(Header::decode) else {
        return Err(Damage::Malformed(format!("{} bytes are left, too few for a block", bytes.len())));
    };
    check_lengths(&header, format, bytes.len() as u64)?;
    if format == file_index::FORMAT && planted!(index_trusted) {
        return Ok(header.len as usize);
    }
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
