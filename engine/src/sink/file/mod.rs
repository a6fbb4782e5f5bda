//! Files in a directory, exactly once: NDJSON, CSV, or any other [`Format`].
//!
//! Records are written under a hidden, pending name as they come. At barrier n the file is synced, and its name goes
//! into checkpoint n; once that is complete the file is renamed to `<epoch>-<shard>.<extension>`. A reader that ignores
//! hidden files sees each record exactly once, whatever crashed and however often. Names sort by epoch: for a key
//! that is also the order of its records, and the order in which a reader comes to see them: of the files that a core
//! writes to a partition, each gets its name when that of the one before is durable.
//!
//! A full disk aborts checkpoints, and loses nothing: what was not written waits in memory, up to some MiB; then the
//! sink takes no more until there is space again.
//!
//! # How many files there are
//! One per checkpoint, core and [partition](FileSink::partition_by) that got records, at least: what belongs to a
//! checkpoint must become visible with it, whole. A file ends sooner when it is [large](FileSink::roll_at), or when a
//! core would have [too many](FileSink::open_files) open; then names go on to tell which of the epoch's files it is:
//! `<epoch>-<shard>-<part>.<extension>`. Where checkpoints come every second and files are to be large, they can go on
//! [across checkpoints](FileSink::across_checkpoints), and become visible when they are full; but for formats with a
//! footer, whose files can only be restored whole.
//!
//! # What a crash can leave behind
//! And what [`Sink::recover`] makes of it:
//!
//! | left behind | named by the restored checkpoint | becomes |
//! |---|---|---|
//! | pending file | yes, full | renamed |
//! | pending file | yes, still open | cut where the checkpoint saw it end, and renamed |
//! | committed file | yes | kept |
//! | neither | yes | an error: output is missing |
//! | pending file | no | removed: its records will be replayed |
//! | committed file of a later epoch | no | an error: its records would be written twice |
//! | committed file | nothing is restored | an error: another run's output |

mod backlog;
mod cut;
mod format;
mod names;
mod open;
mod partition;
mod publish;
mod recover;
pub mod spool;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

use millstream_storage::disk::lacks_room;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Prepared, Sink, SinkContext, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::host::LocalFuture;

pub(super) use format::encode;
pub use format::{Appendable, Csv, Encoder, Format, Ndjson};
pub use partition::{By, Partition, Unsplit, key_value};

/// Writes records as lines of JSON to files in a directory, exactly once.
///
/// The directory is created if there is none. It must hold no other output: each sink and each run that does not
/// start from a checkpoint needs its own.
///
/// ```
/// # use millstream::prelude::*;
/// # let dir = tempfile::tempdir().unwrap();
/// # let out = dir.path().join("out");
/// let job = Job::new("doc");
/// job.source("numbers", from_vec(vec![1, 2, 3])).sink("out", ndjson_dir(&out));
/// job.run(Config::new().cores(1).checkpoint_at_end_only())?;
/// assert_eq!(std::fs::read_to_string(out.join("0000000001-000.ndjson")).unwrap(), "1\n2\n3\n");
/// # Ok::<(), millstream::Error>(())
/// ```
pub fn ndjson_dir(path: impl Into<PathBuf>) -> NdjsonDir {
    file_sink(path)
}

/// A sink into files of NDJSON. Made by [`ndjson_dir`].
///
/// ```
/// use millstream::sink::{NdjsonDir, Sink, ndjson_dir};
///
/// let sink: NdjsonDir = ndjson_dir("out/delays");
/// assert_eq!(Sink::<u64>::describe(&sink), "files in out/delays");
/// ```
pub type NdjsonDir = FileSink<Ndjson>;

