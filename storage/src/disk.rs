//! The seam to the disk: what the store, the checkpoints and the file sinks need of the outside world.
//!
//! Every host implements [`Disk`]: glommio through io_uring, plain threads through a helper thread, and the
//! simulator through a model that loses, tears and reorders what was not synced. There are no defaults here, so
//! that nothing of the real world can leak into a simulated one.
//!
//! Nothing is durable until [`File::sync`] of the file **and** [`Disk::sync_dir`] of its directory returned.

mod std_disk;

pub use std_disk::{StdDisk, block_on};

use std::any::Any;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

/// A pending operation on this core. It may be dropped: the operation then still runs to its end, unobserved.
pub type Io<T> = Pin<Box<dyn Future<Output = io::Result<T>>>>;

/// Offsets and lengths of writes by [`OpenMode::CreateDirect`] are multiples of this, in bytes.
pub const SECTOR: usize = 4096;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to read.
    Read,
    /// A new file, to write through the page cache; fails if the name is taken.
    Create,
    /// A new file, to write in whole sectors past the page cache where the file system allows it; fails if the
    /// name is taken.
    CreateDirect,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without its directory.
    pub name: String,
    /// Length in bytes; 0 for a directory.
    pub len: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// A file system as one core sees it.
pub trait Disk {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>>;
    /// Renames a file, replacing what the new name held. Durable once the directory is synced.
    fn rename(&self, from: &Path, to: &Path) -> Io<()>;
    /// Removes a file. `NotFound` if there is none.
    fn remove(&self, path: &Path) -> Io<()>;
    /// Creates a directory and its missing parents, durably.
    fn create_dir_all(&self, path: &Path) -> Io<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> Io<()>;
    /// The names in a directory, sorted. `NotFound` if there is none.
    fn list(&self, path: &Path) -> Io<Vec<DirEntry>>;
    /// Takes the exclusive lock of a file, created if missing, until the lease is dropped or the process ends.
    /// `WouldBlock` if another holder has it.
    fn lock(&self, path: &Path) -> Io<Lease>;
}

/// An open file. Dropping it closes it.
#[expect(
    clippy::len_without_is_empty,
    reason = "asking for the length is I/O; nobody asks only whether it is zero"
)]
pub trait File {
    /// Its length in bytes.
    fn len(&self) -> Io<u64>;
    /// Reads up to `len` bytes from `offset`: fewer only at the end of the file.
    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()>;
    /// Makes the contents and the length durable. After an error nothing written to this file may be trusted,
    /// and it must not be synced again.
    fn sync(&self) -> Io<()>;
}

/// Whether an operation failed for lack of space or of open files: it may succeed later, and has changed nothing that
/// a repetition does not overwrite.
///
/// ```
/// # use millstream_storage::disk::lacks_room;
/// assert!(lacks_room(&std::io::ErrorKind::StorageFull.into()));
/// assert!(!lacks_room(&std::io::ErrorKind::NotFound.into()));
/// ```
pub fn lacks_room(error: &io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let descriptors = matches!(error.raw_os_error(), Some(EMFILE | ENFILE));
    // A host names the operation and the path in an error around the system's own.
    let inner = error.get_ref().and_then(|error| error.source()).and_then(|error| error.downcast_ref());
    full || descriptors || inner.is_some_and(lacks_room)
}

/// The exclusive lock of a file, held until dropped.
pub struct Lease {
    /// The locked file.
    pub path: PathBuf,
    /// What releases the lock when it is dropped.
    pub guard: Box<dyn Any>,
}

/// A range of bytes kept alive by their owner, so that a write needs no copy.
#[derive(Clone)]
pub struct SharedBytes {
    // Keeps `start .. start + len` allocated.
    _owner: Arc<dyn Any + Send + Sync>,
    start: *const u8,
    len: usize,
}

// SAFETY: the bytes are immutable while any `SharedBytes` names them (the contract of `new`), and the owner is
// `Send + Sync`.
unsafe impl Send for SharedBytes {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    /// Names `len` bytes at `start` inside memory that `owner` keeps allocated.
    ///
    /// # Safety
    /// The range must stay allocated and unmodified for as long as `owner` or a clone of it lives.
    pub unsafe fn new(owner: Arc<dyn Any + Send + Sync>, start: *const u8, len: usize) -> SharedBytes {
        SharedBytes { _owner: owner, start, len }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the contract of `new`.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    /// A part of these bytes.
    ///
    /// # Panics
    /// If the range does not lie within them.
    pub fn slice(&self, range: Range<usize>) -> SharedBytes {
        let part = &self.as_slice()[range];
        SharedBytes { _owner: self._owner.clone(), start: part.as_ptr(), len: part.len() }
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> SharedBytes {
        let (start, len) = (bytes.as_ptr(), bytes.len());
        // SAFETY: the vector's allocation does not move with the vector, and nothing can reach it to change it.
        unsafe { SharedBytes::new(Arc::new(bytes), start, len) }
    }
}

impl std::ops::Deref for SharedBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}
