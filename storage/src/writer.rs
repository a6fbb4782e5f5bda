//! Writing blocks: the state's own memory goes to disk, block by block, in large writes.

use std::future::poll_fn;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use crate::disk::{Disk, File, Io, OpenMode, SharedBytes};
use crate::error::StoreError;
use crate::file_index::build::{self, Builder, Full};
use crate::log::block::{self, Header, Identity};
use crate::log::pending::{Range, Ranges};
use crate::memory::Pages;
use crate::planted;
use crate::snapshot::{DeltaFile, FileIndex, file_name};

/// Bytes of one write: large enough for the disk, and its checksums take no more than some 50 µs of the core.
const WRITE: usize = 512 << 10;
/// Writes under way at a time.
const IN_FLIGHT: usize = 4;

/// What a new file is called, and what its blocks say of it.
#[derive(Clone, Copy)]
pub(crate) struct NewFile<'a> {
    /// The store's name and id.
    pub(crate) name: &'a str,
    pub(crate) store: u64,
    pub(crate) epoch: u64,
    pub(crate) part: u32,
    /// The seed of its index, if it may have one.
    pub(crate) seed: Option<u64>,
}

/// Writes ranges into a new file of `dir` and syncs it, but not the directory.
///
/// # Errors
/// If the disk refuses: the file is then abandoned.
pub(crate) async fn write_file(
    disk: &dyn Disk,
    dir: &Path,
    new: NewFile<'_>,
    ranges: &Ranges,
) -> Result<DeltaFile, StoreError> {
    let name = file_name(new.name, new.epoch, new.part);
    let path = dir.join(&name);
    let opened = disk.open(&path, OpenMode::CreateDirect).await;
    let file = opened.map_err(StoreError::io("create", &path))?;
    let mut writer = Writer::new(file, new, ranges);
    let written = writer.write_all(ranges, &path).await;
    // Nothing may be under way when this returns, so that a failure is over when it is reported.
    let finished = writer.finish(&path).await;
    written.and(finished)?;
    if !planted!(no_delta_sync) {
        let mut synced = writer.file.sync().await;
        while planted!(sync_again) && synced.is_err() {
            synced = writer.file.sync().await;
        }
        synced.map_err(StoreError::io("sync", &path))?;
    }
    Ok(writer.delta_file(name))
}

/// One delta file being written.
struct Writer {
    file: Rc<dyn File>,
    under_way: Vec<Io<()>>,
    /// Where the next block belongs.
    next: Identity,
    index: Option<Index>,
}

/// The index of a file being written: its blocks are written behind where the file's own are going to end.
struct Index {
    builder: Builder,
    seed: u64,
    begins: u64,
    /// Where its next block belongs.
    next: Identity,
}

impl Writer {
    fn new(file: Rc<dyn File>, new: NewFile<'_>, ranges: &Ranges) -> Writer {
        let NewFile { store, epoch, part, .. } = new;
        let next = Identity { store, epoch, offset: 0, index: 0, part };
        let seed = new.seed.filter(|_| build::is_worth_it(ranges));
        let begins = ranges.iter().map(|(at, range)| u64::from(range.end - at.1)).sum();
        let of_index = |seed| Index {
            builder: Builder::new(seed),
            seed,
            begins,
            next: Identity { offset: begins, ..next },
        };
        Writer { file, under_way: Vec::new(), next, index: seed.map(of_index) }
    }

    async fn write_all(&mut self, ranges: &Ranges, path: &Path) -> Result<(), StoreError> {
        for ((_, start), range) in ranges {
            let mut from = *start;
            while from < range.end {
                let offset = self.next.offset;
                let bytes = self.next_write(range, &mut from);
                let full = self.index.as_mut().map_or(Vec::new(), |index| index.add(bytes.as_slice()));
                self.write(offset, bytes, path).await?;
                for (offset, bytes) in full {
                    self.write(offset, bytes, path).await?;
                }
                yield_once().await;
            }
        }
        if let Some((offset, bytes)) = self.index.as_mut().and_then(Index::finish) {
            self.write(offset, bytes, path).await?;
        }
        Ok(())
    }

    /// Begins a write once few enough are under way.
    async fn write(&mut self, offset: u64, bytes: SharedBytes, path: &Path) -> Result<(), StoreError> {
        self.under_way.push(self.file.write_at(offset, bytes));
        while self.under_way.len() >= IN_FLIGHT {
            self.one_done().await.map_err(StoreError::io("write", path))?;
        }
        Ok(())
    }

