//! Reading evicted blocks back: many at a time, and no byte is given out before it was verified.
//!
//! ```
//! use millstream_storage::read::{Fetched, Read, Reader};
//! # use std::rc::Rc;
//! # use millstream_storage::disk::{StdDisk, block_on};
//! # use millstream_storage::hash::stable_hash;
//! # use millstream_storage::store::{Store, StoreConfig};
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path().to_owned();
//! # let disk = Rc::new(StdDisk);
//! # let small = StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("counts", 1) };
//! # let mut store = Store::new(StoreConfig { budget: Some(1 << 20), ..small });
//! # let table = store.create_table(0, 0);
//! # for n in 0..20_000_u32 {
//! #     let key = n.to_le_bytes();
//! #     store.put(table, stable_hash(&key), &key, &[0; 100])?;
//! #     while n % 100 == 0 && (store.maintain(64 << 10) > 0 || !store.has_room()) {
//! #         if let Some(spill) = store.spill() {
//! #             block_on(spill.write(disk.clone(), dir.clone()))?;
//! #         }
//! #     }
//! # }
//!
//! let wanted = stable_hash(&0_u32.to_le_bytes());
//! assert!(!store.is_present(table, wanted), "the oldest key is on disk");
//! let reader = Reader::new(disk, dir);
//! let reads: Vec<Read> = store.take_reads();
//! assert!(reads.iter().all(|read| read.bytes() % 4096 == 0));
//! for read in &reads {
//!     let fetched: Fetched = block_on(reader.perform(read))?;
//!     store.admit(fetched)?;
//! }
//! assert!(store.is_present(table, wanted));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use crate::delta::check_block;
use crate::disk::{Disk, File, OpenMode, lacks_room};
use crate::error::{Damage, StoreError};
use crate::log::block::Identity;
use crate::log::evict::{Extent, Promise};
use crate::snapshot::DeltaFile;

/// Files kept open, so that a read is mostly no more than a read: a core's share of the thousand that a process may
/// have open by default.
const OPEN: usize = 64;
/// Reads under way at a time, where nothing else limits them.
const IN_FLIGHT: usize = 64;

/// Blocks that a store needs from disk. Made by [`Store::take_reads`](crate::store::Store::take_reads), performed by
/// [`Reader::perform`], and handed back to [`Store::admit`](crate::store::Store::admit).
#[derive(Debug)]
pub struct Read {
    pub(crate) file: Rc<DeltaFile>,
    /// Where the first block lies in the file, and how many precede it there.
    pub(crate) offset: u64,
    pub(crate) index: u32,
    pub(crate) len: u32,
    /// The segment's sequence number, and where in it the first block starts.
    pub(crate) at: (u64, u32),
    /// Whether it is held as a whole, for a scan or for compaction, or only looked up.
    pub(crate) held: bool,
    /// What the blocks must hold, if nobody has looked at their records yet.
    pub(crate) promise: Option<Promise>,
}

impl Read {
    /// What is to be read of a segment.
    pub(crate) fn of(sequence: u64, extent: Extent, held: bool) -> Read {
        let Extent { start, len, file, offset, index, promise } = extent;
        Read { file, offset, index, len, at: (sequence, start), held, promise }
    }

    /// Bytes to read: a multiple of the sector, as is their place.
    pub fn bytes(&self) -> usize {
        self.len as usize
    }
}

/// Verified blocks, as they lie in their segment.
#[derive(Debug)]
pub struct Fetched {
    pub(crate) at: (u64, u32),
    pub(crate) held: bool,
    pub(crate) bytes: Vec<u8>,
    /// Records that must not be used, by where they begin in the bytes, and why.
    pub(crate) suspects: Vec<(usize, StoreError)>,
}

type OpenFile = (Rc<DeltaFile>, Rc<dyn File>);

/// Performs reads in one directory. Files stay open for the next ones.
pub struct Reader {
    disk: Rc<dyn Disk>,
    dir: PathBuf,
    /// Most recently used last.
    open: RefCell<VecDeque<OpenFile>>,
}

impl Reader {
    /// A reader of the files in `dir`.
    pub fn new(disk: Rc<dyn Disk>, dir: PathBuf) -> Reader {
        Reader { disk, dir, open: RefCell::default() }
    }

