//! Writing ahead of checkpoints: full segments that have stopped changing go to disk while the state goes on.
//!
//! A spilled file is like a checkpoint's, but no checkpoint waits for it: the next one names it. Where a checkpoint's
//! line is drawn while a file is under way, the checkpoint waits for its end, and writes the same blocks itself if it
//! failed. So the order of the files is the order of the log, whatever fails.

use std::cell::RefCell;
use std::future::poll_fn;
use std::path::PathBuf;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::disk::Disk;
use crate::error::StoreError;
use crate::log::pending::Ranges;
use crate::snapshot::DeltaFile;
use crate::writer::{NewFile, write_file};

/// Segments to be written in the background. Made by [`Store::spill`](crate::store::Store::spill).
///
/// Dropped before its end it counts as failed.
///
/// ```
/// use millstream_storage::spill::Spill;
/// # use std::rc::Rc;
/// # use millstream_storage::disk::{StdDisk, block_on};
/// # use millstream_storage::hash::stable_hash;
/// # use millstream_storage::store::{Store, StoreConfig};
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path().to_owned();
/// # let disk = Rc::new(StdDisk);
/// # let small = StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("counts", 1) };
/// # let mut store = Store::new(StoreConfig { budget: Some(1 << 20), ..small });
/// # let table = store.create_table(0, 0);
///
/// # let mut next = 0_u32;
/// # while store.has_room() {
/// #     let key = next.to_le_bytes();
/// #     store.put(table, stable_hash(&key), &key, &[0; 100])?;
/// #     next += 1;
/// # }
/// let spill: Spill = store.spill().expect("the memory is used up");
/// let bytes = spill.bytes();
/// block_on(spill.write(disk, dir))?;
/// while store.maintain(64 << 10) > 0 {}
/// assert!(store.has_room() && store.evicted_bytes() > 0);
/// assert!(store.stats().written_bytes >= bytes, "an index may be written with them");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Spill {
    name: String,
    store: u64,
    epoch: u64,
    part: u32,
    /// The seed of the file's index.
    seed: u64,
    ticket: Ticket,
}

/// What became of a spill, shared by those who wait for it.
#[derive(Clone)]
pub(crate) struct Ticket {
    pub(crate) ranges: Rc<Ranges>,
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    /// The file, or that it failed.
    outcome: Option<Result<DeltaFile, ()>>,
    waiting: Vec<Waker>,
}

impl Ticket {
    /// The file once it is written, or the ranges that were not.
    pub(crate) async fn outcome(&self) -> Result<DeltaFile, Rc<Ranges>> {
        poll_fn(|context| match self.poll() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.state.borrow_mut().waiting.push(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// As [`Ticket::outcome`], if it is known.
    pub(crate) fn poll(&self) -> Option<Result<DeltaFile, Rc<Ranges>>> {
        let outcome = self.state.borrow().outcome.clone()?;
        Some(outcome.map_err(|()| self.ranges.clone()))
    }

    /// The ranges, if they are known not to have been written.
    pub(crate) fn failed(&self) -> Option<Rc<Ranges>> {
        self.poll().and_then(Result::err)
    }

    fn settle(&self, outcome: Result<DeltaFile, ()>) {
        let mut state = self.state.borrow_mut();
        if state.outcome.is_none() {
            state.outcome = Some(outcome);
            state.waiting.drain(..).for_each(Waker::wake);
        }
    }
}

impl Spill {
    pub(crate) fn new(
        name: String,
        (store, seed): (u64, u64),
        (epoch, part): (u64, u32),
        ranges: Ranges,
    ) -> Spill {
        let ticket = Ticket { ranges: Rc::new(ranges), state: Rc::default() };
        Spill { name, store, epoch, part, seed, ticket }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket.clone()
    }

    /// Bytes of state that [`Spill::write`] is going to write; an index of them may come on top.
    pub fn bytes(&self) -> u64 {
        self.ticket.ranges.iter().map(|(at, range)| u64::from(range.end - at.1)).sum()
    }

    /// Writes the segments into a new file of `dir` and syncs it. The store notices by itself.
    ///
    /// # Errors
    /// If the disk refuses: the file is abandoned, to be removed when no manifest names it, and the store writes its
    /// contents again, with its next spill or checkpoint.
    pub async fn write(self, disk: Rc<dyn Disk>, dir: PathBuf) -> Result<(), StoreError> {
        let Spill { name, store, epoch, part, seed, .. } = &self;
        let new = NewFile { name, store: *store, epoch: *epoch, part: *part, seed: Some(*seed) };
        let file = write_file(&*disk, &dir, new, &self.ticket.ranges).await?;
        self.ticket.settle(Ok(file));
        Ok(())
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.ticket.settle(Err(()));
    }
}
