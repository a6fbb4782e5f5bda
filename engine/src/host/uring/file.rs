//! Files through io_uring.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use glommio::io::{BufferedFile, DmaFile, ReadResult};
use millstream_storage::disk::{File, Io, SECTOR, SharedBytes};

use super::io_error;
use crate::host::fault::name;
use crate::host::schedule::Scheduler;

/// Bytes of one request to the kernel.
const CHUNK: usize = 512 * 1024;
/// Requests of one write that are under way at once: enough to keep a disk busy while the next is copied.
const WINDOW: usize = 4;

/// An open file of glommio's.
pub(super) enum Opened {
    /// Through the page cache.
    Buffered(BufferedFile),
    /// Past the page cache.
    Direct(DmaFile),
}

/// An open file. Operations share it; the last to let go closes it.
pub(super) struct UringFile(Rc<Shared>);

struct Shared {
    // None only while it is being closed.
    file: Option<Opened>,
    path: PathBuf,
    scheduler: Rc<Scheduler>,
}

impl UringFile {
    pub(super) fn new(file: Opened, path: PathBuf, scheduler: Rc<Scheduler>) -> UringFile {
        UringFile(Rc::new(Shared { file: Some(file), path, scheduler }))
    }
}

impl File for UringFile {
    fn len(&self) -> Io<u64> {
        let shared = self.0.clone();
        self.0.scheduler.operation(async move {
            let len = match shared.file() {
                Opened::Buffered(file) => file.file_size().await,
                Opened::Direct(file) => file.file_size().await,
            };
            len.map_err(|error| name("look at", &shared.path, io_error(error)))
        })
    }

    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        let shared = self.0.clone();
        self.0.scheduler.operation(async move {
            let read = shared.read(offset, len).await;
            read.map_err(|error| name(format!("read {len} bytes at {offset} of"), &shared.path, error))
        })
    }

    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()> {
        let shared = self.0.clone();
        let len = bytes.len();
        self.0.scheduler.operation(async move {
            let written = write(&shared, offset, bytes).await;
            written.map_err(|error| name(format!("write {len} bytes at {offset} of"), &shared.path, error))
        })
    }

    fn sync(&self) -> Io<()> {
        let shared = self.0.clone();
        self.0.scheduler.operation(async move {
            // The length is among what fdatasync makes durable: the contents cannot be read without it.
            let synced = match shared.file() {
                Opened::Buffered(file) => file.fdatasync().await,
                Opened::Direct(file) => file.fdatasync().await,
            };
            synced.map_err(|error| name("sync", &shared.path, io_error(error)))
        })
    }
}

impl Shared {
    fn file(&self) -> &Opened {
        self.file.as_ref().expect("a file is open until its last user drops it")
    }

    async fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = offset + bytes.len() as u64;
            let before = bytes.len();
            self.read_chunk(at, (len - before).min(CHUNK), &mut bytes).await?;
            if bytes.len() == before {
                break;
            }
        }
        Ok(bytes)
    }

    async fn read_chunk(&self, offset: u64, len: usize, into: &mut Vec<u8>) -> io::Result<()> {
        match self.file() {
            Opened::Buffered(file) => {
                let read: ReadResult = file.read_at(offset, len).await.map_err(io_error)?;
                into.extend_from_slice(&read);
            }
            Opened::Direct(file) => {
                // Whole sectors; `DmaFile::read_at` would do this, but reaches past the end of a short file.
                let sector = SECTOR as u64;
                let skip = (offset % sector) as usize;
                let read = file.read_at_aligned(offset - skip as u64, (skip + len).next_multiple_of(SECTOR));
                let read = read.await.map_err(io_error)?;
                let end = read.len().min(skip + len);
                into.extend_from_slice(read.get(skip..end).unwrap_or_default());
            }
        }
        Ok(())
    }

    // Writes all of one chunk, from a copy that the kernel may keep until it is done.
    async fn write_chunk(&self, offset: u64, bytes: SharedBytes) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let (rest, at) = (&bytes[done..], offset + done as u64);
            let written = match self.file() {
                Opened::Buffered(file) => file.write_at(rest.to_vec(), at).await,
                Opened::Direct(file) => {
                    let mut buffer = file.alloc_dma_buffer(rest.len());
                    buffer.as_bytes_mut().copy_from_slice(rest);
                    file.write_at(buffer, at).await
                }
            };
            match written.map_err(io_error)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => done += written,
            }
        }
        Ok(())
    }
}

// Writes chunk after chunk, a window of them at once.
async fn write(shared: &Rc<Shared>, offset: u64, bytes: SharedBytes) -> io::Result<()> {
    let mut under_way = VecDeque::with_capacity(WINDOW);
    let mut outcome = Ok(());
    for start in (0..bytes.len()).step_by(CHUNK) {
        if under_way.len() == WINDOW {
            outcome = under_way.pop_front().expect("the window is full").await;
        }
        if outcome.is_err() {
            break;
        }
        let chunk = bytes.slice(start..bytes.len().min(start + CHUNK));
        let own = shared.clone();
        let write = async move { own.write_chunk(offset + start as u64, chunk).await };
        under_way.push_back(shared.scheduler.operation(write));
    }
    // Nothing is under way any more when this returns, after an error either.
    for chunk in under_way {
        outcome = outcome.and(chunk.await);
    }
    outcome
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        // An operation of its own: the descriptor is closed before the core ends. Closing tells of no error that
        // `sync` has not told.
        let closing = self.scheduler.operation(async move {
            let closed = match file {
                Opened::Buffered(file) => file.close().await,
                Opened::Direct(file) => file.close().await,
            };
            closed.map_err(io_error)
        });
        drop(closing);
    }
}
