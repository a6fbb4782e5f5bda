//! Where records come from.
//!
//! A [`Source`] is a description that is cloned to every shard; each shard [opens](Source::open) it into a
//! [`Reader`] of the splits that are its own. A split is a part of the input with an order and a position of its
//! own: a file, a partition. A reader is polled by the shard's step, which never waits: bytes are fetched by tasks
//! of the host beforehand, and a reader that has nothing says so and wakes the shard when it has.

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

pub use file::{FileSource, file, files};
pub use memory::{Generator, VecSource, from_vec, generator};
pub use topic::{TopicSource, topic, topic_with};

/// A source of records of type `T`.
pub trait Source<T>: Clone + Send + 'static {
    /// What it reads, in a few words, for messages and tools.
    fn describe(&self) -> String;
    /// What to do about a record that cannot be decoded. Readers only report it; the stage that polls them obeys.
    fn poison(&self) -> Poison;
    /// Opens the splits that belong to the shard of `cx`.
    ///
    /// # Errors
    /// If an input is missing, unreadable, or shorter than a restored position.
    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<T>>>>;
}

/// What to do about a record that cannot be decoded.
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
}

impl SourceContext {
    /// Whether the split at `index` of the sorted list of all splits belongs to this shard: they are dealt round
    /// robin.
    pub fn owns(&self, index: usize) -> bool {
        index % self.shards == self.shard
    }
}

/// What a poll found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Records or poison of this split (an index into [`Reader::splits`]) were appended.
    Split(usize),
    /// Nothing now; the shard will be woken.
    Pending,
    /// This split has ended: nothing will come from it any more.
    SplitEnd(usize),
    /// All splits have ended.
    End,
}

/// A record that could not be decoded.
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

/// The splits of one shard, being read.
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
    /// The position of each split after the last record that was polled, by split name: what `open` gets back in
    /// `restored`. A split that has ended keeps its position.
    fn positions(&self) -> BTreeMap<String, Json>;
}
