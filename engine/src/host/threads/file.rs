//! Files through blocking calls on the helper thread.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fs::{File as Handle, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use millstream_storage::disk::{File, Io, OpenMode, SECTOR, SharedBytes};

use super::helper::Helper;
use crate::host::fault::{Named, name};
use crate::host::fs;

/// Bytes of one copy into aligned memory.
const CHUNK: usize = 512 * 1024;

/// An open file. Operations under way share it; the last to let go closes it.
pub(super) struct ThreadFile {
    shared: Arc<Shared>,
    helper: Rc<Helper>,
}

/// What a blocking operation needs.
pub(super) struct Shared {
    handle: Handle,
    path: PathBuf,
    // The kernel takes and gives whole sectors in aligned memory only.
    direct: bool,
}

impl ThreadFile {
    pub(super) fn new(shared: Shared, helper: Rc<Helper>) -> ThreadFile {
        ThreadFile { shared: Arc::new(shared), helper }
    }
}

impl File for ThreadFile {
    fn len(&self) -> Io<u64> {
        let shared = self.shared.clone();
        self.helper.run(move || Ok(shared.handle.metadata().named("look at", &shared.path)?.len()))
    }

    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        let shared = self.shared.clone();
        self.helper.run(move || {
            let read = if shared.direct { shared.read_direct(offset, len) } else { shared.read(offset, len) };
            read.map_err(|error| name(format!("read {len} bytes at {offset} of"), &shared.path, error))
        })
    }

    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()> {
        let shared = self.shared.clone();
        self.helper.run(move || {
            let written = shared.write(offset, &bytes);
            written.map_err(|error| {
                name(format!("write {} bytes at {offset} of", bytes.len()), &shared.path, error)
            })
        })
    }

    fn sync(&self) -> Io<()> {
        let shared = self.shared.clone();
        // The length is among what fdatasync makes durable: the contents cannot be read without it.
        self.helper.run(move || shared.handle.sync_data().named("sync", &shared.path))
    }
}

impl Shared {
    /// Opens a file.
    pub(super) fn open(path: PathBuf, mode: OpenMode) -> io::Result<Shared> {
        let (verb, opened) = match mode {
            OpenMode::Read => ("open", Handle::open(&path).map(|handle| (handle, false))),
            OpenMode::Create => ("create", create(&path, 0).map(|handle| (handle, false))),
            OpenMode::CreateDirect => ("create", create_direct(&path)),
        };
        let (handle, direct) = opened.named(verb, &path)?;
        Ok(Shared { handle, path, direct })
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
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

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
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
