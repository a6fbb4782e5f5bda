//! Files in the page cache, through io_uring.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use glommio::io::BufferedFile;
use millstream_storage::disk::{File, Io, SharedBytes};

use super::{io_error, window};
use crate::host::fault::name;
use crate::host::schedule::Scheduler;

/// Bytes of one request to the kernel.
const CHUNK: usize = 512 * 1024;

/// An open file. Operations share it; the last to let go closes it.
pub(super) struct UringFile(Rc<Shared>);

struct Shared {
    // None only while it is being closed.
    file: Option<BufferedFile>,
    path: PathBuf,
    scheduler: Rc<Scheduler>,
}

impl UringFile {
    pub(super) fn new(file: BufferedFile, path: PathBuf, scheduler: Rc<Scheduler>) -> UringFile {
        UringFile(Rc::new(Shared { file: Some(file), path, scheduler }))
    }
}

impl File for UringFile {
    fn len(&self) -> Io<u64> {
        let shared = self.0.clone();
        self.0.scheduler.operation(async move {
            shared.file().file_size().await.map_err(|error| name("look at", &shared.path, io_error(error)))
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
            shared.file().fdatasync().await.map_err(|error| name("sync", &shared.path, io_error(error)))
        })
    }
}

impl Shared {
    fn file(&self) -> &BufferedFile {
        self.file.as_ref().expect("a file is open until its last user drops it")
    }

    async fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = offset + bytes.len() as u64;
            let read = self.file().read_at(at, (len - bytes.len()).min(CHUNK)).await.map_err(io_error)?;
            if read.is_empty() {
                break;
            }
            bytes.extend_from_slice(&read);
        }
        Ok(bytes)
    }

    // Writes all of one chunk, from a copy that the kernel may keep until it is done.
    async fn write_chunk(&self, offset: u64, bytes: SharedBytes) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let (rest, at) = (&bytes[done..], offset + done as u64);
            let written = self.file().write_at(rest.to_vec(), at).await;
            match written.map_err(io_error)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => done += written,
            }
        }
        Ok(())
    }
}

async fn write(shared: &Rc<Shared>, offset: u64, bytes: SharedBytes) -> io::Result<()> {
    window::write(&shared.scheduler, bytes, CHUNK, |start, chunk| {
        let own = shared.clone();
        async move { own.write_chunk(offset + start, chunk).await }
    })
    .await
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        // An operation of its own: the descriptor is closed before the core ends. Closing tells of no error that
        // `sync` has not told.
        let closing = self.scheduler.operation(async move { file.close().await.map_err(io_error) });
        drop(closing);
    }
}
