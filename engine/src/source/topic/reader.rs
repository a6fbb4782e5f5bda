//! The partitions of one shard.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use millstream_storage::topic::{Record, Records};
use serde_json::Value as Json;

use super::Decode;
use super::position::name;
use super::split::{Fetched as FromSplit, Split};
use crate::error::Result;
use crate::source::{DeadLetter, Fetched, Polled, Reader};

/// At most this much of an undecodable record is kept, in bytes.
const DEAD_LETTER_BYTES: usize = 64 << 10;

/// Polls its partitions in turn, so that their event times advance together.
pub(super) struct PartitionsReader<T> {
    dir: PathBuf,
    decode: Decode<T>,
    names: Vec<String>,
    splits: Vec<Split>,
    /// What is left of the batch that was fetched last, by split.
    batches: Vec<Option<Records>>,
    /// In the order of the next polls.
    open: VecDeque<usize>,
    /// By split.
    paused: Vec<bool>,
}

impl<T> PartitionsReader<T> {
    pub(super) fn new(dir: PathBuf, decode: Decode<T>, splits: Vec<Split>) -> PartitionsReader<T> {
        let names = splits.iter().map(|split| name(split.partition)).collect();
        let batches = splits.iter().map(|_| None).collect();
        let (open, paused) = ((0..splits.len()).collect(), vec![false; splits.len()]);
        PartitionsReader { dir, decode, names, splits, batches, open, paused }
    }

    /// Decodes up to `max` records of a batch, of those that belong to the job.
    fn take(&mut self, index: usize, mut records: Records, max: usize, out: &mut Fetched<T>) {
        let split = &mut self.splits[index];
        let end = split.position.end.unwrap_or(u64::MAX);
        let mut iter = records.iter();
        for record in iter.by_ref().take(max) {
            if record.offset >= end {
                break;
            }
            split.position.offset = record.offset + 1;
            match (self.decode)(&record) {
                Ok(decoded) => out.records.push(decoded),
                Err(reason) => out.poison.push(dead_letter(&self.dir, split.partition, &record, reason)),
            }
        }
        let place = iter.place();
        records.go_on(place);
        if records.offset() < records.end_offset().min(end) {
            self.batches[index] = Some(records);
        }
    }
}

fn dead_letter(dir: &std::path::Path, partition: u32, record: &Record<'_>, reason: String) -> DeadLetter {
    let kept = &record.value[..record.value.len().min(DEAD_LETTER_BYTES)];
    DeadLetter {
        split: dir.join(name(partition)).display().to_string(),
        offset: record.offset,
        line: None,
        record: String::from_utf8_lossy(kept).into_owned(),
        reason,
    }
}

impl<T> Reader<T> for PartitionsReader<T> {
    fn splits(&self) -> &[String] {
        &self.names
    }

    fn poll(&mut self, max: usize, out: &mut Fetched<T>) -> Result<Polled> {
        if self.open.is_empty() {
            return Ok(Polled::End);
        }
        for _ in 0..self.open.len() {
            let index = self.open[0];
            if self.paused[index] {
                self.open.rotate_left(1);
                continue;
            }
            let batch = match self.batches[index].take() {
                Some(left) => FromSplit::Batch(left),
                None => self.splits[index].fetch()?,
            };
            match batch {
                FromSplit::Batch(records) => {
                    self.take(index, records, max, out);
                    self.open.rotate_left(1);
                    return Ok(Polled::Split(index));
                }
                FromSplit::Pending => self.open.rotate_left(1),
                FromSplit::Ended => {
                    self.open.pop_front();
                    return Ok(Polled::SplitEnd(index));
                }
            }
        }
        Ok(Polled::Pending)
    }

    fn is_silent(&self, split: usize) -> bool {
        self.batches[split].is_none() && self.splits[split].is_silent()
    }

    fn set_paused(&mut self, split: usize, paused: bool) -> bool {
        self.paused[split] = paused;
        true
    }

    fn positions(&self) -> BTreeMap<String, Json> {
        let json = |split: &Split| serde_json::to_value(split.position).expect("a position is plain data");
        self.names.iter().cloned().zip(self.splits.iter().map(json)).collect()
    }
}
