//! Files past the page cache, through the core's own ring: from the memory that the bytes live in to the disk.

use std::fs::File as Handle;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use glommio::executor;
use io_uring::squeue::Entry;
use io_uring::{opcode, types};
use millstream_storage::disk::{Buffer, File, Io, SECTOR, SharedBytes};

use super::extent::{Extent, Leave};
use super::ring::Ring;
use super::window;
use crate::host::aligned::{Aligned, is_aligned};
use crate::host::blocking::BlockingFile;
use crate::host::fault::{Named, name};
use crate::host::schedule::Scheduler;

/// Bytes of one request to the kernel. Larger ones would keep the core longer: it maps their pages one by one.
const CHUNK: usize = 1 << 20;

/// An open file. Operations share it; the last to let go closes it.
pub(super) struct DirectFile(Rc<Shared>);

struct Shared {
    // None only while it is being closed.
    handle: Option<Handle>,
    path: PathBuf,
    // The kernel takes and gives whole sectors in aligned memory only.
    direct: bool,
    extent: Extent,
    ring: Rc<Ring>,
    scheduler: Rc<Scheduler>,
}

impl DirectFile {
    /// A file of this length, which nobody else makes longer.
    pub(super) fn new(file: BlockingFile, len: u64, ring: Rc<Ring>, scheduler: Rc<Scheduler>) -> DirectFile {
        let (handle, path, direct) = file.into_parts();
        let extent = Extent::new(direct, len);
        DirectFile(Rc::new(Shared { handle: Some(handle), path, direct, extent, ring, scheduler }))
    }
}

impl File for DirectFile {
    fn len(&self) -> Io<u64> {
        let shared = self.0.clone();
        Box::pin(async move { Ok(shared.extent.len()) })
    }

    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        let shared = self.0.clone();
        self.0.scheduler.operation(async move {
            let read = shared.read(offset, len).await;
            read.map_err(|error| name(format!("read {len} bytes at {offset} of"), &shared.path, error))
        })
    }

    fn read_into(&self, offset: u64, buffer: Buffer) -> Io<(Buffer, usize)> {
        let shared = self.0.clone();
        let len = buffer.as_slice().len();
        self.0.scheduler.operation(async move {
            let read = shared.read_into(offset, buffer).await;
            read.map_err(|error| name(format!("read {len} bytes at {offset} of"), &shared.path, error))
        })
    }

    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()> {
        let shared = self.0.clone();
        let len = bytes.len();
        self.0.scheduler.operation(async move {
            let written = window::write(&shared.scheduler, bytes, CHUNK, |start, chunk| {
                shared.clone().write_chunk(offset + start, chunk)
            });
            let written = written.await;
            written.map_err(|error| name(format!("write {len} bytes at {offset} of"), &shared.path, error))
        })
    }

    fn sync(&self) -> Io<()> {
        let shared = self.0.clone();
        self.0.scheduler.operation(async move { shared.sync().await.named("sync", &shared.path) })
    }
}

impl Shared {
    fn handle(&self) -> &Handle {
        self.handle.as_ref().expect("a file is open until its last user drops it")
    }