/// Writes records to files in a directory, exactly once: as NDJSON, unless told otherwise.
///
/// The directory is created if there is none. It must hold no other output: each sink and each run that does not
/// start from a checkpoint needs its own. Files whose names begin with a dot are not output yet.
///
/// ```
/// # use millstream::prelude::*;
/// # let dir = tempfile::tempdir().unwrap();
/// # let out = dir.path().join("out");
/// #[derive(Clone, serde::Serialize)]
/// struct Flight { day: u32, dest: &'static str, delay: i32 }
///
/// let flights = vec![
///     Flight { day: 1, dest: "LAX", delay: 7 },
///     Flight { day: 2, dest: "JFK", delay: -3 },
///     Flight { day: 1, dest: "SFO", delay: 0 },
/// ];
/// let sink = file_sink(&out)
///     .csv()
///     .roll_at(64 << 20)
///     .roll_after(minutes(10))
///     .partition_by(|flight: &Flight| format!("day={}", flight.day));
/// let job = Job::new("doc");
/// job.source("flights", from_vec(flights)).sink("out", sink);
/// job.run(Config::new().cores(1).checkpoint_at_end_only())?;
///
/// let day_one = std::fs::read_to_string(out.join("day=1/0000000001-000-000000.csv"))?;
/// assert_eq!(day_one, "day,dest,delay\n1,LAX,7\n1,SFO,0\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn file_sink(path: impl Into<PathBuf>) -> FileSink<Ndjson> {
    FileSink {
        dir: path.into(),
        format: Ndjson,
        partition: Unsplit,
        roll_at: u64::MAX,
        roll_after: Duration::MAX,
        across: false,
        open_files: 64,
    }
}

/// A sink into files. Made by [`file_sink`].
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::sink::{Csv, FileSink, Sink, file_sink};
///
/// let plain: FileSink<Csv> = file_sink("out").csv();
/// assert_eq!(Sink::<u64>::describe(&plain), "files in out");
/// let by_parity = file_sink("out").ndjson().partition_by(|n: &u64| format!("parity={}", n % 2)).open_files(2);
/// assert_eq!(by_parity.describe(), "files in out");
/// ```
#[derive(Clone, Debug)]
pub struct FileSink<F, P = Unsplit> {
    dir: PathBuf,
    format: F,
    partition: P,
    /// Bytes.
    roll_at: u64,
    roll_after: Duration,
    /// Whether files stay open over barriers.
    across: bool,
    open_files: usize,
}

impl<F, P> FileSink<F, P> {
    /// Lines of JSON. This is the default.
    pub fn ndjson(self) -> FileSink<Ndjson, P> {
        self.format(Ndjson)
    }

    /// Comma-separated values, each file with a header row. For other kinds of CSV see [`Csv`].
    pub fn csv(self) -> FileSink<Csv, P> {
        self.format(Csv::new())
    }

    /// Another format.
    ///
    /// ```
    /// use millstream::sink::{Csv, file_sink};
    ///
    /// let sink = file_sink("out").format(Csv::new().without_header());
    /// # let _ = sink;
    /// ```
    pub fn format<G>(self, format: G) -> FileSink<G, P> {
        let FileSink { dir, format: _, partition, roll_at, roll_after, across, open_files } = self;
        FileSink { dir, format, partition, roll_at, roll_after, across, open_files }
    }

    /// Writes each record into a sub-directory that `name` names, as `key=value`, or several of these with slashes
    /// between them: `year=2013/month=1`. [`key_value`] makes such a name of any value. Keys and values are not empty;
    /// what would be hidden, as it begins with a dot or an underscore, is refused, and the job ends.
    ///
    /// A core has a file per partition open, up to [a number](FileSink::open_files): records that come sorted by their
    /// partition, more or less, make fewer and larger files.
    pub fn partition_by<T, C>(self, name: C) -> FileSink<F, By<C>>
    where
        C: Fn(&T) -> String + Clone + Send + 'static,
    {
        let FileSink { dir, format, partition: _, roll_at, roll_after, across, open_files } = self;
        FileSink { dir, format, partition: By(name), roll_at, roll_after, across, open_files }
    }

