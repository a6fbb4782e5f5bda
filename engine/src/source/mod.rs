//! Where records come from.
//!
//! A [`Source`] is a description that is cloned to every shard; each shard [opens](Source::open) it into a
//! [`Reader`] of the splits that are its own. A split is a part of the input with an order and a position of its
//! own: a file, a partition. A reader is polled by the shard's step, which never waits: bytes are fetched by tasks
//! of the host beforehand, and a reader that has nothing says so and wakes the shard when it has.

mod agreement;
pub(crate) mod alignment;
pub mod file;
pub mod memory;
pub(crate) mod stage;
mod strided;
pub mod topic;
pub mod watermarks;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Waker;

use serde_json::Value as Json;

use crate::error::Result;
use crate::host::{Host, LocalFuture};
use crate::time::Timestamp;

pub use agreement::Agreement;
pub(crate) use agreement::Agreements;
pub use file::{FileSource, file, files};
pub use memory::{Generator, VecSource, from_vec, generator};
pub use topic::{TopicSource, topic, topic_with};

/// A source of records of type `T`.
///
/// A source of one split, the numbers up to ten; it can go on from any of them:
///
/// ```
/// # use std::collections::BTreeMap;
/// # use std::mem;
/// # use millstream::prelude::*;
/// use millstream::host::LocalFuture;
/// use millstream::source::{Fetched, Polled, Reader, Source, SourceContext};
/// use serde_json::Value as Json;
///
/// #[derive(Clone)]
/// struct Ten;
///
/// impl Source<u64> for Ten {
///     fn describe(&self) -> String {
///         "the numbers up to ten".to_owned()
///     }
///     fn poison(&self) -> Poison {
///         Poison::Fail
///     }
///     fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<u64>>>> {
///         let splits = if cx.owns(0) { vec!["ten".to_owned()] } else { Vec::new() };
///         let next = cx.restored.get("ten").and_then(Json::as_u64).unwrap_or(1);
///         let reader = Numbers { next, ended: splits.is_empty(), splits };
///         Box::pin(async { Ok(Box::new(reader) as Box<dyn Reader<u64>>) })
///     }
/// }
///
/// struct Numbers { splits: Vec<String>, next: u64, ended: bool }
///
/// impl Reader<u64> for Numbers {
///     fn splits(&self) -> &[String] {
///         &self.splits
///     }
///     fn poll(&mut self, max: usize, out: &mut Fetched<u64>) -> Result<Polled> {
///         if self.ended {
///             return Ok(Polled::End);
///         }
///         let end = (self.next + max as u64).min(11);
///         if self.next == end {
///             self.ended = true;
///             return Ok(Polled::SplitEnd(0));
///         }
///         out.records.extend(mem::replace(&mut self.next, end)..end);
///         Ok(Polled::Split(0))
///     }
///     fn is_silent(&self, _: usize) -> bool {
///         false
///     }
///     fn positions(&self) -> BTreeMap<String, Json> {
///         self.splits.iter().map(|split| (split.clone(), self.next.into())).collect()
///     }
/// }
///
/// let job = Job::new("doc");
/// let (sink, numbers) = collect();
/// job.source("ten", Ten).sink("out", sink);
/// job.run(Config::new().cores(2))?;
/// assert_eq!(numbers.take(), (1..=10).collect::<Vec<_>>());
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait Source<T>: Clone + Send + 'static {
    /// What it reads, in a few words, for messages and tools.
    fn describe(&self) -> String;
    /// What to do about a record that cannot be decoded. Readers only report it; the stage that polls them obeys.
    fn poison(&self) -> Poison;
    /// Whether it ends by itself. Only such sources can be run as a [`batch`](crate::Config::batch). Unless it says so, it
    /// does not.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::source::Source;
    /// assert!(topic::<u64>("readings").is_bounded(), "it ends where the topic ends now");
    /// assert!(!topic::<u64>("readings").follow().is_bounded());
    /// ```
    fn is_bounded(&self) -> bool {
        false
    }
    /// Opens the splits that belong to the shard of `cx`.
    ///
    /// # Errors
    /// If an input is missing, unreadable, or shorter than a restored position.
    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<T>>>>;
}

