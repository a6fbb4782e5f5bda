//! The reader of sources that can make any record from its index.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Fetched, Polled, Reader, SourceContext};
use crate::error::{Error, ErrorKind, Result};

/// Split k of n has the records k, k + n, k + 2n, ...: so splits are equally far in the whole, and none holds event
/// time back.
pub(super) struct Strided<F> {
    record: F,
    names: Vec<String>,
    splits: Vec<Part>,
    /// To be polled, in turn.
    open: VecDeque<usize>,
    /// By split.
    paused: Vec<bool>,
}

/// Position of a split as checkpoints keep it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    /// Which split.
    split: u64,
    /// Of how many.
    splits: u64,
    /// How many of its records were taken.
    taken: u64,
    /// How many it has.
    len: u64,
}

impl Part {
    fn new(split: u64, splits: u64, total: u64) -> Part {
        let len = total.saturating_sub(split).div_ceil(splits);
        Part { split, splits, taken: 0, len }
    }
}

impl<F> Strided<F> {
    /// The splits of this shard. How many there are is decided when the job first starts: a restored checkpoint
    /// brings its own number along.
    ///
    /// # Errors
    /// If the restored splits are not these.
    pub(super) fn open(
        cx: &SourceContext,
        what: &str,
        splits: usize,
        total: u64,
        record: F,
    ) -> Result<Strided<F>> {
        let splits = if cx.restored.is_empty() { splits } else { cx.restored.len() };
        let mut parts = (0..splits).map(|k| Part::new(k as u64, splits as u64, total)).collect::<Vec<_>>();
        for part in parts.iter_mut().filter(|_| !cx.restored.is_empty()) {
            let name = name(part);
            let json = cx.restored.get(&name).unwrap_or(&Json::Null);
            *part = restored(*part, json).ok_or_else(|| mismatch(what, &name, part, json))?;
        }
        let mine = parts.into_iter().enumerate().filter(|(index, _)| cx.owns(*index));
        let parts: Vec<Part> = mine.map(|(_, part)| part).collect();
        let names = parts.iter().map(name).collect();
        let (open, paused) = ((0..parts.len()).collect(), vec![false; parts.len()]);
        Ok(Strided { record, names, open, paused, splits: parts })
    }
}

/// Padded, so that names mostly sort like numbers for the eye.
fn name(part: &Part) -> String {
    format!("{:05}", part.split)
}

/// The restored position, if it is one of this part.
fn restored(part: Part, json: &Json) -> Option<Part> {
    let old: Part = serde_json::from_value(json.clone()).ok()?;
    let same = (old.split, old.splits, old.len) == (part.split, part.splits, part.len);
    (same && old.taken <= old.len).then_some(old)
}

fn mismatch(what: &str, name: &str, part: &Part, json: &Json) -> Error {
    let message = format!(
        "{what}: split {name} is at {json} in the checkpoint, but now is part {} of {} with {} records; give the \
         source the records that it had, or start without the checkpoint",
        part.split, part.splits, part.len
    );
    Error::new(ErrorKind::Restore, message)
}

impl<T, F: Fn(u64) -> T> Reader<T> for Strided<F> {
    fn splits(&self) -> &[String] {
        &self.names
    }

    fn poll(&mut self, max: usize, out: &mut Fetched<T>) -> Result<Polled> {
        if self.open.is_empty() {
            return Ok(Polled::End);
        }
        let Some(ahead) = self.open.iter().position(|&index| !self.paused[index]) else {
            return Ok(Polled::Pending);
        };
        self.open.rotate_left(ahead);
        let index = self.open[0];
        let part = &mut self.splits[index];
        let n = (part.len - part.taken).min(max as u64);
        if part.taken == part.len {
            self.open.pop_front();
            return Ok(Polled::SplitEnd(index));
        }
        let (first, stride) = (part.split + part.taken * part.splits, part.splits);
        let record = &self.record;
        out.records.extend((0..n).map(|k| record(first + k * stride)));
        part.taken += n;
        self.open.rotate_left(1);
        Ok(Polled::Split(index))
    }

    fn is_silent(&self, _: usize) -> bool {
        false
    }

    fn set_paused(&mut self, split: usize, paused: bool) -> bool {
        self.paused[split] = paused;
        true
    }

    fn positions(&self) -> BTreeMap<String, Json> {
        let json = |part: &Part| serde_json::to_value(part).expect("a position is plain data");
        self.splits.iter().map(|part| (name(part), json(part))).collect()
    }
}