    /// Reads and verifies. Any number of these may be under way at a time.
    ///
    /// # Errors
    /// If the disk refuses, or a byte is not as it was written. To be told to
    /// [`Store::refuse`](crate::store::Store::refuse), as the store may not need it any more.
    pub async fn perform(&self, read: &Read) -> Result<Fetched, StoreError> {
        let path = self.dir.join(&read.file.name);
        let file = self.file(&read.file, &path).await?;
        let len = read.bytes();
        let bytes = file.read_at(read.offset, len).await.map_err(StoreError::io("read", &path))?;
        if bytes.len() < len {
            let found = read.offset + bytes.len() as u64;
            let damage = Damage::Truncated { found, expected: read.file.file_bytes() };
            return Err(StoreError::damaged(&path, found, damage));
        }
        let suspects = verify(read, &path, &bytes)?;
        Ok(Fetched { at: read.at, held: read.held, bytes, suspects })
    }

    /// Performs many reads, a number of them at a time.
    pub(crate) async fn perform_all(&self, reads: Vec<Read>) -> Vec<(Read, Result<Fetched, StoreError>)> {
        let mut waiting = reads.into_iter();
        let mut under_way: Vec<Pin<Box<dyn Future<Output = _> + '_>>> = Vec::new();
        let mut done = Vec::new();
        poll_fn(|context| {
            loop {
                let room = IN_FLIGHT - under_way.len();
                under_way.extend(waiting.by_ref().take(room).map(|read| {
                    let performed = async move {
                        let outcome = self.perform(&read).await;
                        (read, outcome)
                    };
                    Box::pin(performed) as Pin<Box<dyn Future<Output = _> + '_>>
                }));
                let before = done.len();
                under_way.retain_mut(|read| match read.as_mut().poll(context) {
                    Poll::Ready(outcome) => {
                        done.push(outcome);
                        false
                    }
                    Poll::Pending => true,
                });
                if under_way.is_empty() && waiting.len() == 0 {
                    return Poll::Ready(());
                }
                if done.len() == before || waiting.len() == 0 {
                    return Poll::Pending;
                }
            }
        })
        .await;
        done
    }

    /// The open file of which this holds.
    fn known(&self, is: impl Fn(&Rc<DeltaFile>) -> bool) -> Option<Rc<dyn File>> {
        let mut open = self.open.borrow_mut();
        let at = open.iter().rposition(|(known, _)| is(known))?;
        let found = open.remove(at)?;
        open.push_back(found.clone());
        Some(found.1)
    }

    async fn file(&self, wanted: &Rc<DeltaFile>, path: &Path) -> Result<Rc<dyn File>, StoreError> {
        let is = |known: &Rc<DeltaFile>| Rc::ptr_eq(known, wanted);
        if let Some(file) = self.known(is) {
            return Ok(file);
        }
        let mut opened = self.disk.open(path, OpenMode::ReadDirect).await;
        if opened.as_ref().is_err_and(lacks_room) {
            // No more files may be open: those that are kept for later need not be.
            self.open.borrow_mut().clear();
            opened = self.disk.open(path, OpenMode::ReadDirect).await;
        }
        let file = opened.map_err(StoreError::io("open", path))?;
        if let Some(file) = self.known(is) {
            // Another read has opened it meanwhile.
            return Ok(file);
        }
        let mut open = self.open.borrow_mut();
        if open.len() >= OPEN {
            open.pop_front();
        }
        open.push_back((wanted.clone(), file.clone()));
        Ok(file)
    }
}

/// Returns the records that must not be used.
fn verify(read: &Read, path: &Path, bytes: &[u8]) -> Result<Vec<(usize, StoreError)>, StoreError> {
    let DeltaFile { store_id: store, epoch, part, .. } = *read.file;
    let mut must = Identity { store, epoch, offset: read.offset, index: read.index, part };
    let (mut rest, mut number, mut suspects) = (bytes, 0, Vec::new());
    while !rest.is_empty() {
        let len = check_block(rest, must).map_err(|damage| StoreError::damaged(path, must.offset, damage))?;
        if let Some(Promise { rules, digests }) = &read.promise {
            let promised = digests.get(number).copied().unwrap_or_default();
            let damaged = |(at, damage)| StoreError::damaged(path, must.offset + at as u64, damage);
            let found = rules.check(&rest[..len], promised).map_err(damaged)?;
            let before = bytes.len() - rest.len();
            suspects.extend(found.into_iter().map(|(at, damage)| (before + at, damaged((at, damage)))));
        }
        number += 1;
        rest = &rest[len..];
        must.offset += len as u64;
        must.index += 1;
    }
    Ok(suspects)
}
