//! Files of NDJSON in a directory, exactly once.
//!
//! Records are written under a hidden, pending name as they come. At barrier n the file is synced, and its name goes
//! into checkpoint n; once that is complete the file is renamed to `<epoch>-<shard>.ndjson`. A reader that ignores
//! hidden files sees each record exactly once, whatever crashed and however often. Names sort by epoch: for a key
//! that is also the order of its records.
//!
//! A full disk aborts checkpoints, and loses nothing: what was not written waits in memory, up to some MiB; then the
//! sink takes no more until there is space again.
//!
//! What a crash can leave behind, and what [`Sink::recover`] makes of it:
//!
//! | left behind | named by the restored checkpoint | becomes |
//! |---|---|---|
//! | pending file | yes | renamed |
//! | committed file | yes | kept |
//! | neither | yes | an error: output is missing |
//! | pending file | no | removed: its records will be replayed |
//! | committed file of a later epoch | no | an error: its records would be written twice |
//! | committed file | nothing is restored | an error: another run's output |

mod names;
mod recover;
pub mod spool;
mod writer;

use std::path::PathBuf;

use millstream_storage::disk::lacks_room;
use serde::{Deserialize, Serialize};

use super::{Prepared, Sink, SinkContext, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::host::LocalFuture;

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
    NdjsonDir { dir: path.into() }
}

/// A sink into files. Made by [`ndjson_dir`].
///
/// ```
/// use millstream::sink::{NdjsonDir, Sink, ndjson_dir};
///
/// let sink: NdjsonDir = ndjson_dir("out/delays");
/// assert_eq!(Sink::<u64>::describe(&sink), "files in out/delays");
/// ```
#[derive(Clone, Debug)]
pub struct NdjsonDir {
    dir: PathBuf,
}

impl<T: Serialize + 'static> Sink<T> for NdjsonDir {
    fn describe(&self) -> String {
        format!("files in {}", self.dir.display())
    }

    fn recover(self, cx: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async move { recover::recover(&*cx.host.disk(), &self.dir, cx.restored, prepared).await })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        Box::pin(async move { Ok(Box::new(writer::FileWriter::new(cx, self.dir)) as Box<dyn Writer<T>>) })
    }
}

/// What a checkpoint keeps: the files of a shard that are not known to be committed.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    /// The directory when it was written; only for messages, as it may have been moved.
    dir: String,
    files: Vec<PendingFile>,
}

/// A complete, durable file that awaits its final name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PendingFile {
    /// The final name.
    name: String,
    /// The name until then.
    pending: String,
    /// Length of the file.
    bytes: u64,
    /// Lines in it.
    records: u64,
}

/// Appends a record as a line.
///
/// # Errors
/// If it cannot be represented in JSON. `out` is unchanged then.
pub(super) fn encode<T: Serialize>(record: &T, out: &mut Vec<u8>) -> Result<()> {
    let before = out.len();
    serde_json::to_writer(&mut *out, record).map_err(|error| {
        out.truncate(before);
        Error::new(ErrorKind::Sink, "cannot represent a record in JSON").caused_by(error)
    })?;
    out.push(b'\n');
    Ok(())
}

/// An I/O error and the path it is about.
fn failed(what: &str, path: &std::path::Path, error: std::io::Error) -> Error {
    let kind = if lacks_room(&error) { ErrorKind::Exhausted } else { ErrorKind::Sink };
    Error::new(kind, format!("{}: cannot {what}", path.display())).caused_by(error)
}
