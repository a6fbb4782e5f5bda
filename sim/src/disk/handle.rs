//! The disk as the process sees it: the seam's `Disk` and `File`.
//!
//! Handles belong to one process. After its end they do nothing, and what was asked of them never answers, so that
//! destructors of a killed process leave no trace on the disk.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode, SharedBytes};

use super::locks::LockId;
use super::names::Inode;
use super::op::{Op, Reply, Slot};
use crate::world::kernel::Kernel;

/// A process's access to the disk.
#[derive(Clone)]
pub(crate) struct SimDisk {
    pub(crate) kernel: Rc<Kernel>,
    pub(crate) process: u64,
}

/// Waits for an operation. What it brought and nobody took is given back.
struct Answer {
    disk: SimDisk,
    slot: Rc<RefCell<Slot>>,
}

impl Future for Answer {
    type Output = io::Result<Reply>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Reply>> {
        let mut slot = self.slot.borrow_mut();
        if let Some(reply) = slot.reply.take() {
            return Poll::Ready(reply);
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let unseen = self.slot.borrow_mut().reply.take();
        if let Some(Ok(reply)) = unseen {
            self.disk.kernel.give_back(self.disk.process, &reply);
        }
    }
}

impl SimDisk {
    fn start(&self, op: Op) -> Answer {
        Answer { slot: self.kernel.issue(self.process, op), disk: self.clone() }
    }

    /// An operation and what to make of its answer. Some operations start when they are asked for, as in a queue of
    /// the kernel; some only when they are first polled, as an `async` block does: callers must not care.
    fn ask<T: 'static>(&self, op: Op, then: impl FnOnce(Reply) -> T + 'static) -> Io<T> {
        let eager = self.kernel.starts_eagerly();
        let disk = self.clone();
        let asked = if eager { Ok(self.start(op)) } else { Err(op) };
        Box::pin(async move {
            let answer = match asked {
                Ok(answer) => answer,
                Err(op) => disk.start(op),
            };
            answer.await.map(then)
        })
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        let disk = self.clone();
        self.ask(Op::Open { path: path.to_owned(), mode }, move |reply| -> Rc<dyn File> {
            let Reply::Opened(inode) = reply else { unreachable!("open answers with a file") };
            Rc::new(SimFile { opened: Rc::new(Opened { disk, inode, mode }) })
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Io<()> {
        self.ask(Op::Rename { from: from.to_owned(), to: to.to_owned() }, |_| ())
    }

    fn remove(&self, path: &Path) -> Io<()> {
        self.ask(Op::Remove { path: path.to_owned() }, |_| ())
    }

    fn create_dir_all(&self, path: &Path) -> Io<()> {
        self.ask(Op::CreateDirAll { path: path.to_owned() }, |_| ())
    }

    fn sync_dir(&self, path: &Path) -> Io<()> {
        self.ask(Op::SyncDir { path: path.to_owned(), mark: 0 }, |_| ())
    }

    fn list(&self, path: &Path) -> Io<Vec<DirEntry>> {
        self.ask(Op::List { path: path.to_owned() }, |reply| {
            let Reply::Entries(entries) = reply else { unreachable!("list answers with entries") };
            entries
        })
    }

    fn lock(&self, path: &Path) -> Io<Lease> {
        let (disk, held) = (self.clone(), path.to_owned());
        self.ask(Op::Lock { path: path.to_owned(), process: self.process }, move |reply| {
            let Reply::Locked(id) = reply else { unreachable!("lock answers with a lock") };
            Lease { path: held, guard: Box::new(Guard { disk, id }) }
        })
    }
}

/// Releases a lock.
struct Guard {
    disk: SimDisk,
    id: LockId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.disk.kernel.give_back(self.disk.process, &Reply::Locked(self.id));
    }
}

/// Closes a file when the last operation on it has been dropped.
struct Opened {
    disk: SimDisk,
    inode: Inode,
    mode: OpenMode,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.disk.kernel.give_back(self.disk.process, &Reply::Opened(self.inode));
    }
}

/// An open file.
struct SimFile {
    opened: Rc<Opened>,
}

impl SimFile {
    fn ask<T: 'static>(&self, op: Op, then: impl FnOnce(Reply) -> T + 'static) -> Io<T> {
        // An operation that has not started yet keeps the file open.
        let opened = self.opened.clone();
        self.opened.disk.ask(op, move |reply| {
            drop(opened);
            then(reply)
        })
    }
}

impl File for SimFile {
    fn len(&self) -> Io<u64> {
        self.ask(Op::Len { inode: self.opened.inode }, |reply| {
            let Reply::Len(len) = reply else { unreachable!("len answers with a length") };
            len
        })
    }

    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        self.ask(Op::Read { inode: self.opened.inode, offset, len }, |reply| {
            let Reply::Bytes(bytes) = reply else { unreachable!("read answers with bytes") };
            bytes
        })
    }

    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()> {
        let Opened { inode, mode, .. } = *self.opened;
        self.ask(Op::Write { inode, mode, offset, bytes }, |_| ())
    }

    fn sync(&self) -> Io<()> {
        self.ask(Op::Sync { inode: self.opened.inode, mark: 0 }, |_| ())
    }
}
