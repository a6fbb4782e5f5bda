//! A file through blocking calls, past the page cache where it can be: for a helper thread.

use std::fs::{File as Handle, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use millstream_storage::disk::{Buffer, OpenMode, SECTOR};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::aligned::{Aligned, is_aligned};
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
            OpenMode::ReadDirect => ("open", Handle::open(&path).and_then(past_cache)),
            OpenMode::Create => ("create", create(&path).map(|handle| (handle, false))),
            OpenMode::CreateDirect => ("create", create_direct(&path)),
        };
        let (handle, direct) = opened.named(verb, &path)?;
        Ok(BlockingFile { handle, path, direct })
    }

    /// The open file, its path, and whether the kernel takes whole sectors in aligned memory only.
    pub(crate) fn into_parts(self) -> (Handle, PathBuf, bool) {
        (self.handle, self.path, self.direct)
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

    /// Fills a buffer from `offset`, and tells how many bytes: fewer than it takes only at the end of the file. Past
    /// the page cache both are whole sectors.
    pub(crate) fn read_into(&self, offset: u64, mut buffer: Buffer) -> io::Result<(Buffer, usize)> {
        let read = fill(&self.handle, offset, buffer.as_mut_slice());
        let len = buffer.as_slice().len();
        let read =
            read.map_err(|error| name(format!("read {len} bytes at {offset} of"), &self.path, error))?;
        Ok((buffer, read))
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
        if !self.direct || is_aligned(bytes) {
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

fn create(path: &Path) -> io::Result<Handle> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(path)
}

// The flag is set on the open file: some file systems refuse it at opening before they create the file and some
// after, and a name that was tried twice may be somebody else's.
fn create_direct(path: &Path) -> io::Result<(Handle, bool)> {
    past_cache(create(path)?)
}

fn past_cache(handle: Handle) -> io::Result<(Handle, bool)> {
    let flags = fcntl_getfl(&handle)?;
    match fcntl_setfl(&handle, flags | OFlags::DIRECT).map_err(io::Error::from) {
        Ok(()) => Ok((handle, true)),
        Err(error) if fs::refuses_direct(&error) => Ok((handle, false)),
        Err(error) => Err(error),
    }
}
