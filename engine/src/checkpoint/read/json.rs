//! Any state as JSON, whatever program reads it.

use serde::Serialize;
use serde_json::Value as Json;

use super::rows::{Place, Row, Rows};
use super::target::{Target, Type};
use super::{decode, encode};
use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// An entry of a state as JSON; what a kind of state does not have is left out. Numbers, texts, `Option`s, tuples, arrays
/// and vectors of them are plain JSON. What is of another type, or no value of its type, is an object of the type's
/// name, `type`, and of its bytes, `hex`.
///
/// ```
/// use millstream::checkpoint::read::JsonEntry;
///
/// let entry = JsonEntry { key: Some("JFK".into()), value: Some(7.into()), ..JsonEntry::default() };
/// assert_eq!(serde_json::to_string(&entry).unwrap(), r#"{"key":"JFK","value":7}"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JsonEntry {
    /// The core: of a core's own state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core: Option<usize>,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Json>,
    /// The end of the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_end: Option<Timestamp>,
    /// The place in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// The key in a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<Json>,
    /// The time in a timeline, or of a timer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// What is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// When it expires, in milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// Reads a state as JSON. Made by [`Checkpoints::json`](crate::checkpoint::inspect::Checkpoints::json).
///
/// ```
/// # use millstream::prelude::*;
/// # use millstream_storage::disk::{StdDisk, block_on};
/// use millstream::checkpoint::inspect::Checkpoints;
/// use millstream::checkpoint::read::JsonReader;
/// # #[derive(Clone)]
/// # struct Count;
/// # impl Process for Count {
/// #     type Key = String;
/// #     type In = String;
/// #     type Out = u64;
/// #     type State = Value<u64>;
/// #     fn declare(&self, state: &mut Declare) -> Value<u64> {
/// #         state.value("seen")
/// #     }
/// #     fn on_record(&mut self, _: String, seen: &Value<u64>, cx: &mut Context<'_, Self>) {
/// #         seen.update(cx, |n| *n += 1);
/// #     }
/// # }
/// # let dir = tempfile::tempdir()?;
/// # let job = Job::new("doc");
/// # let airports = ["JFK", "LGA", "JFK"].map(str::to_owned).to_vec();
/// # job.source("flights", from_vec(airports)).key_by(|c| c.clone()).process("count", Count).sink("nowhere", discard());
/// # job.run(Config::new().cores(2).checkpoints(dir.path()).checkpoint_at_end_only())?;
///
/// let checkpoints = Checkpoints::at(std::rc::Rc::new(StdDisk), dir.path());
/// let manifest = block_on(checkpoints.manifest(1))?;
/// let mut seen: JsonReader = checkpoints.json(&manifest, Some("count"), "seen")?;
/// seen.only_key("JFK")?;
/// seen.memory(64 << 20);
/// seen.on_progress(|read, of| assert!(read <= of));
/// while let Some(entry) = block_on(seen.next())? {
///     assert_eq!(serde_json::to_string(&entry)?, r#"{"key":"JFK","value":2}"#);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct JsonReader {
    rows: Rows,
}

impl JsonReader {
    pub(super) fn new(rows: Rows) -> JsonReader {
        JsonReader { rows }
    }

    /// Reads one key only: numbers as in JSON, text as it is, bytes as text or as an array of numbers, tuples as arrays
    /// of JSON; for keys of a type of your own, `hex:` and their encoding.
    ///
    /// # Errors
    /// If it is not a key of the step's type, or the state has no keys.
    pub fn only_key(&mut self, key: &str) -> Result<()> {
        let target = &self.rows.target;
        let Some(bytes) = encode::key(target.key.shape.as_ref(), key) else {
            let of = &target.key.name;
            let how = match target.key.shape {
                Some(_) => "write tuples as arrays of JSON",
                None => "write `hex:` and the encoding of the key",
            };
            let message =
                format!("{key:?} is not a key of step `{}`, whose keys are of type {of}; {how}", target.step);
            return Err(Error::new(ErrorKind::Config, message));
        };
        self.rows.only(bytes)
    }

    /// How many bytes of records may be in memory at a time: of more state than that, as much is read in turn, each from
    /// the beginning of the files. 512 MiB unless said otherwise.
    pub fn memory(&mut self, bytes: u64) {
        self.rows.slices.set_memory(bytes);
    }

    /// Calls `tell` while files are read: with the bytes that were read, and with those to be read in all, as far as that
    /// is known.
    pub fn on_progress(&mut self, tell: impl FnMut(u64, u64) + 'static) {
        self.rows.slices.set_tell(Box::new(tell));
    }

    /// The next entry.
    ///
    /// # Errors
    /// If a file is missing or damaged, by its name and the offset.
    pub async fn next(&mut self) -> Result<Option<JsonEntry>> {
        let row = self.rows.next().await?;
        Ok(row.map(|row| entry(&self.rows.target, row)))
    }
}

fn entry(target: &Target, row: Row) -> JsonEntry {
    let Row { key, place, value, until } = row;
    let mut entry = JsonEntry { expires: until, ..JsonEntry::default() };
    let (mut has_key, mut has_value) = (true, true);
    match place {
        Place::Only => {}
        Place::Index(at) => entry.index = Some(at),
        Place::Entry(of) => {
            entry.entry = Some(known(&target.entry, &of, decode::key));
            has_key = target.kind != super::target::Kind::Broadcast;
        }
        Place::Time(at) => {
            entry.time = Some(at);
            has_value = target.kind != super::target::Kind::Timers;
        }
        Place::Window(end) => entry.window_end = Some(end),
        Place::Core(core, at) => {
            (entry.core, entry.index) = (Some(core), Some(at));
            has_key = false;
        }
    }
    entry.key = has_key.then(|| known(&target.key, &key, decode::key));
    entry.value = has_value.then(|| known(&target.value, &value, decode::archive));
    entry
}

fn known(of: &Type, bytes: &[u8], decode: fn(&super::shape::Shape, &[u8]) -> Option<Json>) -> Json {
    let json = of.shape.as_ref().and_then(|shape| decode(shape, bytes));
    json.unwrap_or_else(|| decode::unknown(&of.name, bytes))
}