    // Has the kernel do `entry`, once more each time that it says it was interrupted.
    //
    // SAFETY: `kept` must keep the memory that the entry names, also when it is moved; the file is kept here.
    async unsafe fn run<K: 'static>(self: &Rc<Self>, entry: Entry, kept: K) -> (io::Result<usize>, K) {
        let mut kept = (self.clone(), kept);
        loop {
            // SAFETY: the file keeps its descriptor, and the caller the memory.
            let (result, back) = unsafe { self.ring.run(entry.clone(), kept).await };
            kept = back;
            match result {
                Err(error) if is_interruption(&error) => {}
                result => return (result.map(|count| count as usize), kept.1),
            }
        }
    }

    fn target(&self) -> types::Fd {
        types::Fd(self.handle().as_raw_fd())
    }

    async fn write_chunk(self: Rc<Self>, offset: u64, bytes: SharedBytes) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let end = offset + bytes.len() as u64;
        while let Leave::Grow { from, len } = self.extent.leave(end).await {
            self.grow(from, len).await;
        }
        let written = match !self.direct || is_aligned(&bytes) {
            true => self.write_all(offset, bytes).await,
            false => self.write_all(offset, aligned(&bytes)).await,
        };
        self.extent.wrote(end, written.is_ok());
        written
    }

    async fn write_all(self: &Rc<Self>, mut offset: u64, mut bytes: SharedBytes) -> io::Result<()> {
        while !bytes.is_empty() {
            // The kernel's lengths are 32 bits; a chunk is far below that.
            let write = opcode::Write::new(self.target(), bytes.as_ptr(), bytes.len() as u32).offset(offset);
            // SAFETY: the bytes stay where they are and unchanged while any clone lives.
            let (count, back) = unsafe { self.run(write.build(), bytes).await };
            // What was written of the last sector is written again with the rest of it.
            let count = count? / self.unit() * self.unit();
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = back.slice(count..back.len());
            offset += count as u64;
        }
        Ok(())
    }

    // Offsets, lengths and addresses of requests are multiples of this.
    fn unit(&self) -> usize {
        if self.direct { SECTOR } else { 1 }
    }

    async fn grow(self: &Rc<Self>, from: u64, len: u64) {
        let grow = opcode::Fallocate::new(self.target(), len).offset(from).build();
        // SAFETY: the entry names no memory.
        let (grown, ()) = unsafe { self.run(grow, ()).await };
        // A file system that cannot, or has no room: the writes themselves make the file longer.
        self.extent.resized(grown.is_ok().then_some(from + len));
    }

    async fn sync(self: &Rc<Self>) -> io::Result<()> {
        if let Some(len) = self.extent.cut().await {
            let own = self.handle().try_clone();
            let cut = match own {
                Ok(own) => executor().spawn_blocking(move || own.set_len(len)).await,
                Err(error) => Err(error),
            };
            self.extent.resized(cut.is_ok().then_some(len));
            cut?;
        }
        // Not fdatasync: a length that was cut must be as durable as the contents.
        let sync = opcode::Fsync::new(self.target()).build();
        // SAFETY: the entry names no memory.
        let (synced, ()) = unsafe { self.run(sync, ()).await };
        synced.map(|_| ())
    }

    async fn read_into(self: &Rc<Self>, offset: u64, mut buffer: Buffer) -> io::Result<(Buffer, usize)> {
        let mut done = 0;
        loop {
            let rest = &mut buffer.as_mut_slice()[done..];
            // The kernel's lengths are 32 bits; what it does not take at once it is asked for again.
            let wanted = rest.len().min(CHUNK) as u32;
            let read = opcode::Read::new(self.target(), rest.as_mut_ptr(), wanted);
            // SAFETY: the memory does not move with its owner, and nobody reads it meanwhile.
            let (count, back) = unsafe { self.run(read.offset(offset + done as u64).build(), buffer).await };
            buffer = back;
            let count = count?;
            done += count;
            // A direct read that stops inside a sector is at the end.
            if count == 0 || done == buffer.as_slice().len() || !count.is_multiple_of(self.unit()) {
                return Ok((buffer, done));
            }
        }
    }

    async fn read(self: &Rc<Self>, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let end = self.extent.len().min(offset.saturating_add(len as u64));
        let mut bytes = Vec::with_capacity(end.saturating_sub(offset) as usize);
        while offset + (bytes.len() as u64) < end {
            let at = offset + bytes.len() as u64;
            let skip = (at % SECTOR as u64) as usize;
            let wanted = CHUNK.min((end - at) as usize + skip).next_multiple_of(SECTOR);
            let mut memory = self.ring.memory(wanted);
            let read = opcode::Read::new(self.target(), memory.as_mut().as_mut_ptr(), wanted as u32);
            // SAFETY: the memory does not move with its owner, and nobody reads it meanwhile.
            let (count, memory) = unsafe { self.run(read.offset(at - skip as u64).build(), memory).await };
            let count = count?.min(skip + (end - at) as usize);
            if count > skip {
                bytes.extend_from_slice(&memory.as_slice()[skip..count]);
            }
            self.ring.give_back(memory);
            if count <= skip {
                break;
            }
        }
        Ok(bytes)
    }
}

fn is_interruption(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN))
}

// A copy that the kernel takes.
fn aligned(bytes: &[u8]) -> SharedBytes {
    let mut copy = Aligned::new(bytes.len());
    copy.as_mut()[..bytes.len()].copy_from_slice(bytes);
    let start = copy.as_slice().as_ptr();
    // SAFETY: nobody can reach the copy to change it, and it does not move with its owner.
    unsafe { SharedBytes::new(Arc::new(copy), start, bytes.len()) }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        let excess = self.extent.excess();
        // An operation of its own: the descriptor is closed before the core ends, and by a helper, as closing may
        // block. It tells of no error that `sync` has not told.
        let closing = self.scheduler.operation(async move {
            executor().spawn_blocking(move || excess.map_or(Ok(()), |len| handle.set_len(len))).await
        });
        drop(closing);
    }
}
