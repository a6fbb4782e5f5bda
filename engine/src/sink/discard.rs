//! A sink that keeps nothing but the count: for benchmarks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value as Json;

use super::{Prepared, Sink, SinkContext, Writer};
use crate::error::Result;
use crate::host::LocalFuture;
use crate::time::Timestamp;

/// Drops records and counts them.
///
/// ```
/// # use millstream::prelude::*;
/// let job = Job::new("doc");
/// let sink = discard();
/// job.source("numbers", generator(1_000, |n| n)).sink("nowhere", sink.clone());
/// job.run(Config::new().cores(1))?;
/// assert_eq!(sink.count(), 1_000);
/// # Ok::<(), millstream::Error>(())
/// ```
pub fn discard() -> Discard {
    Discard { count: Arc::default() }
}

/// A sink that drops records. Made by [`discard`]; its clones share the count.
///
/// ```
/// use millstream::sink::{Discard, discard};
///
/// let sink: Discard = discard();
/// assert_eq!(sink.clone().count(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct Discard {
    count: Arc<AtomicU64>,
}

impl Discard {
    /// How many records arrived so far. After a restart those that are replayed count again.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl<T: 'static> Sink<T> for Discard {
    fn describe(&self) -> String {
        "nothing: records are counted and dropped".to_owned()
    }

    fn recover(self, _: SinkContext, _: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn open(self, _: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        Box::pin(async { Ok(Box::new(self) as Box<dyn Writer<T>>) })
    }
}

impl<T> Writer<T> for Discard {
    fn write(&mut self, records: &mut Vec<T>, _: &[Timestamp]) -> Result<()> {
        self.count.fetch_add(records.len() as u64, Ordering::Relaxed);
        records.clear();
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
