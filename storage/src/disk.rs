//! The seam to the disk: what the store, the checkpoints and the file sinks need of the outside world.
//!
//! Every host implements [`Disk`]: glommio through io_uring, plain threads through a helper thread, and the
//! simulator through a model that loses, tears and reorders what was not synced. There are no defaults here, so
//! that nothing of the real world can leak into a simulated one.
//!
//! Nothing is durable until [`File::sync`] of the file **and** [`Disk::sync_dir`] of its directory returned.

mod std_disk;

pub use crate::memory::Buffer;
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
///
/// ```
/// use millstream_storage::disk::{Io, block_on};
///
/// let length: Io<u64> = Box::pin(async { Ok(4096) });
/// assert_eq!(block_on(length)?, 4096);
/// # Ok::<(), std::io::Error>(())
/// ```
pub type Io<T> = Pin<Box<dyn Future<Output = io::Result<T>>>>;

/// Offsets and lengths of writes by [`OpenMode::CreateDirect`] are multiples of this, in bytes.
///
/// ```
/// use millstream_storage::disk::{Disk, File, OpenMode, SECTOR, StdDisk, block_on};
///
/// # let dir = tempfile::tempdir()?;
/// # block_on(async {
/// let file = StdDisk.open(&dir.path().join("blocks"), OpenMode::CreateDirect).await?;
/// file.write_at(SECTOR as u64, vec![7; 2 * SECTOR].into()).await?;
/// assert_eq!(file.len().await?, 3 * SECTOR as u64);
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub const SECTOR: usize = 4096;

/// How a file is opened.
///
/// ```
/// use std::io::ErrorKind;
/// use millstream_storage::disk::{Disk, OpenMode, StdDisk, block_on};
///
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("file");
/// let open = |mode| block_on(StdDisk.open(&path, mode)).map(drop).map_err(|error| error.kind());
/// assert_eq!(open(OpenMode::Read), Err(ErrorKind::NotFound));
/// assert_eq!(open(OpenMode::Create), Ok(()));
/// assert_eq!(open(OpenMode::CreateDirect), Err(ErrorKind::AlreadyExists));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to read.
    Read,
    /// An existing file, to read in whole sectors past the page cache where the file system allows it: for what is
    /// read once, by [`File::read_into`], and for what is not to take memory that nobody has accounted for.
    ReadDirect,
    /// A new file, to write through the page cache; fails if the name is taken.
    Create,
    /// A new file, to write in whole sectors past the page cache where the file system allows it; fails if the
    /// name is taken.
    CreateDirect,
}

impl OpenMode {
    /// Whether the file must exist, and is only read.
    ///
    /// ```
    /// use millstream_storage::disk::OpenMode;
    /// assert!(OpenMode::ReadDirect.only_reads() && !OpenMode::Create.only_reads());
    /// ```
    pub fn only_reads(self) -> bool {
        matches!(self, OpenMode::Read | OpenMode::ReadDirect)
    }
}

