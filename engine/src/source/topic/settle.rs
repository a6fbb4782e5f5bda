//! What a writer that died may have left: records whole but not known to be durable, decisions that readers were not told
//! of, open transactions that nobody has aborted. Somebody must say whether it counts.

use std::future::poll_fn;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use millstream_storage::disk::Disk;
use millstream_storage::topic::{Isolation, TopicError, TopicReader, TopicWriter};

use super::failed;
use crate::error::Result;
use crate::host::Host;

/// Who holds a topic may be another reader that brings it in order, and that for a moment only.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Done once by the shards of a source together: a topic that its writer has left like that is opened by a writer, which
/// brings it in order. If another writer lives, it does so by itself.
#[derive(Clone, Default)]
pub(super) struct Settle(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Running(Vec<Waker>),
    Done,
}

/// Lets the others go on: to do it themselves, if it came to nothing.
struct Turn<'a> {
    settle: &'a Settle,
    after: State,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.settle.state(), std::mem::take(&mut self.after));
        if let State::Running(waiting) = before {
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

impl Settle {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn run(&self, host: &Rc<dyn Host>, dir: &Path) -> Result<()> {
        let first = poll_fn(|cx| match &mut *self.state() {
            state @ State::Idle => {
                *state = State::Running(Vec::new());
                Poll::Ready(true)
            }
            State::Running(waiting) => {
                waiting.push(cx.waker().clone());
                Poll::Pending
            }
            State::Done => Poll::Ready(false),
        });
        if !first.await {
            return Ok(());
        }
        let mut turn = Turn { settle: self, after: State::Idle };
        for _ in 0..LOOKS {
            if settle(host.disk(), dir).await.map_err(failed)? == Told::All {
                break;
            }
            host.sleep(BETWEEN_LOOKS).await;
        }
        turn.after = State::Done;
        Ok(())
    }
}

/// Who tells readers what is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// They have been told.
    All,
    /// A writer that lives: in its own time.
    ByWriter,
}

/// Has it told what is durable, if that may not be known. That may take a writer, which fails on a full disk: then it
/// would be wrong to take what can be read for all there is.
async fn settle(disk: Rc<dyn Disk>, dir: &Path) -> Result<Told, TopicError> {
    let mut durable = TopicReader::open(disk.clone(), dir, Isolation::Committed).await?;
    let mut whole = TopicReader::open(disk.clone(), dir, Isolation::Uncommitted).await?;
    let mut is_settled = durable.is_settled().await?;
    for partition in 0..durable.partitions() {
        is_settled &= durable.range(partition).await?.end >= whole.range(partition).await?.end;
    }
    if is_settled { Ok(Told::All) } else { tell(disk, dir).await }
}

/// Has it told what is durable, and open transactions aborted that nobody goes on with.
pub(super) async fn tell(disk: Rc<dyn Disk>, dir: &Path) -> Result<Told, TopicError> {
    match TopicWriter::open(disk, dir).await {
        Err(TopicError::Held { .. }) => Ok(Told::ByWriter),
        opened => opened?.close().await.map(|()| Told::All),
    }
}