    /// Places the blocks of a range from `from` on, up to one write, and moves `from` behind them.
    fn next_write(&mut self, range: &Range, from: &mut u32) -> SharedBytes {
        let (start, mut end) = (*from as usize, *from as usize);
        while end < range.end as usize {
            // SAFETY: blocks lie one behind the other up to the range's end, each with its header.
            let len = unsafe { block_len(range.memory.as_ptr().add(end)) };
            if end > start && end + len - start > WRITE {
                break;
            }
            end += len;
        }
        *from = end as u32;
        let (memory, at) = match range.shared {
            true => (copy(&range.memory, start, end), 0),
            false => (range.memory.clone(), start),
        };
        let mut placed = 0;
        while placed < end - start {
            // SAFETY: as above. The blocks lie below the seal line, where the store only reads, and reads no
            // header's identity; nothing else reads them, as this is their first write, or a copy.
            placed += unsafe { self.place(memory.as_ptr().add(at + placed)) };
        }
        // SAFETY: sealed blocks do not change while they are allocated: a later write of the same blocks places
        // its headers in a copy.
        unsafe { SharedBytes::new(memory.clone(), memory.as_ptr().add(at), end - start) }
    }

    /// Fills in where a block belongs, and its checksum. Returns its length.
    ///
    /// # Safety
    /// `start` must point to a whole block that nothing else reads or writes meanwhile.
    unsafe fn place(&mut self, start: *mut u8) -> usize {
        // SAFETY: the caller's promise: a block is at least a header long.
        let mut header = Header::decode(&unsafe { start.cast::<[u8; block::HEADER]>().read() });
        header.identity = self.next;
        let len = header.len as usize;
        // SAFETY: the caller's promise; the slice ends before the header is written again.
        header.checksum = unsafe {
            start.cast::<[u8; block::HEADER]>().write(header.encode());
            block::checksum(std::slice::from_raw_parts(start, len))
        };
        // SAFETY: as above.
        unsafe { start.cast::<[u8; block::HEADER]>().write(header.encode()) };
        self.next.offset += len as u64;
        self.next.index += 1;
        len
    }

    /// Waits for any write.
    async fn one_done(&mut self) -> std::io::Result<()> {
        let under_way = &mut self.under_way;
        poll_fn(|context| {
            for i in 0..under_way.len() {
                if let Poll::Ready(result) = under_way[i].as_mut().poll(context) {
                    drop(under_way.swap_remove(i));
                    return Poll::Ready(result);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Waits for all writes. Reports the first error.
    async fn finish(&mut self, path: &Path) -> Result<(), StoreError> {
        let mut result = Ok(());
        while !self.under_way.is_empty() {
            let done = self.one_done().await.map_err(StoreError::io("write", path));
            result = result.and(done);
        }
        result
    }

    fn delta_file(&self, name: String) -> DeltaFile {
        let Identity { store, epoch, offset, index, part } = self.next;
        let of_index = |index: &Index| FileIndex {
            bytes: index.next.offset - index.begins,
            seed: index.seed,
            damaged: false,
        };
        let file_index = self.index.as_ref().map(of_index);
        DeltaFile { name, epoch, bytes: offset, blocks: index, store_id: store, part, index: file_index }
    }
}

impl Index {
    /// Adds the records of blocks that lie one behind the other. Returns what is to be written where.
    fn add(&mut self, blocks: &[u8]) -> Vec<(u64, SharedBytes)> {
        let (mut rest, mut out) = (blocks, Vec::new());
        while let Some(header) = rest.first_chunk().map(Header::decode) {
            let (block, behind) = rest.split_at(header.len as usize);
            if let Some(full) = self.builder.add(block) {
                out.push(self.place(full));
            }
            rest = behind;
        }
        out
    }

    /// What is left to be written.
    fn finish(&mut self) -> Option<(u64, SharedBytes)> {
        let last = std::mem::replace(&mut self.builder, Builder::new(self.seed)).finish();
        last.map(|full| self.place(full))
    }

    fn place(&mut self, full: Full) -> (u64, SharedBytes) {
        let (offset, bytes) = (self.next.offset, full.place(self.next));
        self.next.offset += bytes.len() as u64;
        self.next.index += 1;
        (offset, direct(&bytes))
    }
}

/// A copy in memory that begins with a page.
fn direct(bytes: &[u8]) -> SharedBytes {
    let memory = Pages::zeroed(bytes.len(), false);
    // SAFETY: the memory is new, and as long.
    unsafe { memory.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    let (memory, len) = (Arc::new(memory), bytes.len());
    let start = memory.as_ptr();
    // SAFETY: nobody else knows the memory, so nothing changes it.
    unsafe { SharedBytes::new(memory, start, len) }
}

/// The length of the block at `start`.
///
/// # Safety
/// `start` must point to the header of a block.
unsafe fn block_len(start: *const u8) -> usize {
    // SAFETY: the caller's promise.
    Header::decode(&unsafe { start.cast::<[u8; block::HEADER]>().read() }).len as usize
}

fn copy(from: &Pages, start: usize, end: usize) -> Arc<Pages> {
    let to = Pages::zeroed(end - start, false);
    // SAFETY: the range lies in `from`, is sealed, and hence not written; `to` is new and as long.
    unsafe { to.as_ptr().copy_from_nonoverlapping(from.as_ptr().add(start), end - start) };
    Arc::new(to)
}

/// Lets other tasks of the core run.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
