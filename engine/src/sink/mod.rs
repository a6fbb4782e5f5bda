//! Where records go.
//!
//! A [`Sink`] is a description that is cloned to every shard; each shard opens it into a [`Writer`]. A writer takes
//! part in the two-phase commit of the checkpoints: at barrier n it [pre-commits](Writer::pre_commit) what it was
//! given, and once checkpoint n is complete it [commits](Writer::commit) it. What `pre_commit` returns is kept in
//! the checkpoint; after a crash [`Sink::recover`] gets it back and finishes or repeats the commit. Everything that
//! no restored checkpoint knows is aborted there.

pub mod discard;
pub mod file;
pub mod memory;
pub(crate) mod stage;
pub mod stdout;
pub mod topic;

use std::path::PathBuf;
use std::rc::Rc;
use std::task::Waker;

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::error::Result;
use crate::host::{Host, LocalFuture};
use crate::time::Timestamp;

pub use discard::{Discard, discard};
pub use file::{
    Appendable, By, Csv, Encoder, FileSink, Format, Ndjson, NdjsonDir, Partition, Unsplit, file_sink,
    key_value, ndjson_dir,
};
pub use memory::{Collect, Collected, collect};
pub use stdout::{StdoutNdjson, stdout_ndjson};
pub use topic::{TopicSink, topic_sink, topic_sink_with};

/// A sink of records of type `T`.
///
/// A sink that counts what was committed. It keeps nothing that outlives the process, so there is nothing to recover:
///
/// ```
/// # use std::collections::BTreeMap;
/// # use std::mem;
/// # use std::sync::Arc;
/// # use std::sync::atomic::{AtomicU64, Ordering};
/// # use millstream::prelude::*;
/// use millstream::host::LocalFuture;
/// use millstream::sink::{Prepared, Sink, SinkContext, Writer};
/// use serde_json::Value as Json;
///
/// #[derive(Clone, Default)]
/// struct Committed(Arc<AtomicU64>);
///
/// impl<T: 'static> Sink<T> for Committed {
///     fn describe(&self) -> String {
///         "a count of what was committed".to_owned()
///     }
///     fn recover(self, _: SinkContext, _: Vec<Prepared>) -> LocalFuture<Result<()>> {
///         Box::pin(async { Ok(()) })
///     }
///     fn open(self, _: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
///         let writer = Counting { committed: self.0, written: 0, prepared: BTreeMap::new() };
///         Box::pin(async { Ok(Box::new(writer) as Box<dyn Writer<T>>) })
///     }
/// }
///
/// struct Counting { committed: Arc<AtomicU64>, written: u64, prepared: BTreeMap<u64, u64> }
///
/// impl<T> Writer<T> for Counting {
///     fn write(&mut self, records: &mut Vec<T>, _: &[Timestamp]) -> Result<()> {
///         self.written += records.drain(..).count() as u64;
///         Ok(())
///     }
///     fn has_room(&self) -> bool {
///         true
///     }
///     fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
///         self.prepared.insert(epoch, mem::take(&mut self.written));
///         Box::pin(async { Ok(Json::Null) })
///     }
///     fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
///         let later = self.prepared.split_off(&(epoch + 1));
///         let now: u64 = mem::replace(&mut self.prepared, later).into_values().sum();
///         self.committed.fetch_add(now, Ordering::Relaxed);
///         Box::pin(async { Ok(()) })
///     }
/// }
///
/// let job = Job::new("doc");
/// let committed = Committed::default();
/// job.source("numbers", generator(1_000, |n| n)).sink("count", committed.clone());
/// job.run(Config::new().cores(2))?;
/// assert_eq!(committed.0.load(Ordering::Relaxed), 1_000);
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait Sink<T>: Clone + Send + 'static {
    /// What it writes to, in a few words, for messages and tools.
    fn describe(&self) -> String;
    /// Called once per start of the job, before any shard opens the sink: commits `prepared`, the pre-commits of
    /// all shards in the restored checkpoint (idempotently: they may have been committed before), and aborts
    /// everything else that an earlier run left behind. `prepared` is empty when nothing is restored.
    ///
    /// # Errors
    /// If a prepared output is neither pending nor committed any more, or the sink cannot be reached.
    fn recover(self, cx: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>>;
    /// Opens the sink on the shard of `cx`.
    ///
    /// # Errors
    /// If the sink cannot be reached.
    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>>;
    /// Appends a record as a [replay](crate::replay) shows it, as one JSON value, and returns whether it can. A sink that does
    /// not say how has its records counted there.
    ///
    /// ```
    /// use millstream::sink::{Sink, discard, ndjson_dir};
    ///
    /// let mut json = Vec::new();
    /// assert!(ndjson_dir("out").show(&("LAX", 7), &mut json)?);
    /// assert_eq!(json, br#"["LAX",7]"#);
    /// assert!(!discard().show(&7, &mut json)?);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the sink could not write the record.
    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        let _ = (record, json);
        Ok(false)
    }
}

