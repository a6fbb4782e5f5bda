//! One pending file, written in the background.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::{Poll, Waker};

use millstream_storage::disk::{Disk, OpenMode};

use super::failed;
use crate::error::{Error, ErrorKind, Result};
use crate::host::{Class, Host};

/// The bytes of a shard that are not written yet, over all its files.
pub(super) struct Backlog {
    bytes: Cell<usize>,
    limit: usize,
    wake: Waker,
    /// What made a file fail: everything after it would be incomplete.
    failure: RefCell<Option<String>>,
}

impl Backlog {
    /// Calls `wake` when there is room again below `limit` bytes, or a write has failed.
    pub(super) fn new(limit: usize, wake: Waker) -> Rc<Backlog> {
        Rc::new(Backlog { bytes: Cell::new(0), limit, wake, failure: RefCell::new(None) })
    }

    /// Whether there is room for more; also after a failure, which would otherwise never be asked for: what a failed
    /// file holds is not written any more.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.get() < self.limit || self.failure.borrow().is_some()
    }

    /// # Errors
    /// If a write has failed.
    pub(super) fn check(&self) -> Result<()> {
        let failure = self.failure.borrow();
        failure.as_ref().map_or(Ok(()), |message| Err(Error::new(ErrorKind::Sink, message.clone())))
    }

    fn written(&self, bytes: usize) {
        let had_room = self.has_room();
        self.bytes.set(self.bytes.get() - bytes);
        if !had_room && self.has_room() {
            self.wake.wake_by_ref();
        }
    }

    fn fail(&self, error: &Error) {
        self.failure.borrow_mut().get_or_insert_with(|| error.to_string());
        self.wake.wake_by_ref();
    }
}

/// The near end of a file that a background task writes.
pub(super) struct Spool {
    shared: Rc<RefCell<Shared>>,
    backlog: Rc<Backlog>,
}

#[derive(Default)]
struct Shared {
    chunks: VecDeque<Vec<u8>>,
    /// Nothing is added any more: sync it.
    complete: bool,
    /// Written and synced, or given up.
    done: bool,
    writer: Option<Waker>,
    waiter: Option<Waker>,
}

impl Spool {
    /// Starts to write a new file.
    pub(super) fn create(host: &dyn Host, path: PathBuf, backlog: Rc<Backlog>) -> Spool {
        let shared = Rc::new(RefCell::new(Shared::default()));
        let (disk, far, far_backlog) = (host.disk(), shared.clone(), backlog.clone());
        host.spawn(
            Class::Records,
            Box::pin(async move {
                if let Err(error) = write_file(&*disk, &path, &far, &far_backlog).await {
                    far_backlog.fail(&error);
                }
                let mut far = far.borrow_mut();
                far.done = true;
                let waiter = far.waiter.take();
                drop(far);
                waiter.into_iter().for_each(Waker::wake);
            }),
        );
        Spool { shared, backlog }
    }

    /// Appends bytes.
    pub(super) fn push(&self, chunk: Vec<u8>) {
        self.backlog.bytes.set(self.backlog.bytes.get() + chunk.len());
        self.shared.borrow_mut().chunks.push_back(chunk);
        self.wake_writer();
    }

    /// Says that nothing is added any more.
    pub(super) fn complete(&self) {
        self.shared.borrow_mut().complete = true;
        self.wake_writer();
    }

    /// Waits until a complete file is durable.
    ///
    /// # Errors
    /// If it cannot be written; it must be given up then.
    pub(super) async fn durable(self) -> Result<()> {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if shared.done {
                return Poll::Ready(());
            }
            shared.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        self.backlog.check()
    }

    fn wake_writer(&self) {
        let writer = self.shared.borrow_mut().writer.take();
        writer.into_iter().for_each(Waker::wake);
    }
}

/// Writes what comes until the file is complete, then syncs it: once, as after a failed sync nobody knows what a
/// second one would vouch for.
async fn write_file(disk: &dyn Disk, path: &Path, shared: &RefCell<Shared>, backlog: &Backlog) -> Result<()> {
    let opened = disk.open(path, OpenMode::Create).await;
    let file = opened.map_err(|error| failed("create it", path, error))?;
    let mut offset = 0;
    while let Some(chunk) = next_chunk(shared).await {
        let bytes = chunk.len();
        let written = file.write_at(offset, chunk.into()).await;
        written.map_err(|error| failed(&format!("write {bytes} bytes at {offset}"), path, error))?;
        offset += bytes as u64;
        backlog.written(bytes);
    }
    file.sync().await.map_err(|error| failed("sync it", path, error))
}

/// Waits for the next chunk; `None` when the file is complete.
async fn next_chunk(shared: &RefCell<Shared>) -> Option<Vec<u8>> {
    poll_fn(|cx| {
        let mut shared = shared.borrow_mut();
        match shared.chunks.pop_front() {
            None if !shared.complete => {
                shared.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            chunk => Poll::Ready(chunk),
        }
    })
    .await
}