/// One name in a directory.
///
/// ```
/// use millstream_storage::disk::{DirEntry, Disk, StdDisk, block_on};
///
/// # let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("one"), "1")?;
/// let entries = block_on(StdDisk.list(dir.path()))?;
/// assert_eq!(entries, [DirEntry { name: "one".to_owned(), len: 1, is_dir: false }]);
/// # Ok::<(), std::io::Error>(())
/// ```
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
///
/// How a file becomes whole and durable under its name, or is not there:
///
/// ```
/// use std::rc::Rc;
/// use millstream_storage::disk::{Disk, File, OpenMode, StdDisk, block_on};
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path().join("out");
/// # block_on(async {
/// let disk: Rc<dyn Disk> = Rc::new(StdDisk);
/// let (pending, name) = (dir.join(".pending"), dir.join("one"));
/// disk.create_dir_all(&dir).await?;
/// let file = disk.open(&pending, OpenMode::Create).await?;
/// file.write_at(0, b"contents".to_vec().into()).await?;
/// file.sync().await?;
/// disk.rename(&pending, &name).await?;
/// disk.sync_dir(&dir).await?;
/// assert_eq!(disk.list(&dir).await?[0].name, "one");
/// disk.remove(&name).await?;
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Two users of a directory exclude each other by the lock of a file in it; see [`Lease`].
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
///
/// ```
/// use std::rc::Rc;
/// use millstream_storage::disk::{Buffer, Disk, File, OpenMode, SECTOR, StdDisk, block_on};
///
/// # let dir = tempfile::tempdir()?;
/// # block_on(async {
/// let file: Rc<dyn File> = StdDisk.open(&dir.path().join("file"), OpenMode::Create).await?;
/// file.write_at(4, b"body".to_vec().into()).await?;
/// file.write_at(0, b"head".to_vec().into()).await?;
/// file.sync().await?;
/// assert_eq!(file.len().await?, 8);
/// assert_eq!(file.read_at(2, 4).await?, b"adbo");
/// assert_eq!(file.read_at(6, 100).await?, b"dy", "the file ends");
/// let (buffer, read) = file.read_into(0, Buffer::new(SECTOR)).await?;
/// assert_eq!(buffer.as_slice()[..read], *b"headbody");
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[expect(
    clippy::len_without_is_empty,
    reason = "asking for the length is I/O; nobody asks only whether it is zero"
)]
pub trait File {
    /// Its length in bytes.
    fn len(&self) -> Io<u64>;
    /// Reads up to `len` bytes from `offset`: fewer only at the end of the file.
    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>>;
    /// Fills a buffer from `offset`, and tells how many bytes: fewer than it takes only at the end of the file. By
    /// [`OpenMode::ReadDirect`] both the offset and the buffer's length are multiples of [`SECTOR`]. Where nothing
    /// better is known, the bytes of [`File::read_at`] are copied.
    fn read_into(&self, offset: u64, mut buffer: Buffer) -> Io<(Buffer, usize)> {
        let read = self.read_at(offset, buffer.as_slice().len());
        Box::pin(async move {
            let bytes = read.await?;
            buffer.as_mut_slice()[..bytes.len()].copy_from_slice(&bytes);
            Ok((buffer, bytes.len()))
        })
    }
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
///
/// ```
/// use std::io::ErrorKind;
/// use millstream_storage::disk::{Disk, Lease, StdDisk, block_on};
///
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("lock");
/// let lease: Lease = block_on(StdDisk.lock(&path))?;
/// let second = block_on(StdDisk.lock(&path)).map(|_| ());
/// assert_eq!(second.unwrap_err().kind(), ErrorKind::WouldBlock);
/// drop(lease);
/// assert_eq!(block_on(StdDisk.lock(&path))?.path, path);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Lease {
    /// The locked file.
    pub path: PathBuf,
    /// What releases the lock when it is dropped.
    pub guard: Box<dyn Any>,
}

/// A range of bytes kept alive by their owner, so that a write needs no copy.
///
/// ```
/// use millstream_storage::disk::SharedBytes;
///
/// let page = SharedBytes::from(b"head, body".to_vec());
/// let body = page.slice(6..10);
/// drop(page);
/// assert_eq!(body.as_slice(), b"body");
/// assert_eq!(body.len(), 4);
/// ```
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
    ///
    /// ```
    /// use std::sync::Arc;
    /// use millstream_storage::disk::SharedBytes;
    ///
    /// let page = Arc::new(*b"page");
    /// let (start, len) = (page.as_ptr(), page.len());
    /// // SAFETY: the array stays where it is while the `Arc` lives, and nobody can change what an `Arc` shares.
    /// let bytes = unsafe { SharedBytes::new(page, start, len) };
    /// assert_eq!(bytes.as_slice(), b"page");
    /// ```
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