/// Appends a record as JSON.
///
/// # Errors
/// If it cannot be represented so.
pub(crate) fn show_record<T: Serialize>(record: &T, json: &mut Vec<u8>) -> Result<bool> {
    file::encode(record, json)?;
    // It ends a line.
    json.pop();
    Ok(true)
}

/// Appends what a sink would have written: JSON as it is, other text as a string, other bytes in hexadecimal.
pub(crate) fn show_bytes(bytes: &[u8], json: &mut Vec<u8>) {
    let shown = match (serde_json::from_slice::<Json>(bytes), std::str::from_utf8(bytes)) {
        (Ok(value), _) => value,
        (_, Ok(text)) => Json::from(text),
        _ => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    };
    json.extend_from_slice(shown.to_string().as_bytes());
}

/// What a sink gets when it is opened.
#[derive(Clone)]
pub struct SinkContext {
    /// The core it runs on.
    pub host: Rc<dyn Host>,
    /// Wakes the shard: to be called when a writer that had no room has some again, or failed.
    pub wake: Waker,
    /// This shard.
    pub shard: usize,
    /// The number of shards.
    pub shards: usize,
    /// The first epoch of this run: greater than any that an earlier run attempted.
    pub first_epoch: u64,
    /// The epoch of the checkpoint that is being restored, if one is.
    pub restored: Option<u64>,
    /// Whether the job keeps checkpoints, so that a crash will be recovered from.
    pub durable: bool,
    /// Greater than that of any run before it, on whatever machine, if the job's checkpoints are
    /// [in an object store](crate::Config::checkpoints_to); 0 otherwise. What reaches the outside from a run of a lower one
    /// than was seen there before comes from a process that was thought dead.
    pub generation: u64,
    /// Where it keeps them: a sink that must keep something with them has a directory of its own in there.
    pub checkpoints: Option<PathBuf>,
}

/// One shard's pre-commit in a restored checkpoint.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The shard that made it, of the shards there were then.
    pub shard: usize,
    /// The epoch of the checkpoint.
    pub epoch: u64,
    /// What [`Writer::pre_commit`] returned.
    pub pending: Json,
}

/// One shard's end of a sink.
pub trait Writer<T> {
    /// Takes the records of a batch, with their times. Never waits.
    ///
    /// # Errors
    /// If a record cannot be encoded, or an earlier background write failed.
    fn write(&mut self, records: &mut Vec<T>, times: &[Timestamp]) -> Result<()>;
    /// Whether it will take another batch now; the shard stops feeding it otherwise, until woken.
    fn has_room(&self) -> bool;
    /// All records of a bounded input have come: the next pre-commit is that of the end. For a writer that keeps
    /// something for later; the others need not know.
    ///
    /// ```
    /// use millstream::sink::Writer;
    ///
    /// fn end<T>(writer: &mut dyn Writer<T>) {
    ///     writer.drained();
    /// }
    /// ```
    fn drained(&mut self) {}
    /// Makes everything written so far durable, but not visible, under `epoch`; returns what [`Sink::recover`]
    /// needs to commit it. Records written after this call belong to a later epoch.
    ///
    /// A sink that keeps them in files of its directory beside the [checkpoints](SinkContext::checkpoints) tells which, as
    /// `"beside": [{"path": "my-directory/file", "bytes": 100}]` in an object that it returns: they are stored where
    /// checkpoints [are](crate::Config::checkpoints_to), and are there again when the job starts on another machine.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`](crate::ErrorKind::Exhausted) if the machine lacks room at the moment: the checkpoint is
    /// aborted, the job goes on, and the pre-commit of the next epoch vouches for this one's records too. Any other
    /// error ends the job.
    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>>;
    /// Makes visible what was pre-committed under `epoch` and all earlier epochs. Called in the order of the epochs,
    /// one after the other.
    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>>;
}
