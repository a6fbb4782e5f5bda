//! One partition, read ahead by a task of its own.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::{Poll, Waker};

use millstream_storage::topic::{Cursor, Isolation, Records, Signal, TopicReader};

use super::position::{Position, name};
use super::settle::{Told, tell};
use super::{Options, failed};
use crate::driver::race;
use crate::error::{Error, ErrorKind, Result};
use crate::host::{Class, Host};
use crate::source::SourceContext;

/// Batches that are kept ahead.
const AHEAD: usize = 4;

/// A partition and where it has been read to.
pub(super) struct Split {
    pub(super) partition: u32,
    /// After the last record that was taken, or passed over.
    pub(super) position: Position,
    shared: Rc<RefCell<Shared>>,
}

/// What the task has fetched, and what it waits for.
#[derive(Default)]
struct Shared {
    batches: VecDeque<Records>,
    /// Behind the batches: what was passed over because it was aborted counts, too.
    reached: u64,
    ended: bool,
    failed: Option<Error>,
    /// Nothing came when it asked last.
    silent: bool,
    room: Option<Waker>,
    abandoned: bool,
}

/// What a split has.
pub(super) enum Fetched {
    Batch(Records),
    Pending,
    Ended,
}

struct Task {
    host: Rc<dyn Host>,
    dir: PathBuf,
    wake: Waker,
    options: Options,
    signal: Signal,
    shared: Rc<RefCell<Shared>>,
    reader: TopicReader,
    cursor: Cursor,
    end: Option<u64>,
}

impl Split {
    /// Starts to read a partition.
    pub(super) async fn open(
        cx: &SourceContext,
        dir: &Path,
        options: Options,
        signal: &Option<Signal>,
        partition: u32,
        position: Position,
    ) -> Result<Split> {
        let mut reader = TopicReader::open(cx.host.disk(), dir, options.isolation).await.map_err(failed)?;
        let cursor = reader.seek(partition, position.offset).await.map_err(failed)?;
        let shared = Rc::new(RefCell::new(Shared { reached: position.offset, ..Shared::default() }));
        let task = Task {
            host: cx.host.clone(),
            dir: dir.to_owned(),
            wake: cx.wake.clone(),
            options,
            signal: signal.clone().unwrap_or_default(),
            shared: shared.clone(),
            reader,
            cursor,
            end: position.end,
        };
        cx.host.spawn(Class::Records, Box::pin(task.run()));
        Ok(Split { partition, position, shared })
    }

    /// The next batch.
    ///
    /// # Errors
    /// If the partition cannot be read on.
    pub(super) fn fetch(&mut self) -> Result<Fetched> {
        let mut shared = self.shared.borrow_mut();
        if let Some(records) = shared.batches.pop_front() {
            let room = shared.room.take();
            drop(shared);
            room.into_iter().for_each(Waker::wake);
            return Ok(Fetched::Batch(records));
        }
        if let Some(error) = shared.failed.take() {
            return Err(error);
        }
        let reached = shared.reached.min(self.position.end.unwrap_or(u64::MAX));
        self.position.offset = self.position.offset.max(reached);
        if !shared.ended {
            return Ok(Fetched::Pending);
        }
        // What was not there then, but is decided later, is not this job's, after a restore either.
        self.position.end = self.position.end.map(|_| self.position.offset);
        Ok(Fetched::Ended)
    }

    pub(super) fn is_silent(&self) -> bool {
        let shared = self.shared.borrow();
        shared.silent && shared.batches.is_empty()
    }
}

impl Drop for Split {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.abandoned = true;
        let room = shared.room.take();
        drop(shared);
        room.into_iter().for_each(Waker::wake);
    }
}

impl Task {
    async fn run(mut self) {
        let outcome = self.fetch_all().await;
        let mut shared = self.shared.borrow_mut();
        shared.ended = true;
        shared.failed = outcome.err();
        drop(shared);
        self.wake.wake_by_ref();
    }

    async fn fetch_all(&mut self) -> Result<()> {
        let mut over = false;
        while self.room().await {
            if self.end.is_some_and(|end| self.cursor.offset() >= end) {
                return Ok(());
            }
            let seen = self.signal.version();
            let next = self.reader.next(&mut self.cursor).await.map_err(failed)?;
            if self.deliver(next) {
                continue;
            }
            if let Some(end) = self.end {
                if over {
                    return Ok(());
                }
                over = self.is_told(end).await?;
            }
            if !over {
                race(self.signal.after(seen), self.host.sleep(self.options.poll)).await;
            }
        }
        Ok(())
    }

    /// Nothing came, and the end of this job is not reached: whether it is known that nothing will. A writer that lives
    /// decides its transactions in its own time. One that died may have left decisions that nobody was told of, and a
    /// crash may have taken what told the job's first process where the partition ends: another writer brings that in
    /// order. What is held back then is part of a transaction that is prepared, or behind one, and not there for a job
    /// that ends.
    async fn is_told(&mut self, end: u64) -> Result<bool> {
        let partition = self.cursor.partition();
        let is_committed = self.options.isolation == Isolation::Committed;
        if !is_committed && self.reader.range(partition).await.map_err(failed)?.end >= end {
            return Ok(true);
        }
        if tell(self.host.disk(), &self.dir).await.map_err(failed)? == Told::ByWriter {
            return Ok(false);
        }
        let found = self.reader.range(partition).await.map_err(failed)?.end;
        // What was read without being known to be durable may be lost.
        if found >= end || !is_committed {
            return Ok(true);
        }
        let (dir, name) = (self.dir.display(), name(partition));
        let message = format!(
            "topic {dir}: {name} ends at offset {found}, but went up to {end} when the job began: records are lost; \
             put the topic back, or start without the checkpoint"
        );
        Err(Error::new(ErrorKind::Source, message))
    }

    /// Hands over what came. False if that is nothing.
    fn deliver(&self, next: Option<Records>) -> bool {
        let quiet = next.is_none();
        let mut shared = self.shared.borrow_mut();
        shared.reached = self.cursor.offset();
        let turned = std::mem::replace(&mut shared.silent, quiet) != quiet;
        shared.batches.extend(next);
        drop(shared);
        if !quiet || turned {
            self.wake.wake_by_ref();
        }
        !quiet
    }

    /// Waits until another batch may be fetched; false if nobody wants it.
    async fn room(&self) -> bool {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if shared.abandoned || shared.batches.len() < AHEAD {
                return Poll::Ready(!shared.abandoned);
            }
            shared.room = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}
