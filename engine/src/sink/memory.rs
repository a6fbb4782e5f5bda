//! A sink into memory: for tests, and for programs that want the results of a job that ends.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Prepared, Sink, SinkContext, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::host::LocalFuture;
use crate::time::Timestamp;

/// A sink and the handle to what it has collected.
///
/// Records become visible when they are committed, exactly once, also across restarts of the job inside one
/// process. They do not outlive the process: a checkpoint with records that were not committed yet is refused by
/// another one.
///
/// ```
/// # use millstream::prelude::*;
/// let job = Job::new("doc");
/// let (sink, collected) = collect();
/// job.source("numbers", from_vec(vec![1, 2, 3])).sink("out", sink);
/// assert!(collected.take().is_empty(), "the job was not run yet");
/// job.run(Config::new().cores(1))?;
/// assert_eq!(collected.take(), [1, 2, 3]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub fn collect<T>() -> (Collect<T>, Collected<T>) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    (Collect { shared: shared.clone() }, Collected { shared })
}

/// A sink into memory. Made by [`collect`].
///
/// ```
/// use millstream::sink::{Collect, Collected, Sink, collect};
///
/// let (sink, _collected): (Collect<u64>, Collected<u64>) = collect();
/// assert_eq!(sink.describe(), "memory");
/// ```
pub struct Collect<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

/// What was committed to a [`Collect`], in the order of the commits.
pub struct Collected<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

struct Shared<T> {
    committed: Vec<T>,
    /// Pre-committed, by shard and epoch.
    prepared: BTreeMap<(usize, u64), Vec<T>>,
    /// The newest epoch that each shard has committed.
    newest: BTreeMap<usize, u64>,
}

/// What a checkpoint keeps: the epochs that were not committed yet.
#[derive(Serialize, Deserialize)]
struct Pending {
    epochs: Vec<u64>,
}

impl<T> Default for Shared<T> {
    fn default() -> Shared<T> {
        Shared { committed: Vec::new(), prepared: BTreeMap::new(), newest: BTreeMap::new() }
    }
}

impl<T> Shared<T> {
    /// Makes visible what a shard has prepared up to an epoch.
    fn commit(&mut self, shard: usize, epoch: u64) {
        let keys: Vec<_> = self.prepared.range((shard, 0)..=(shard, epoch)).map(|(key, _)| *key).collect();
        for key in keys {
            self.committed.extend(self.prepared.remove(&key).into_iter().flatten());
        }
        let newest = self.newest.entry(shard).or_default();
        *newest = epoch.max(*newest);
    }

    fn recover(&mut self, prepared: &[Prepared]) -> Result<()> {
        for Prepared { shard, epoch, pending } in prepared {
            let pending = Pending::deserialize(pending).map_err(|error| {
                let message = format!("the checkpoint of epoch {epoch} is not one of a sink into memory");
                Error::new(ErrorKind::Restore, message).caused_by(error)
            })?;
            let newest = self.newest.get(shard).copied().unwrap_or(0);
            let lost = |of: &&u64| **of > newest && !self.prepared.contains_key(&(*shard, **of));
            if let Some(lost) = pending.epochs.iter().find(lost) {
                return Err(Error::new(
                    ErrorKind::Restore,
                    format!(
                        "the records of epoch {lost} were collected in the memory of a process that has ended; write \
                         to files to restore in another process"
                    ),
                ));
            }
            self.commit(*shard, *epoch);
        }
        self.prepared.clear();
        Ok(())
    }
}

/// Nothing is done under the lock that can panic half-way.
fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Collected<T> {
    /// Takes what was committed since the last call.
    pub fn take(&self) -> Vec<T> {
        mem::take(&mut lock(&self.shared).committed)
    }

    /// A copy of what was committed since the last [`take`](Collected::take).
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, collected) = collect();
    /// # job.source("numbers", from_vec(vec![1, 2, 3])).sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(collected.snapshot(), [1, 2, 3]);
    /// assert_eq!(collected.take(), [1, 2, 3]);
    /// assert!(collected.snapshot().is_empty());
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn snapshot(&self) -> Vec<T>
    where
        T: Clone,
    {
        lock(&self.shared).committed.clone()
    }
}

impl<T> Clone for Collect<T> {
    fn clone(&self) -> Collect<T> {
        Collect { shared: self.shared.clone() }
    }
}

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Collected<T> {
        Collected { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for Collect<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collect")
    }
}

impl<T> fmt::Debug for Collected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collected({} records)", lock(&self.shared).committed.len())
    }
}

impl<T: Send + 'static> Sink<T> for Collect<T> {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn recover(self, _: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async move { lock(&self.shared).recover(&prepared) })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        let writer = CollectWriter { shared: self.shared, shard: cx.shard, records: Vec::new() };
        Box::pin(async { Ok(Box::new(writer) as Box<dyn Writer<T>>) })
    }
}

struct CollectWriter<T> {
    shared: Arc<Mutex<Shared<T>>>,
    shard: usize,
    /// Since the last pre-commit.
    records: Vec<T>,
}

impl<T: Send + 'static> Writer<T> for CollectWriter<T> {
    fn write(&mut self, records: &mut Vec<T>, _: &[Timestamp]) -> Result<()> {
        self.records.append(records);
        Ok(())
    }

    fn has_room(&self) -> bool {
        true
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
        let mut shared = lock(&self.shared);
        shared.prepared.insert((self.shard, epoch), mem::take(&mut self.records));
        let mine = shared.prepared.range((self.shard, 0)..=(self.shard, epoch));
        let pending = json!(Pending { epochs: mine.map(|((_, epoch), _)| *epoch).collect() });
        Box::pin(async { Ok(pending) })
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        let (shared, shard) = (self.shared.clone(), self.shard);
        Box::pin(async move {
            lock(&shared).commit(shard, epoch);
            Ok(())
        })
    }
}
