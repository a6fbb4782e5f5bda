//! A plain, blocking [`Disk`]: for tools and tests.

use std::fs::{self, OpenOptions};
use std::future::{Future, ready};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::{Buffer, DirEntry, Disk, File, Io, Lease, OpenMode, SharedBytes};

/// The file system of `std`, without any concurrency: an operation is over before its future exists.
///
/// For tools and tests. Everything goes through the page cache.
///
/// ```
/// use millstream_storage::disk::{Disk, OpenMode, StdDisk, block_on};
///
/// # let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("file"), "text")?;
/// let file = block_on(StdDisk.open(&dir.path().join("file"), OpenMode::Read))?;
/// assert_eq!(block_on(file.read_at(0, 4))?, b"text");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct StdDisk;

struct StdFile(fs::File);

fn done<T: 'static>(result: io::Result<T>) -> Io<T> {
    Box::pin(ready(result))
}

impl Disk for StdDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        let opened = match mode {
            OpenMode::Read | OpenMode::ReadDirect => fs::File::open(path),
            OpenMode::Create | OpenMode::CreateDirect => {
                OpenOptions::new().read(true).write(true).create_new(true).open(path)
            }
        };
        done(opened.map(|file| Rc::new(StdFile(file)) as Rc<dyn File>))
    }

    fn rename(&self, from: &Path, to: &Path) -> Io<()> {
        done(fs::rename(from, to))
    }

    fn remove(&self, path: &Path) -> Io<()> {
        done(fs::remove_file(path))
    }

    fn create_dir_all(&self, path: &Path) -> Io<()> {
        done(create_dir_durably(path))
    }

    fn sync_dir(&self, path: &Path) -> Io<()> {
        done(fs::File::open(path).and_then(|dir| dir.sync_all()))
    }

    fn list(&self, path: &Path) -> Io<Vec<DirEntry>> {
        done(list(path))
    }

    fn lock(&self, path: &Path) -> Io<Lease> {
        done(lock(path))
    }
}

impl File for StdFile {
    fn len(&self) -> Io<u64> {
        done(self.0.metadata().map(|metadata| metadata.len()))
    }

    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        done(read_at(&self.0, offset, len))
    }

    fn read_into(&self, offset: u64, mut buffer: Buffer) -> Io<(Buffer, usize)> {
        let read = fill(&self.0, offset, buffer.as_mut_slice());
        done(read.map(|read| (buffer, read)))
    }

    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()> {
        done(self.0.write_all_at(&bytes, offset))
    }

    fn sync(&self) -> Io<()> {
        done(self.0.sync_all())
    }
}

/// Creates missing parents from the top, and syncs the directory that each is entered in.
fn create_dir_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_dir_durably(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all(),
    }
}

fn list(path: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            // Removed since it was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        let len = if metadata.is_dir() { 0 } else { metadata.len() };
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push(DirEntry { name, len, is_dir: metadata.is_dir() });
    }
    entries.sort();
    Ok(entries)
}

fn lock(path: &Path) -> io::Result<Lease> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    file.try_lock()?;
    Ok(Lease { path: path.to_owned(), guard: Box::new(file) })
}

fn read_at(file: &fs::File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let filled = fill(file, offset, &mut bytes)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &fs::File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Runs a future whose operations never wait, such as those of [`StdDisk`].
///
/// ```
/// use millstream_storage::disk::{Disk, StdDisk, block_on};
/// assert!(block_on(StdDisk.list("/".as_ref())).is_ok());
/// ```
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
