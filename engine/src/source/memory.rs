//! Records that are in memory, or made as they are needed: for tests, examples and benchmarks.

use std::fmt;
use std::sync::Arc;

use super::strided::Strided;
use super::{Poison, Reader, Source, SourceContext};
use crate::error::Result;
use crate::host::LocalFuture;

/// The records of a vector, in its order, as one split.
///
/// ```
/// # use millstream::prelude::*;
/// let job = Job::new("doc");
/// let (sink, words) = collect();
/// job.source("words", from_vec(vec!["to", "be"])).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(words.take(), ["to", "be"]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub fn from_vec<T>(records: Vec<T>) -> VecSource<T> {
    VecSource { records: Arc::new(records), splits: 1 }
}

/// `total` records, each made from its index by `record`, as fast as possible.
///
/// There is a split per shard: split k of n has the records k, k + n, k + 2n, ... A restored job keeps the splits it
/// began with. `record` must return the same for the same index, or a restored job goes on with other records than
/// it was stopped in.
///
/// ```
/// # use millstream::prelude::*;
/// let job = Job::new("doc");
/// let (sink, squares) = collect();
/// job.source("squares", generator(4, |index| index * index)).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(squares.take(), [0, 1, 4, 9]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub fn generator<T, F>(total: u64, record: F) -> Generator<F>
where
    F: Fn(u64) -> T + Clone + Send + 'static,
{
    Generator { total, record }
}

/// A source that replays a vector. Made by [`from_vec`].
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::source::{Source, VecSource};
///
/// let source: VecSource<u64> = from_vec(vec![1, 2, 3]);
/// assert_eq!(source.describe(), "a vector of 3 records");
/// ```
pub struct VecSource<T> {
    records: Arc<Vec<T>>,
    splits: usize,
}

impl<T> VecSource<T> {
    /// Deals the records to `splits` splits in turn; at least 1.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// job.source("numbers", from_vec(vec![1, 2, 3, 4]).splits(2)).sink("out", sink);
    /// let running = job.start(Config::new().cores(2))?;
    /// let control = running.control();
    /// running.wait()?;
    /// let by_core: Vec<u64> = control.metrics().shards().iter().map(|shard| shard.records_in.get()).collect();
    /// assert_eq!(by_core, [2, 2]);
    /// assert_eq!(out.take().len(), 4);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn splits(mut self, splits: usize) -> VecSource<T> {
        self.splits = splits.max(1);
        self
    }
}

impl<T> fmt::Debug for VecSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VecSource({} records, {} splits)", self.records.len(), self.splits)
    }
}

impl<T> Clone for VecSource<T> {
    fn clone(&self) -> VecSource<T> {
        VecSource { records: self.records.clone(), splits: self.splits }
    }
}

impl<T: Clone + Send + Sync + 'static> Source<T> for VecSource<T> {
    fn describe(&self) -> String {
        format!("a vector of {} records", self.records.len())
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn poison(&self) -> Poison {
        Poison::Fail
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<T>>>> {
        Box::pin(async move {
            let (what, total, records) = (self.describe(), self.records.len() as u64, self.records);
            let record = move |index: u64| records[index as usize].clone();
            Ok(Box::new(Strided::open(&cx, &what, self.splits, total, record)?) as Box<dyn Reader<T>>)
        })
    }
}

/// A source that makes its records. Made by [`generator`].
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::source::{Generator, Source};
///
/// fn made<F: Fn(u64) -> u64 + Clone + Send + 'static>(source: &Generator<F>) -> String {
///     source.describe()
/// }
/// assert_eq!(made(&generator(1_000, |n| n)), "a generator of 1000 records");
/// ```
#[derive(Clone)]
pub struct Generator<F> {
    total: u64,
    record: F,
}

impl<F> fmt::Debug for Generator<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generator({} records)", self.total)
    }
}

impl<T: 'static, F: Fn(u64) -> T + Clone + Send + 'static> Source<T> for Generator<F> {
    fn describe(&self) -> String {
        format!("a generator of {} records", self.total)
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn poison(&self) -> Poison {
        Poison::Fail
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<T>>>> {
        Box::pin(async move {
            let what = Source::<T>::describe(&self);
            Ok(Box::new(Strided::open(&cx, &what, cx.shards, self.total, self.record)?) as Box<dyn Reader<T>>)
        })
    }
}
