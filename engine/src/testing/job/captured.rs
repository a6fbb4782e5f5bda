//! A sink that shows a test at once what it was given.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value as Json;

use crate::error::Result;
use crate::host::LocalFuture;
use crate::sink::{Prepared, Sink, SinkContext, Writer};
use crate::time::Timestamp;

/// A sink in the hands of a test; clones are the same one. The kit only goes on from checkpoints behind which nothing was
/// emitted, so that nothing of what is shown before a commit is ever taken back.
pub(crate) struct Captured<T> {
    records: Arc<Mutex<Vec<(Timestamp, T)>>>,
}

impl<T> Default for Captured<T> {
    fn default() -> Captured<T> {
        Captured { records: Arc::default() }
    }
}

impl<T> Clone for Captured<T> {
    fn clone(&self) -> Captured<T> {
        Captured { records: self.records.clone() }
    }
}

impl<T> Captured<T> {
    /// All is done by one thread; the lock is there for the types.
    fn lock(&self) -> MutexGuard<'_, Vec<(Timestamp, T)>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self) -> Vec<(Timestamp, T)> {
        mem::take(&mut self.lock())
    }
}

impl<T: Send + 'static> Sink<T> for Captured<T> {
    fn describe(&self) -> String {
        "what a test looks at".to_owned()
    }

    fn recover(self, _: SinkContext, _: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn open(self, _: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        Box::pin(async { Ok(Box::new(self) as Box<dyn Writer<T>>) })
    }
}

impl<T: Send + 'static> Writer<T> for Captured<T> {
    fn write(&mut self, records: &mut Vec<T>, times: &[Timestamp]) -> Result<()> {
        self.lock().extend(times.iter().copied().zip(records.drain(..)));
        Ok(())
    }

    fn has_room(&self) -> bool {
        true
    }

    fn pre_commit(&mut self, _: u64) -> LocalFuture<Result<Json>> {
        Box::pin(async { Ok(Json::Null) })
    }

    fn commit(&mut self, _: u64) -> LocalFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
