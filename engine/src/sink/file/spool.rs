//! One pending file, written in the background: for sinks that keep on disk what they have not committed.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::PathBuf;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use millstream_storage::disk::{File, Io, OpenMode, SharedBytes};
use millstream_storage::planted;

pub use super::backlog::Backlog;
use super::failed;
use crate::error::{Error, ErrorKind, Result};
use crate::host::{Class, Host};

/// How long to wait for space on a full disk, or for a free descriptor, before trying again.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

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
///         let backlog = Backlog::new(1 << 20, 16, Waker::noop().clone());
///         let spool = Spool::create(host, path, backlog);
///         spool.push(b"some ".to_vec());
///         spool.push(b"bytes".to_vec());
///         spool.complete();
///         spool.durable(10).await.expect("there is room for it");
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
    /// Bytes given to it.
    pushed: u64,
    /// Make so many of them durable.
    wanted: u64,
    /// So many are.
    synced: u64,
    /// Nothing is added any more.
    complete: bool,
    /// Written and synced, or given up.
    done: bool,
    /// What the machine lacks at the moment to go on.
    stalled: Option<String>,
    writer: Option<Waker>,
    waiters: Vec<Waker>,
}

impl Shared {
    fn wake_writer(&mut self) {
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    fn wake_waiters(&mut self) {
        self.waiters.drain(..).for_each(Waker::wake);
    }
}

impl Spool {
    /// Starts to write a new file.
    pub fn create(host: Rc<dyn Host>, path: PathBuf, backlog: Rc<Backlog>) -> Rc<Spool> {
        let shared = Rc::new(RefCell::new(Shared::default()));
        let (place, backlog_of_far) = (backlog.queue(), backlog.clone());
        let far = Far { host: host.clone(), path, place, shared: shared.clone(), backlog: backlog_of_far };
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
        self.backlog.add(chunk.len());
        let mut shared = self.shared.borrow_mut();
        shared.pushed += chunk.len() as u64;
        shared.chunks.push_back(chunk);
        shared.wake_writer();
    }

    /// Makes durable what it was given so far.
    pub(super) fn sync(&self) {
        let mut shared = self.shared.borrow_mut();
        shared.wanted = shared.pushed;
        shared.wake_writer();
    }

    /// Makes all durable, and says that nothing is added any more.
    pub fn complete(&self) {
        let mut shared = self.shared.borrow_mut();
        shared.complete = true;
        shared.wake_writer();
    }

    /// Waits until the first `bytes` are durable, which must have been asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] if the machine lacks room to go on: it may be asked again. Otherwise the file cannot be
    /// written, and must be given up.
    pub async fn durable(&self, bytes: u64) -> Result<()> {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if shared.done || shared.synced >= bytes {
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
}

/// What the far end is to do next.
enum Step {
    Write(Vec<u8>),
    /// After which so many bytes are durable.
    Sync(u64),
    Close,
}

/// The far end: the task that writes the file.
struct Far {
    host: Rc<dyn Host>,
    path: PathBuf,
    /// In the queue of files to be opened.
    place: u64,
    shared: Rc<RefCell<Shared>>,
    backlog: Rc<Backlog>,
}

impl Far {
    /// Writes what comes until the file is complete, and syncs it where asked to. Never again after that failed: nobody
    /// knows what a second sync would vouch for.
    async fn write_file(&self) -> Result<()> {
        let disk = self.host.disk();
        let _open = self.backlog.may_open(self.place).await;
        let file = self.with_room("create it", || disk.open(&self.path, OpenMode::Create)).await?;
        let mut offset = 0;
        loop {
            match self.next(offset).await {
                Step::Write(chunk) => offset += self.write(&*file, offset, chunk).await?,
                Step::Sync(bytes) => {
                    file.sync().await.map_err(|error| failed("sync it", &self.path, error))?;
                    {
                        let mut shared = self.shared.borrow_mut();
                        shared.synced = bytes;
                        shared.wake_waiters();
                    }
                    if planted!(footer_not_awaited) {
                        self.host.sleep(PAUSE).await;
                    }
                }
                Step::Close => return Ok(()),
            }
        }
    }

    /// Returns how many bytes it wrote.
    async fn write(&self, file: &dyn File, offset: u64, chunk: Vec<u8>) -> Result<u64> {
        let chunk = SharedBytes::from(chunk);
        let what = format!("write {} bytes at {offset}", chunk.len());
        if planted!(full_disk_skips) {
            let _ = file.write_at(offset, chunk.clone()).await;
        } else {
            self.with_room(&what, || file.write_at(offset, chunk.clone())).await?;
        }
        self.backlog.written(chunk.len());
        Ok(chunk.len() as u64)
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

    /// Waits for something to do, when so many bytes are `written`. A sync comes as soon as all are that it is to cover:
    /// there may be more to write without an end.
    async fn next(&self, written: u64) -> Step {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if shared.wanted > shared.synced && written >= shared.wanted {
                return Poll::Ready(Step::Sync(written));
            }
            if let Some(chunk) = shared.chunks.pop_front() {
                return Poll::Ready(Step::Write(chunk));
            }
            if shared.complete {
                return Poll::Ready(if shared.synced < written { Step::Sync(written) } else { Step::Close });
            }
            shared.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}
