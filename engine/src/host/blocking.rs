//! A file through blocking calls, past the page cache where it can be: for a helper thread.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fs::{File as Handle, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use millstream_storage::disk::{OpenMode, SECTOR};

use super::fault::{Named, name};
use super::fs;

/// Bytes of one copy into aligned memory.
const CHUNK: usize = 512 * 1024;

/// An open file. Dropping it closes it.
pub(crate) struct BlockingFile {
    handle: Handle,
    path: PathBuf,
    // The kernel takes and gives whole sectors in aligned memory only.
    direct: bool,
}

impl BlockingFile {
    /// Opens a file.
    pub(crate) fn open(path: PathBuf, mode: OpenMode) -> io::Result<BlockingFile> {
        let (verb, opened) = match mode {
            OpenMode::Read => ("open", Handle::open(&path).map(|handle| (handle, false))),
            OpenMode::Create => ("create", create(&path, 0).map(|handle| (handle, false))),
            OpenMode::CreateDirect => ("create", create_direct(&path)),
        };
        let (handle, direct) = opened.named(verb, &path)?;
        Ok(BlockingFile { handle, path, direct })
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.handle.metadata().named("look at", &self.path)?.len())
    }

    /// Reads up to `len` bytes from `offset`: fewer only at the end of the file.
    pub(crate) fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let read = if self.direct { self.read_direct(offset, len) } else { self.read_cached(offset, len) };
        read.map_err(|error| name(format!("read {len} bytes at {offset} of"), &self.path, error))
    }

    /// Writes all of `bytes` at `offset`; without a copy if they are aligned.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let written = self.write_all(offset, bytes);
        written
            .map_err(|error| name(format!("write {} bytes at {offset} of", bytes.len()), &self.path, error))
    }

    /// Makes the contents and the length durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        // The length is among what fdatasync makes durable: the contents cannot be read without it.
        self.handle.sync_data().named("sync", &self.path)
    }

    fn read_cached(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let read = fill(&self.handle, offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn read_direct(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let skip = (offset % SECTOR as u64) as usize;
        let mut sectors = Aligned::new((skip + len).next_multiple_of(SECTOR));
        let read = fill(&self.handle, offset - skip as u64, sectors.as_mut())?;
        Ok(sectors.as_mut().get(skip..read.min(skip + len)).unwrap_or_default().to_vec())
    }

    fn write_all(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if !self.direct || (bytes.as_ptr() as usize).is_multiple_of(SECTOR) {
            return self.handle.write_all_at(bytes, offset);
        }
        let mut aligned = Aligned::new(bytes.len().min(CHUNK));
        for (index, chunk) in bytes.chunks(CHUNK).enumerate() {
            let copy = &mut aligned.as_mut()[..chunk.len()];
            copy.copy_from_slice(chunk);
            self.handle.write_all_at(copy, offset + (index * CHUNK) as u64)?;
        }
        Ok(())
    }
}

// Reads until the buffer is full or the file ends. A direct read that stops inside a sector is at the end.
fn fill(handle: &Handle, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match handle.read_at(&mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if done > 0 && fs::refuses_direct(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn create(path: &Path, flags: i32) -> io::Result<Handle> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).custom_flags(flags).open(path)
}

fn create_direct(path: &Path) -> io::Result<(Handle, bool)> {
    match create(path, libc::O_DIRECT) {
        Ok(handle) => Ok((handle, true)),
        Err(error) if fs::refuses_direct(&error) => {
            // Some file systems refuse before they create the file, some after.
            let options =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path);
            Ok((options?, false))
        }
        Err(error) => Err(error),
    }
}

/// Memory that starts at a multiple of [`SECTOR`].
struct Aligned {
    start: NonNull<u8>,
    layout: Layout,
}

impl Aligned {
    fn new(len: usize) -> Aligned {
        let layout = Layout::from_size_align(len.max(SECTOR), SECTOR).expect("a length that fits in memory");
        // SAFETY: the size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Aligned { start, layout }
    }

    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: allocated and initialised with this size by `new`, and borrowed as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
