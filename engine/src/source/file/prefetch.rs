//! Reads a file ahead of its split, in the background, into bounded memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::PathBuf;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::error::{Error, ErrorKind, Result};
use crate::host::Class;
use crate::source::SourceContext;

/// How many chunks are read ahead.
const AHEAD: usize = 4;

/// What is there to take.
pub(super) enum Taken {
    /// The next bytes; never empty.
    Chunk(Vec<u8>),
    /// Nothing yet; the shard will be woken.
    Pending,
    /// The end of the file.
    End,
}

/// The near end of a background task that reads one file. Dropping it ends the task.
pub(super) struct Prefetch {
    shared: Rc<RefCell<Shared>>,
}

#[derive(Default)]
struct Shared {
    chunks: VecDeque<Vec<u8>>,
    outcome: Option<Result<()>>,
    abandoned: bool,
    /// Wakes the task when there is room for a chunk, or nobody wants one any more.
    room: Option<Waker>,
}

impl Prefetch {
    /// Starts to read a file at an offset.
    pub(super) fn start(cx: &SourceContext, path: PathBuf, offset: u64, chunk: usize) -> Prefetch {
        let shared = Rc::new(RefCell::new(Shared::default()));
        let (host, wake, task) = (cx.host.clone(), cx.wake.clone(), shared.clone());
        let disk = host.disk();
        host.spawn(
            Class::Records,
            Box::pin(async move {
                let read = Ahead { shared: task.clone(), wake: wake.clone(), path, chunk };
                let outcome = read.run(disk, offset).await;
                task.borrow_mut().outcome = Some(outcome);
                wake.wake();
            }),
        );
        Prefetch { shared }
    }

    /// Takes what has arrived.
    ///
    /// # Errors
    /// If the file cannot be read; everything before has been taken then.
    pub(super) fn take(&mut self) -> Result<Taken> {
        let mut shared = self.shared.borrow_mut();
        if let Some(chunk) = shared.chunks.pop_front() {
            let room = shared.room.take();
            drop(shared);
            room.into_iter().for_each(Waker::wake);
            return Ok(Taken::Chunk(chunk));
        }
        match &mut shared.outcome {
            Some(outcome) => std::mem::replace(outcome, Ok(())).map(|()| Taken::End),
            None => Ok(Taken::Pending),
        }
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.abandoned = true;
        let room = shared.room.take();
        drop(shared);
        room.into_iter().for_each(Waker::wake);
    }
}

/// The far end.
struct Ahead {
    shared: Rc<RefCell<Shared>>,
    wake: Waker,
    path: PathBuf,
    chunk: usize,
}

impl Ahead {
    /// Reads what the file holds when it is opened.
    async fn run(&self, disk: Rc<dyn millstream_storage::disk::Disk>, mut offset: u64) -> Result<()> {
        use millstream_storage::disk::OpenMode;
        let failed = |what: &str, error| {
            Error::new(ErrorKind::Source, format!("{}: cannot {what} it", self.path.display()))
                .caused_by(error)
        };
        let file = disk.open(&self.path, OpenMode::Read).await.map_err(|e| failed("open", e))?;
        let len = file.len().await.map_err(|e| failed("measure", e))?;
        while offset < len && self.room().await {
            let want = self.chunk.min(usize::try_from(len - offset).unwrap_or(usize::MAX));
            let bytes = file.read_at(offset, want).await;
            let bytes = bytes.map_err(|e| failed(&format!("read at byte {offset} of"), e))?;
            if bytes.len() < want {
                return Err(self.shrunk(offset + bytes.len() as u64, len));
            }
            offset += want as u64;
            self.shared.borrow_mut().chunks.push_back(bytes);
            self.wake.wake_by_ref();
        }
        Ok(())
    }

    /// Waits until another chunk may be read; false if nobody wants it.
    async fn room(&self) -> bool {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if shared.abandoned || shared.chunks.len() < AHEAD {
                return Poll::Ready(!shared.abandoned);
            }
            shared.room = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn shrunk(&self, now: u64, before: u64) -> Error {
        let path = self.path.display();
        Error::new(
            ErrorKind::Source,
            format!(
                "{path}: shrank from {before} to {now} bytes while it was read; input files must not change"
            ),
        )
    }
}