    /// Ends a file that has reached so many bytes, or a little more. At least 1; without a limit by default.
    pub fn roll_at(mut self, bytes: u64) -> FileSink<F, P> {
        self.roll_at = bytes.max(1);
        self
    }

    /// Ends a file that was begun so long ago, by the host's clock. It is looked at whenever a part of the file is sent
    /// to the disk, and at each checkpoint, also when no records come. Without a limit by default.
    pub fn roll_after(mut self, age: Duration) -> FileSink<F, P> {
        self.roll_after = age;
        self
    }

    /// How many files a core may have open at once, at least 1; 64 by default. When a record comes for another
    /// partition, the file ends that has not got one for the longest time.
    pub fn open_files(mut self, files: usize) -> FileSink<F, P> {
        self.open_files = files.max(1);
        self
    }

    /// Whether files end before they must.
    fn rolls(&self) -> bool {
        self.roll_at < u64::MAX || self.roll_after < Duration::MAX
    }

    fn is_old(&self, began: Duration, now: Duration) -> bool {
        now.saturating_sub(began) >= self.roll_after
    }
}

impl<F: Appendable, P> FileSink<F, P> {
    /// Lets a file go on across checkpoints until it is full or old, for fewer and larger ones: each checkpoint makes
    /// what the file holds durable and notes how long it is, and after a crash it is cut there. So what is committed is
    /// exact as ever, but **a record becomes visible only with its file**: when that is [large](FileSink::roll_at) or
    /// [old](FileSink::roll_after) enough, at the end of the input, or when the job is restored. One of the two limits
    /// must be set. A [savepoint](crate::JobControl::savepoint) is refused while a file is open.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let out = dir.path().join("out");
    /// let sink = file_sink(&out).across_checkpoints().roll_at(64 << 20).roll_after(minutes(15));
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(1_000, |n| n)).sink("out", sink);
    /// job.run(Config::new().cores(1).checkpoints(dir.path().join("state")).checkpoint_every(millis(1)))?;
    /// assert_eq!(std::fs::read_dir(out)?.count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn across_checkpoints(mut self) -> FileSink<F, P> {
        self.across = true;
        self
    }
}

impl<T: 'static, F: Format<T>, P: Partition<T>> Sink<T> for FileSink<F, P> {
    fn describe(&self) -> String {
        format!("files in {}", self.dir.display())
    }

    fn recover(self, cx: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async move { recover::recover(&*cx.host.disk(), &self.dir, cx.restored, prepared).await })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        Box::pin(async move { Ok(Box::new(writer::FileWriter::new(cx, self)?) as Box<dyn Writer<T>>) })
    }

    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        self.format.show(record, json)
    }
}

/// What a checkpoint keeps: the files of a shard that are not known to be committed.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    /// The directory when it was written; only for messages, as it may have been moved.
    dir: String,
    files: Vec<PendingFile>,
}

/// Whether a pre-commit names a file that goes on behind its checkpoint.
pub(crate) fn has_open(pending: &Json) -> bool {
    let pending = serde_json::from_value::<Pending>(pending.clone());
    pending.is_ok_and(|pending| pending.files.iter().any(|file| file.open.is_some()))
}

/// A durable file that awaits its final name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PendingFile {
    /// The final name, with its partition.
    name: String,
    /// The name until then.
    pending: String,
    /// Length of the file; of one that is still open, as far as it belongs to the checkpoint.
    bytes: u64,
    /// Records in that.
    records: u64,
    /// Only of a file that is still open: the CRC-32 of those bytes, as they may have to be copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<u32>,
}

/// An I/O error and the path it is about.
fn failed(what: &str, path: &std::path::Path, error: std::io::Error) -> Error {
    let kind = if lacks_room(&error) { ErrorKind::Exhausted } else { ErrorKind::Sink };
    Error::new(kind, format!("{}: cannot {what}", path.display())).caused_by(error)
}
