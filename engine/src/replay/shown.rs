//! The sinks of a replay: each row is shown as a line of JSON, and written nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};

use super::gate::Gate;
use crate::error::{Error, ErrorKind, Result};
use crate::host::LocalFuture;
use crate::sink::{Prepared, Sink, SinkContext, Writer};
use crate::time::{MIN_TIME, Timestamp};

/// What all sinks of a replay share.
#[derive(Clone)]
pub(super) struct Rows {
    shared: Arc<Mutex<Shared>>,
    gate: Gate,
}

struct Shared {
    out: Box<dyn Write + Send>,
    /// By sink.
    counts: BTreeMap<String, u64>,
    /// The sinks that do not say how their rows look.
    mute: BTreeSet<String>,
    /// Why rows cannot be written any more.
    failed: Option<io::ErrorKind>,
}

impl Rows {
    pub(super) fn new(out: Box<dyn Write + Send>, gate: Gate) -> Rows {
        let shared = Shared { out, counts: BTreeMap::new(), mute: BTreeSet::new(), failed: None };
        Rows { shared: Arc::new(Mutex::new(shared)), gate }
    }

    /// All is done by one thread; the lock is there for the types.
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows by sink, and the sinks whose rows could only be counted.
    pub(super) fn counts(&self) -> (BTreeMap<String, u64>, BTreeSet<String>) {
        let shared = self.shared();
        (shared.counts.clone(), shared.mute.clone())
    }

    /// Whether there was none.
    pub(super) fn is_empty(&self) -> bool {
        self.shared().counts.values().all(|count| *count == 0)
    }

    /// # Errors
    /// If the rows, or the last of them, could not be written.
    pub(super) fn flush(&self) -> Result<()> {
        let mut shared = self.shared();
        if let Some(kind) = shared.failed {
            return Err(unwritten(kind.into()));
        }
        shared.out.flush().map_err(unwritten)
    }

    fn add(&self, sink: &str, core: usize, time: Timestamp, row: Option<&[u8]>) -> Result<()> {
        let read = self.gate.last();
        let mut line = Vec::new();
        let mut field = |name: &str, value: &[u8]| {
            line.extend_from_slice(if line.is_empty() { b"{\"" } else { b",\"" });
            line.extend_from_slice(name.as_bytes());
            line.extend_from_slice(b"\":");
            line.extend_from_slice(value);
        };
        field("sink", Json::from(sink).to_string().as_bytes());
        field("core", core.to_string().as_bytes());
        if time > MIN_TIME {
            field("time", time.to_string().as_bytes());
        }
        if let Some(read) = read {
            field("read", Json::from(read).to_string().as_bytes());
        }
        if let Some(row) = row {
            field("row", row);
        }
        line.extend_from_slice(b"}\n");
        self.gate.trace(|trace| trace.note(&[b"row", &line]));
        let mut shared = self.shared();
        *shared.counts.entry(sink.to_owned()).or_default() += 1;
        if row.is_none() {
            shared.mute.insert(sink.to_owned());
        }
        let written = shared.out.write_all(&line);
        written.map_err(|error| {
            // It is the replay that fails by that, and not the job.
            shared.failed = Some(error.kind());
            unwritten(error)
        })
    }
}

fn unwritten(error: io::Error) -> Error {
    Error::new(ErrorKind::Sink, "the rows of the replay cannot be written").caused_by(error)
}

/// A sink of the job's own that is only asked how its rows look.
pub(crate) struct Shown<S> {
    pub(super) sink: S,
    pub(super) name: String,
    pub(super) rows: Rows,
}

impl<S: Clone> Clone for Shown<S> {
    fn clone(&self) -> Shown<S> {
        Shown { sink: self.sink.clone(), name: self.name.clone(), rows: self.rows.clone() }
    }
}

impl<T: 'static, S: Sink<T>> Sink<T> for Shown<S> {
    fn describe(&self) -> String {
        self.sink.describe()
    }

    fn recover(self, _: SinkContext, _: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        self.rows.shared().counts.entry(self.name.clone()).or_default();
        let writer = ShownWriter { of: self, core: cx.shard };
        Box::pin(async { Ok(Box::new(writer) as Box<dyn Writer<T>>) })
    }
}

struct ShownWriter<S> {
    of: Shown<S>,
    core: usize,
}

impl<T: 'static, S: Sink<T>> Writer<T> for ShownWriter<S> {
    fn write(&mut self, records: &mut Vec<T>, times: &[Timestamp]) -> Result<()> {
        let Shown { sink, name, rows } = &self.of;
        let mut json = Vec::new();
        for (record, &time) in records.drain(..).zip(times) {
            json.clear();
            let is_shown = sink.show(&record, &mut json)?;
            rows.add(name, self.core, time, is_shown.then_some(&json[..]))?;
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        true
    }

    fn pre_commit(&mut self, _: u64) -> LocalFuture<Result<Json>> {
        Box::pin(async { Ok(json!(null)) })
    }

    fn commit(&mut self, _: u64) -> LocalFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
