//! A sink to the standard output: for a person who looks on, or a pipe that can bear a line twice.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::mem;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Prepared, Sink, SinkContext, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::host::LocalFuture;
use crate::time::Timestamp;

/// Prints every record as a line of JSON, **at least once**: a pipe cannot say what has arrived, so lines that were
/// printed just before a crash may be printed again after it. None is printed that a later replay could contradict:
/// a job with checkpoints prints what belongs to one when it is complete. A job without prints at once.
///
/// What waits to be printed is kept in memory and in the checkpoint; for volume, write to files. A reader that is
/// slower than the job holds up its core.
///
/// ```
/// # use millstream::prelude::*;
/// let job = Job::new("doc");
/// job.source("numbers", generator(3, |n| n)).sink("out", stdout_ndjson());
/// assert_eq!(job.run(Config::new().cores(1))?.records_out, 3);
/// # Ok::<(), millstream::Error>(())
/// ```
pub fn stdout_ndjson() -> StdoutNdjson {
    StdoutNdjson
}

/// A sink to the standard output. Made by [`stdout_ndjson`].
///
/// ```
/// use millstream::sink::{Sink, StdoutNdjson, stdout_ndjson};
///
/// let sink: StdoutNdjson = stdout_ndjson();
/// assert_eq!(Sink::<u64>::describe(&sink), "standard output");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StdoutNdjson;

impl<T: Serialize + 'static> Sink<T> for StdoutNdjson {
    fn describe(&self) -> String {
        "standard output".to_owned()
    }

    fn recover(self, _: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async move {
            for Prepared { epoch, pending, .. } in prepared {
                let pending = Pending::deserialize(pending).map_err(|error| {
                    let message =
                        format!("the checkpoint of epoch {epoch} is not one of the standard output");
                    Error::new(ErrorKind::Restore, message).caused_by(error)
                })?;
                print(pending.lines.as_bytes())?;
            }
            Ok(())
        })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        let writer = StdoutWriter { at_once: !cx.durable, lines: Vec::new(), prepared: Rc::default() };
        Box::pin(async { Ok(Box::new(writer) as Box<dyn Writer<T>>) })
    }

    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        super::show_record(record, json)
    }
}

/// What a checkpoint keeps: the lines that were not printed yet.
#[derive(Serialize, Deserialize)]
struct Pending {
    lines: String,
}

struct StdoutWriter {
    at_once: bool,
    /// Since the last pre-commit.
    lines: Vec<u8>,
    /// Pre-committed, by epoch.
    prepared: Rc<RefCell<BTreeMap<u64, Vec<u8>>>>,
}

impl<T: Serialize> Writer<T> for StdoutWriter {
    fn write(&mut self, records: &mut Vec<T>, _: &[Timestamp]) -> Result<()> {
        for record in records.drain(..) {
            super::file::encode(&record, &mut self.lines).map_err(|error| error.at("standard output"))?;
        }
        if self.at_once { print(&mem::take(&mut self.lines)) } else { Ok(()) }
    }

    fn has_room(&self) -> bool {
        true
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
        let mut prepared = self.prepared.borrow_mut();
        prepared.insert(epoch, mem::take(&mut self.lines));
        let lines = prepared.values().flatten().copied().collect();
        let lines = String::from_utf8(lines).expect("JSON is UTF-8");
        Box::pin(async { Ok(json!(Pending { lines })) })
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        let prepared = self.prepared.clone();
        Box::pin(async move {
            while let Some(entry) = prepared.borrow_mut().first_entry().filter(|entry| *entry.key() <= epoch)
            {
                print(&entry.remove())?;
            }
            Ok(())
        })
    }
}

fn print(lines: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    let printed = out.write_all(lines).and_then(|()| out.flush());
    printed
        .map_err(|error| Error::new(ErrorKind::Sink, "cannot write to the standard output").caused_by(error))
}
