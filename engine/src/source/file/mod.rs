//! Files of records: NDJSON or CSV, plain, gzip or zstd.
//!
//! A file is a split. Splits are dealt to the shards round robin, by name; a shard has a few of its files open at
//! a time, reads them ahead in the background and takes records from them in turn, so that their event times
//! advance together. The others wait: a directory of thousands of files costs no more memory or open files than
//! one of eight, but a file that is opened late brings its records late in event time too, unless the files are
//! named in the order of their contents.
//!
//! Files must be complete when the job starts, and must not change: a job reads what a file holds when it is
//! opened. Files that are added to a directory are found at the next start.
//!
//! A position counts bytes of the decompressed stream. To go on in a plain file is a seek; a compressed one is
//! decompressed again up to there.

mod codec;
mod csv;
mod cursor;
mod discover;
mod input;
mod ndjson;
mod parser;
mod prefetch;
mod reader;
mod split;
mod window;

use std::marker::PhantomData;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::host::LocalFuture;
use crate::source::{Poison, Reader, Source, SourceContext};
use parser::Format;
use reader::FileReader;
use split::Split;

/// The records of one file, or of all files in a directory. See [`files`].
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::source::file;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("numbers.ndjson");
///
/// std::fs::write(&path, "1\n2\n").unwrap();
/// let job = Job::new("doc");
/// let (sink, numbers) = collect();
/// job.source("numbers", file::<u64>(&path)).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(numbers.take(), [1, 2]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub fn file<T>(path: impl Into<PathBuf>) -> FileSource<T> {
    files([path])
}

/// The records of several files and directories, as NDJSON unless [told otherwise](FileSource::csv).
///
/// A path that is a directory stands for the files in it, sorted by name, without hidden ones and those in
/// sub-directories. gzip and zstd are recognised by the first bytes of a file, or else by its name (`.gz`,
/// `.zst`).
///
/// ```
/// # use millstream::prelude::*;
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path();
/// #[derive(serde::Deserialize)]
/// struct Flight { carrier: String, dep_delay: Option<i32> }
///
/// std::fs::write(dir.join("2012.ndjson"), r#"{"carrier": "UA", "dep_delay": 7}"#).unwrap();
/// std::fs::write(dir.join("2013.ndjson"), r#"{"carrier": "AA", "dep_delay": null}"#).unwrap();
/// let job = Job::new("doc");
/// let (sink, delays) = collect();
/// job.source("flights", files::<Flight>([dir]))
///     .filter(|flight| flight.dep_delay.is_some())
///     .map(|flight| flight.carrier)
///     .sink("delayed", sink);
/// assert_eq!(job.run(Config::new().cores(1))?.records_in, 2);
/// assert_eq!(delays.take(), ["UA"]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub fn files<T>(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> FileSource<T> {
    FileSource {
        paths: paths.into_iter().map(Into::into).collect(),
        format: Format::Ndjson,
        poison: Poison::Fail,
        limits: Limits { chunk: 256 << 10, max_record: 16 << 20, open: 8 },
        records: PhantomData,
    }
}

/// A source of records of type `T` from files. Made by [`file()`] and [`files`].
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::source::{FileSource, Source, file};
///
/// let numbers: FileSource<u64> = file::<u64>("numbers.ndjson")
///     .ndjson()
///     .poison(Poison::Skip)
///     .max_record(1 << 10)
///     .read_size(64 << 10)
///     .open_files(4);
/// assert_eq!(numbers.describe(), "files numbers.ndjson");
/// ```
#[derive(Debug)]
pub struct FileSource<T> {
    paths: Vec<PathBuf>,
    format: Format,
    poison: Poison,
    limits: Limits,
    records: PhantomData<fn() -> T>,
}

/// What bounds memory.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes of one read; a few are read ahead.
    chunk: usize,
    /// Bytes of the longest record.
    max_record: usize,
    /// Files of a shard that are read at once.
    open: usize,
}

impl<T> FileSource<T> {
    /// The files hold one JSON value per line, in UTF-8. Lines end with LF or CR LF; the last one needs no end;
    /// blank ones are passed over. This is the default.
    pub fn ndjson(mut self) -> FileSource<T> {
        self.format = Format::Ndjson;
        self
    }

    /// The files hold comma-separated values (RFC 4180, UTF-8), and begin with a header row that names the fields
    /// of `T`. Each record must have as many fields as the header row.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("flights.csv");
    /// #[derive(serde::Deserialize)]
    /// struct Flight { dest: String, dep_delay: Option<i32> }
    ///
    /// std::fs::write(&path, "dep_delay,dest\n,LAX\n-3,JFK\n").unwrap();
    /// let job = Job::new("doc");
    /// let (sink, flights) = collect();
    /// job.source("flights", files::<Flight>([&path]).csv()).map(|f| (f.dest, f.dep_delay)).sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(flights.take(), [("LAX".to_owned(), None), ("JFK".to_owned(), Some(-3))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn csv(mut self) -> FileSource<T> {
        self.format = Format::Csv;
        self
    }

    /// What to do about a record that cannot be decoded: by default the job fails.
    pub fn poison(mut self, poison: Poison) -> FileSource<T> {
        self.poison = poison;
        self
    }

    /// A longer record cannot be decoded: its bytes are dropped as they come. 16 MiB by default.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("words.ndjson");
    /// std::fs::write(&path, "\"short\"\n\"not short at all\"\n").unwrap();
    /// let words = files::<String>([&path]).max_record(10).poison(Poison::Skip);
    /// let job = Job::new("doc");
    /// job.source("words", words).sink("nowhere", discard());
    /// let report = job.run(Config::new().cores(1))?;
    /// assert_eq!((report.records_in, report.poison), (1, 1));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn max_record(mut self, bytes: usize) -> FileSource<T> {
        self.limits.max_record = bytes;
        self
    }

    /// How many bytes are read at once; up to four such reads per open file are kept ahead. 256 KiB by default, at
    /// least 1.
    pub fn read_size(mut self, bytes: usize) -> FileSource<T> {
        self.limits.chunk = bytes.max(1);
        self
    }

    /// How many files a shard reads at the same time. 8 by default, at least 1.
    pub fn open_files(mut self, files: usize) -> FileSource<T> {
        self.limits.open = files.max(1);
        self
    }
}

// Not derived: that would ask `T` to be `Clone`.
impl<T> Clone for FileSource<T> {
    fn clone(&self) -> FileSource<T> {
        FileSource { paths: self.paths.clone(), records: PhantomData, ..*self }
    }
}

impl<T: DeserializeOwned + Send + 'static> Source<T> for FileSource<T> {
    fn describe(&self) -> String {
        let paths: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
        format!("files {}", paths.join(", "))
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn poison(&self) -> Poison {
        self.poison
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<T>>>> {
        Box::pin(async move {
            let disk = cx.host.disk();
            let files = discover::discover(&*disk, &self.paths).await?;
            let positions = discover::reconcile(cx.agreement.on(files), &cx.restored)?;
            let mut splits = Vec::new();
            for (index, (name, position)) in positions.into_iter().enumerate() {
                if cx.owns(index) {
                    let start = discover::resume(&*disk, &name, &position).await?;
                    splits.push(Split::new(name, position, start));
                }
            }
            Ok(Box::new(FileReader::<T>::new(cx, self.format, self.limits, splits)) as Box<dyn Reader<T>>)
        })
    }
}
