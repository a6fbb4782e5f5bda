//! Large writes as a few requests that are under way at once.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::rc::Rc;

use millstream_storage::disk::SharedBytes;

use crate::host::schedule::Scheduler;

/// Requests of one write that are under way at once: enough to keep a disk busy while the next is prepared.
const WINDOW: usize = 4;

/// Writes `bytes` chunk by chunk: `write` gets the place of a chunk within `bytes`, and the chunk.
pub(super) async fn write<F: Future<Output = io::Result<()>> + 'static>(
    scheduler: &Rc<Scheduler>,
    bytes: SharedBytes,
    chunk: usize,
    write: impl Fn(u64, SharedBytes) -> F,
) -> io::Result<()> {
    if bytes.len() <= chunk {
        return write(0, bytes).await;
    }
    let mut under_way = VecDeque::with_capacity(WINDOW);
    let mut outcome = Ok(());
    for start in (0..bytes.len()).step_by(chunk) {
        if under_way.len() == WINDOW {
            outcome = under_way.pop_front().expect("the window is full").await;
        }
        if outcome.is_err() {
            break;
        }
        let part = bytes.slice(start..bytes.len().min(start + chunk));
        under_way.push_back(scheduler.operation(write(start as u64, part)));
    }
    // Nothing is under way any more when this returns, after an error either.
    for chunk in under_way {
        outcome = outcome.and(chunk.await);
    }
    outcome
}
