//! The embedded topic as a source: a split is a partition, a position an offset.
//!
//! Partitions are dealt to the shards round robin. Each is read ahead in the background, from the offset of the
//! restored checkpoint or from its start. A reader sees committed records only, unless told otherwise.
//!
//! Retention may remove records that were not read yet. Then the job stops with an error that names the offsets that
//! are left; a position is never moved silently.

mod position;
mod reader;
mod settle;
mod split;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millstream_storage::topic::{Isolation, Record, Signal, TopicError, TopicReader};
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::host::LocalFuture;
use crate::source::{Poison, Reader, Source, SourceContext};
use reader::PartitionsReader;
use settle::Settle;
use split::Split;

/// Decodes a record, or says why it cannot be.
type Decode<T> = Arc<dyn Fn(&Record<'_>) -> Result<T, String> + Send + Sync>;

/// The records of the topic in a directory, their values decoded from JSON: up to the end that it has when the job
/// first starts, unless [told otherwise](TopicSource::follow).
///
/// ```
/// use millstream::source::{Poison, TopicSource, topic};
/// #[derive(serde::Deserialize)]
/// struct Flight { carrier: String, dep_delay: Option<i32> }
/// let flights: TopicSource<Flight> = topic("data/flights").follow().poison(Poison::Skip);
/// let flights = flights.poll_every(std::time::Duration::from_millis(5)).woken_by(millstream::topic::Signal::new());
/// let all_of_them = flights.uncommitted();
/// ```
pub fn topic<T: DeserializeOwned>(dir: impl Into<PathBuf>) -> TopicSource<T> {
    topic_with(dir, |record| {
        serde_json::from_slice(record.value)
            .map_err(|error| error.to_string().replace(" at line 1 column ", " at column "))
    })
}

/// As [`topic()`], with a function that makes a record of key, value, timestamp and headers, or says why it cannot.
///
/// ```
/// use millstream::source::topic_with;
/// let raw = topic_with("data/flights", |record| Ok((record.timestamp, record.value.to_vec())));
/// ```
pub fn topic_with<T, F>(dir: impl Into<PathBuf>, decode: F) -> TopicSource<T>
where
    F: Fn(&Record<'_>) -> Result<T, String> + Send + Sync + 'static,
{
    TopicSource {
        dir: dir.into(),
        decode: Arc::new(decode),
        poison: Poison::Fail,
        options: Options { isolation: Isolation::Committed, follow: false, poll: Duration::from_millis(20) },
        signal: None,
        settle: Settle::default(),
    }
}

/// A source of records of type `T` from a topic. Made by [`topic()`] and [`topic_with`].
pub struct TopicSource<T> {
    dir: PathBuf,
    decode: Decode<T>,
    poison: Poison,
    options: Options,
    signal: Option<Signal>,
    settle: Settle,
}

/// How a topic is read.
#[derive(Clone, Copy, Debug)]
struct Options {
    isolation: Isolation,
    /// Whether it goes on at the end.
    follow: bool,
    /// How long a reader without news waits before it asks again.
    poll: Duration,
}

impl<T> TopicSource<T> {
    /// Never ends: at the end of a partition, waits for more.
    pub fn follow(mut self) -> TopicSource<T> {
        self.options.follow = true;
        self
    }

    /// What to do about a record that cannot be decoded: by default the job fails.
    pub fn poison(mut self, poison: Poison) -> TopicSource<T> {
        self.poison = poison;
        self
    }

    /// How long to wait at the end of a partition before asking again whether another process has written something.
    /// 20 ms by default.
    pub fn poll_every(mut self, interval: Duration) -> TopicSource<T> {
        self.options.poll = interval;
        self
    }

    /// Reads on as soon as the writer gives its [signal](millstream_storage::topic::TopicWriter::signal), for a
    /// writer in this process.
    pub fn woken_by(mut self, signal: Signal) -> TopicSource<T> {
        self.signal = Some(signal);
        self
    }

    /// Reads also what is not committed, or never will be: not for results that count.
    pub fn uncommitted(mut self) -> TopicSource<T> {
        self.options.isolation = Isolation::Uncommitted;
        self
    }
}

// Not derived: that would ask `T` to be `Clone`.
impl<T> Clone for TopicSource<T> {
    fn clone(&self) -> TopicSource<T> {
        TopicSource {
            dir: self.dir.clone(),
            decode: self.decode.clone(),
            signal: self.signal.clone(),
            settle: self.settle.clone(),
            ..*self
        }
    }
}

impl<T> fmt::Debug for TopicSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicSource({}, {:?})", self.dir.display(), self.options)
    }
}

impl<T: 'static> Source<T> for TopicSource<T> {
    fn describe(&self) -> String {
        format!("topic {}", self.dir.display())
    }

    fn is_bounded(&self) -> bool {
        !self.options.follow
    }

    fn poison(&self) -> Poison {
        self.poison
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<T>>>> {
        Box::pin(async move {
            self.settle.run(&cx.host, &self.dir).await?;
            let mut reader =
                TopicReader::open(cx.host.disk(), &self.dir, self.options.isolation).await.map_err(failed)?;
            let positions = position::positions(&mut reader, &self.dir, self.options, &cx).await?;
            let mut splits = Vec::new();
            for (partition, position) in positions {
                splits.push(
                    Split::open(&cx, &self.dir, self.options, &self.signal, partition, position).await?,
                );
            }
            Ok(Box::new(PartitionsReader::new(self.dir, self.decode, splits)) as Box<dyn Reader<T>>)
        })
    }
}

/// An error of a topic that is read.
fn failed(error: TopicError) -> Error {
    let message = match &error {
        TopicError::OutOfRange { .. } => {
            "cannot go on where the job was; start without the checkpoint to begin at what is left".to_owned()
        }
        _ => "cannot read the topic".to_owned(),
    };
    Error::new(ErrorKind::Source, message).caused_by(error)
}
