//! One pending file, written in the background: for sinks that keep on disk what they have not committed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::PathBuf;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use millstream_storage::disk::{Io, OpenMode, SharedBytes};
use millstream_storage::planted;

use super::failed;
use crate::error::{Error, ErrorKind, Result};
use crate::host::{Class, Host};

/// How long to wait for space on a full disk, or for a free descriptor, before trying again.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// The bytes of a shard that are not written yet, over all its files.
///
/// ```
/// use std::task::Waker;
/// use millstream::sink::file::spool::Backlog;
///
/// let backlog = Backlog::new(1 << 20, Waker::noop().clone());
/// assert!(backlog.has_room() && backlog.check().is_ok());
/// ```
pub struct Backlog {
    bytes: Cell<usize>,
    limit: usize,
    wake: Waker,
    /// What made a file fail: everything after it would be incomplete.
    failure: RefCell<Option<String>>,
}

impl Backlog {
    /// Calls `wake` when there is room again below `limit` bytes, or a write has failed.
    pub fn new(limit: usize, wake: Waker) -> Rc<Backlog> {
        Rc::new(Backlog { bytes: Cell::new(0), limit, wake, failure: RefCell::new(None) })
    }

    /// Whether there is room for more; also after a failure, which would otherwise never be asked for: what a failed
    /// file holds is not written any more.
    pub fn has_room(&self) -> bool {
        self.bytes.get() < self.limit || self.failure.borrow().is_some()
    }

    /// Whether all is well.
    ///
    /// # Errors
    /// If a write has failed.
    pub fn check(&self) -> Result<()> {
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
///
/// ```
/// use std::task::Waker;
/// use millstream::host::{CoreMain, RuntimeConfig, launch};
/// use millstream::sink::file::spool::{Backlog, Spool};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("one");
/// # let written = path.clone();
/// let main: CoreMain = Box::new(|host| {
///     Box::pin(async move {
///         let backlog = Backlog::new(1 << 20, Waker::noop().clone());
///         let spool = Spool::create(host, path, backlog);
///         spool.push(b"some ".to_vec());
///         spool.push(b"bytes".to_vec());
///         spool.complete();
///         spool.durable().await.expect("there is room for it");
///     })
/// });
/// launch(&RuntimeConfig::default(), vec![main])?.join()?;
/// # assert_eq!(std::fs::read(written).unwrap(), b"some bytes");
/// # Ok::<(), millstream::host::HostError>(())
/// ```
///
/// Its name is durable once the directory is synced, too.
pub struct Spool {
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
    /// What the machine lacks at the moment to go on.
    stalled: Option<String>,
    writer: Option<Waker>,
    waiters: Vec<Waker>,
}

impl Shared {
    fn wake_waiters(&mut self) {
        self.waiters.drain(..).for_each(Waker::wake);
    }
}

impl Spool {
    /// Starts to write a new file.
    pub fn create(host: Rc<dyn Host>, path: PathBuf, backlog: Rc<Backlog>) -> Rc<Spool> {
        let shared = Rc::new(RefCell::new(Shared::default()));
        let far = Far { host: host.clone(), path, shared: shared.clone(), backlog: backlog.clone() };
        host.spawn(
            Class::Records,
            Box::pin(async move {
                if let Err(error) = far.write_file().await {
                    far.backlog.fail(&error);
                }
                let mut shared = far.shared.borrow_mut();
                shared.done = true;
                shared.wake_waiters();
            }),
        );
        Rc::new(Spool { shared, backlog })
    }

    /// Appends bytes.
    pub fn push(&self, chunk: Vec<u8>) {
        self.backlog.bytes.set(self.backlog.bytes.get() + chunk.len());
        self.shared.borrow_mut().chunks.push_back(chunk);
        self.wake_writer();
    }

    /// Says that nothing is added any more.
    pub fn complete(&self) {
        self.shared.borrow_mut().complete = true;
        self.wake_writer();
    }

    /// Waits until a complete file is durable.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] if the machine lacks room to go on: it may be asked again. Otherwise the file cannot be
    /// written, and must be given up.
    pub async fn durable(&self) -> Result<()> {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if shared.done {
                return Poll::Ready(self.backlog.check());
            }
            if let Some(message) = &shared.stalled {
                return Poll::Ready(Err(Error::new(ErrorKind::Exhausted, message.clone())));
            }
            shared.waiters.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn wake_writer(&self) {
        let writer = self.shared.borrow_mut().writer.take();
        writer.into_iter().for_each(Waker::wake);
    }
}

/// The far end: the task that writes the file.
struct Far {
    host: Rc<dyn Host>,
    path: PathBuf,
    shared: Rc<RefCell<Shared>>,
    backlog: Rc<Backlog>,
}

impl Far {
    /// Writes what comes until the file is complete, then syncs it: once, as after a failed sync nobody knows what a
    /// second one would vouch for.
    async fn write_file(&self) -> Result<()> {
        let disk = self.host.disk();
        let file = self.with_room("create it", || disk.open(&self.path, OpenMode::Create)).await?;
        let mut offset = 0;
        while let Some(chunk) = self.next_chunk().await {
            let chunk = SharedBytes::from(chunk);
            let what = format!("write {} bytes at {offset}", chunk.len());
            if planted!(full_disk_skips) {
                let _ = file.write_at(offset, chunk.clone()).await;
            } else {
                self.with_room(&what, || file.write_at(offset, chunk.clone())).await?;
            }
            offset += chunk.len() as u64;
            self.backlog.written(chunk.len());
        }
        file.sync().await.map_err(|error| failed("sync it", &self.path, error))
    }

    /// Repeats an operation for as long as the machine lacks room for it.
    async fn with_room<T>(&self, what: &str, operation: impl Fn() -> Io<T>) -> Result<T> {
        loop {
            let error = match operation().await {
                Ok(done) => {
                    self.shared.borrow_mut().stalled = None;
                    return Ok(done);
                }
                Err(error) => failed(what, &self.path, error),
            };
            if error.kind() != ErrorKind::Exhausted {
                return Err(error);
            }
            self.stall(&error);
            self.host.sleep(PAUSE).await;
        }
    }

    /// Lets those who wait for the file know that it will take a while.
    fn stall(&self, error: &Error) {
        let mut shared = self.shared.borrow_mut();
        shared.stalled = Some(error.to_string());
        shared.wake_waiters();
    }

    /// Waits for the next chunk; `None` when the file is complete.
    async fn next_chunk(&self) -> Option<Vec<u8>> {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
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
}
