//! The embedded topic as a sink, exactly once.
//!
//! Each shard writes the records of an epoch in a transaction of its own. At barrier n the transaction is prepared:
//! durable, not visible, and known by the shard's name and the number of the epoch. That goes into checkpoint n; once
//! it is complete the transaction is committed. After a crash the transactions that the restored checkpoint names are
//! committed, again if need be, and all others of this sink are aborted.
//!
//! A topic has one writer, so the shards hand their batches to a task on the first core, which appends for all of
//! them: what arrives while it waits for the disk goes out together with the next write.
//!
//! | left behind | named by the restored checkpoint | becomes |
//! |---|---|---|
//! | prepared transaction | yes | committed |
//! | committed transaction | yes | kept |
//! | neither | yes | an error: output is missing |
//! | open or prepared transaction | no | aborted: its records will be replayed |
//! | committed transaction of a later epoch, or of any if nothing is restored | no | an error: its records would be written twice |

mod hub;
mod recover;
mod writer;

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_storage::topic::{Retention, Signal, TopicError};
use serde::{Deserialize, Serialize};

use super::{Prepared, Sink, SinkContext, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::host::LocalFuture;
use hub::Hub;

/// Appends the encoding of a record to a buffer.
type Encode<T> = Arc<dyn Fn(&T, &mut Vec<u8>) -> Result<(), String> + Send + Sync>;
/// Appends the key of a record to a buffer.
type Key<T> = Arc<dyn Fn(&T, &mut Vec<u8>) + Send + Sync>;

/// Writes records as JSON to the topic in a directory, exactly once. The topic is made if there is none.
///
/// ```
/// use millstream::sink::{TopicSink, topic_sink};
/// use millstream::topic::Retention;
/// let alerts: TopicSink<(String, u64)> = topic_sink("data/alerts").partitions(4).key_by(|alert, key| {
///     let alert: &(String, u64) = alert;
///     key.extend_from_slice(alert.0.as_bytes());
/// });
/// let alerts = alerts.producer("alerts").segment_bytes(1 << 20).retention(Retention::default());
/// let told_of_commits = alerts.signal();
/// ```
pub fn topic_sink<T: Serialize>(dir: impl Into<PathBuf>) -> TopicSink<T> {
    topic_sink_with(dir, |record, out| {
        serde_json::to_writer(out, record).map_err(|error| format!("cannot represent it in JSON: {error}"))
    })
}

/// As [`topic_sink`], with a function that appends the encoding of a record to a buffer, or says why there is none.
///
/// ```
/// use millstream::sink::topic_sink_with;
/// let raw = topic_sink_with("data/raw", |record: &Vec<u8>, out| {
///     out.extend_from_slice(record);
///     Ok(())
/// });
/// ```
pub fn topic_sink_with<T, F>(dir: impl Into<PathBuf>, encode: F) -> TopicSink<T>
where
    F: Fn(&T, &mut Vec<u8>) -> Result<(), String> + Send + Sync + 'static,
{
    TopicSink {
        shape: Shape {
            dir: dir.into(),
            producer: "sink".to_owned(),
            partitions: 1,
            segment_bytes: 64 << 20,
            retention: Retention::default(),
        },
        encode: Arc::new(encode),
        key: None,
        hub: Hub::default(),
        records: PhantomData,
    }
}

/// A sink into a topic. Made by [`topic_sink`].
pub struct TopicSink<T> {
    shape: Shape,
    encode: Encode<T>,
    key: Option<Key<T>>,
    hub: Hub,
    records: PhantomData<fn(T)>,
}

/// What the topic is to be.
#[derive(Clone, Debug)]
struct Shape {
    dir: PathBuf,
    producer: String,
    partitions: u32,
    segment_bytes: u64,
    retention: Retention,
}

impl<T> TopicSink<T> {
    /// How many partitions the topic has. 1 by default; an existing topic must have as many.
    pub fn partitions(mut self, partitions: u32) -> TopicSink<T> {
        self.shape.partitions = partitions;
        self
    }

    /// The key of a record: records of one key go to one partition, in order. Without it, each shard writes to one
    /// partition.
    pub fn key_by(mut self, key: impl Fn(&T, &mut Vec<u8>) + Send + Sync + 'static) -> TopicSink<T> {
        self.key = Some(Arc::new(key));
        self
    }

    /// The name by which its transactions are found again: `sink` by default. Jobs that write to one topic, one
    /// after another, each need their own.
    pub fn producer(mut self, name: &str) -> TopicSink<T> {
        self.shape.producer = name.to_owned();
        self
    }

    /// What may be removed; looked at after commits. Nothing is removed by default.
    pub fn retention(mut self, retention: Retention) -> TopicSink<T> {
        self.shape.retention = retention;
        self
    }

    /// A segment that has reached this many bytes is followed by a new one. 64 MiB by default.
    pub fn segment_bytes(mut self, bytes: u64) -> TopicSink<T> {
        self.shape.segment_bytes = bytes;
        self
    }

    /// Given whenever something has become readable: for [readers](crate::source::TopicSource::woken_by) in this
    /// process.
    pub fn signal(&self) -> Signal {
        self.hub.signal()
    }
}

// Not derived: that would ask `T` to be `Clone`.
impl<T> Clone for TopicSink<T> {
    fn clone(&self) -> TopicSink<T> {
        TopicSink {
            shape: self.shape.clone(),
            encode: self.encode.clone(),
            key: self.key.clone(),
            hub: self.hub.clone(),
            records: PhantomData,
        }
    }
}

impl<T> fmt::Debug for TopicSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicSink({:?})", self.shape)
    }
}

impl<T: 'static> Sink<T> for TopicSink<T> {
    fn describe(&self) -> String {
        format!("topic {}", self.shape.dir.display())
    }

    fn recover(self, cx: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async move {
            let writer = recover::recover(&cx, &self.shape, prepared).await?;
            let retains = self.shape.retention != Retention::default();
            self.hub.start(&cx.host, writer, retains);
            Ok(())
        })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        Box::pin(async move { Ok(Box::new(writer::TopicSinkWriter::new(cx, self)?) as Box<dyn Writer<T>>) })
    }

    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        let mut value = Vec::new();
        let encoded = (self.encode)(record, &mut value);
        encoded.map_err(|why| Error::new(ErrorKind::Sink, format!("a record cannot be encoded: {why}")))?;
        super::show_bytes(&value, json);
        Ok(true)
    }
}

/// What a checkpoint keeps: the epochs whose transactions are not known to be committed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pending {
    producer: String,
    epochs: Vec<u64>,
}

/// The name of a shard as a producer.
fn producer_of(sink: &str, shard: usize) -> String {
    format!("{sink}/{shard:03}")
}

/// An error of a topic that is written.
fn failed(error: TopicError) -> Error {
    Error::new(ErrorKind::Sink, "cannot write to the topic").caused_by(error)
}