/// What to do about a record that cannot be decoded.
///
/// ```
/// # use millstream::prelude::*;
/// # let dir = tempfile::tempdir().unwrap();
/// # let file = dir.path().join("numbers.ndjson");
/// std::fs::write(&file, "1\ntwo\n3\n").unwrap();
/// let run = |poison| {
///     let job = Job::new("doc");
///     job.source("numbers", files::<u64>([&file]).poison(poison)).sink("nowhere", discard());
///     job.run(Config::new().cores(1))
/// };
/// assert_eq!(run(Poison::Skip)?.poison, 1);
/// assert_eq!(run(Poison::Fail).unwrap_err().kind(), ErrorKind::Source);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Poison {
    /// Stop the job with an error that shows the record and where it was found.
    #[default]
    Fail,
    /// Leave it out, count it, and send it to the dead letters if the job has an output for them.
    Skip,
}

/// What a source gets when it is opened.
#[derive(Clone)]
pub struct SourceContext {
    /// The core it runs on.
    pub host: Rc<dyn Host>,
    /// Wakes the shard: to be called when a reader that was [`Pending`](Polled::Pending) has something.
    pub wake: Waker,
    /// This shard.
    pub shard: usize,
    /// The number of shards.
    pub shards: usize,
    /// The position of every split of the source (of all shards) in the restored checkpoint, by split name.
    pub restored: BTreeMap<String, Json>,
    /// Which splits there are, for sources where more may come.
    pub agreement: Agreement,
}

impl SourceContext {
    /// Whether the split at `index` of the sorted list of all splits belongs to this shard: they are dealt round
    /// robin.
    pub fn owns(&self, index: usize) -> bool {
        index % self.shards == self.shard
    }
}

/// What a poll found.
///
/// What a reader of two splits may answer, one poll after the other:
///
/// ```
/// use millstream::source::Polled;
///
/// let first = [Polled::Split(0), Polled::Pending, Polled::Split(1), Polled::SplitEnd(1)];
/// let then = [Polled::Split(0), Polled::SplitEnd(0), Polled::End];
/// let ends = first.iter().chain(&then).filter(|answer| matches!(answer, Polled::SplitEnd(_)));
/// assert_eq!(ends.count(), 2, "each split ends once");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Records or poison of this split (an index into [`Reader::splits`]) were appended.
    Split(usize),
    /// Nothing now; the shard will be woken.
    Pending,
    /// The input itself says that no more records with a timestamp up to this are to come from this split. It raises the
    /// split's watermark beside the source's strategy; what is lower than before counts for nothing. Only a source that
    /// is given an [`event_time`](crate::stream::Stream::event_time) may answer so.
    Watermark(usize, Timestamp),
    /// This split is known to have nothing for some time: until its next record or watermark it does not hold back others.
    Idle(usize),
    /// This split has ended: nothing will come from it any more.
    SplitEnd(usize),
    /// All splits have ended.
    End,
}

/// A record that could not be decoded.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::source::DeadLetter;
/// # let dir = tempfile::tempdir().unwrap();
/// # let file = dir.path().join("numbers.ndjson");
///
/// std::fs::write(&file, "1\ntwo\n3\n").unwrap();
/// let job = Job::new("doc");
/// let (sink, dead) = collect();
/// let numbers = job.source("numbers", files::<u64>([&file]));
/// numbers.dead_letters().sink("dead", sink);
/// numbers.sink("nowhere", discard());
/// job.run(Config::new().cores(1))?;
/// let dead: Vec<DeadLetter> = dead.take();
/// assert_eq!((dead[0].line, dead[0].offset, dead[0].record.as_str()), (Some(2), 2, "two"));
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeadLetter {
    /// The split it comes from.
    pub split: String,
    /// Its position in the split, in the split's own unit; byte offset for files.
    pub offset: u64,
    /// Its line, from 1, where the split has lines.
    pub line: Option<u64>,
    /// The undecoded bytes as text, invalid UTF-8 replaced, at most 64 KiB of them.
    pub record: String,
    /// Why it could not be decoded.
    pub reason: String,
}

/// What a poll appends to.
#[derive(Debug)]
pub struct Fetched<T> {
    /// Decoded records, in order.
    pub records: Vec<T>,
    /// Records that could not be decoded.
    pub poison: Vec<DeadLetter>,
}

/// What a core reads that a source is not given.
pub(crate) struct NoSplits;

impl<T> Reader<T> for NoSplits {
    fn splits(&self) -> &[String] {
        &[]
    }
    fn poll(&mut self, _: usize, _: &mut Fetched<T>) -> Result<Polled> {
        Ok(Polled::End)
    }
    fn is_silent(&self, _: usize) -> bool {
        false
    }
    fn set_paused(&mut self, _: usize, _: bool) -> bool {
        true
    }
    fn positions(&self) -> BTreeMap<String, Json> {
        BTreeMap::new()
    }
}

/// The splits of one shard, being read.
///
/// ```
/// # use std::collections::BTreeMap;
/// # use millstream::prelude::*;
/// use millstream::source::{Fetched, Polled, Reader};
/// use serde_json::Value as Json;
///
/// /// Reads two lists of numbers, the second one after the first.
/// struct InTurn { names: [String; 2], lists: [Vec<u64>; 2], at: [usize; 2], ended: usize, paused: [bool; 2] }
///
/// impl Reader<u64> for InTurn {
///     fn splits(&self) -> &[String] {
///         &self.names
///     }
///     fn poll(&mut self, max: usize, out: &mut Fetched<u64>) -> Result<Polled> {
///         let split = self.ended;
///         if split == 2 {
///             return Ok(Polled::End);
///         }
///         if self.paused[split] {
///             return Ok(Polled::Pending);
///         }
///         let (from, list) = (self.at[split], &self.lists[split]);
///         if from == list.len() {
///             self.ended += 1;
///             return Ok(Polled::SplitEnd(split));
///         }
///         self.at[split] = list.len().min(from + max);
///         out.records.extend(&list[from..self.at[split]]);
///         Ok(Polled::Split(split))
///     }
///     fn is_silent(&self, _: usize) -> bool {
///         false
///     }
///     fn set_paused(&mut self, split: usize, paused: bool) -> bool {
///         self.paused[split] = paused;
///         true
///     }
///     fn is_queued(&self, split: usize) -> bool {
///         split > self.ended
///     }
///     fn positions(&self) -> BTreeMap<String, Json> {
///         self.names.iter().cloned().zip(self.at.map(Json::from)).collect()
///     }
/// }
///
/// let (names, lists) = (["a", "b"].map(String::from), [vec![1, 2, 3], vec![4]]);
/// let mut reader = InTurn { names, lists, at: [0; 2], ended: 0, paused: [false; 2] };
/// let mut out = Fetched { records: Vec::new(), poison: Vec::new() };
/// assert!(reader.is_queued(1));
/// assert_eq!(reader.poll(2, &mut out)?, Polled::Split(0));
/// assert!(reader.set_paused(0, true), "it can be paused");
/// assert_eq!(reader.poll(2, &mut out)?, Polled::Pending);
/// reader.set_paused(0, false);
/// assert_eq!(reader.poll(2, &mut out)?, Polled::Split(0));
/// assert_eq!(out.records, [1, 2, 3]);
/// assert_eq!(reader.positions()["a"], 3);
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait Reader<T> {
    /// The names of this shard's splits.
    fn splits(&self) -> &[String];
    /// Appends up to `max` records of one split to `out`. Never waits.
    ///
    /// # Errors
    /// If the input can no longer be read.
    fn poll(&mut self, max: usize, out: &mut Fetched<T>) -> Result<Polled>;
    /// Whether this split has been asked and its input has nothing. Time that passes so counts towards its idleness;
    /// waiting for the disk, for its turn or for a restored position to be reached does not.
    fn is_silent(&self, split: usize) -> bool;
    /// Pauses a split, or lets it go on: while it is paused, nothing of it is polled, not even its end. Returns whether the
    /// reader can do that, which [aligned](watermarks::Watermarks::aligned) sources must.
    fn set_paused(&mut self, split: usize, paused: bool) -> bool {
        let _ = (split, paused);
        false
    }
    /// Whether this split is not read before others of this reader have ended. Such a one is not waited for by those that
    /// are [aligned](watermarks::Watermarks::aligned) with it.
    fn is_queued(&self, split: usize) -> bool {
        let _ = split;
        false
    }
    /// The position of each split after the last record that was polled, by split name: what `open` gets back in
    /// `restored`. A split that has ended keeps its position.
    fn positions(&self) -> BTreeMap<String, Json>;
}
