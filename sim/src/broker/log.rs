//! A partition: its records, its ends, and what its readers see.
//!
//! | rule | as in Kafka |
//! |---|---|
//! | last stable offset | the first offset of any transaction that goes on here, or the high watermark: records of others that are committed behind it are not seen yet |
//! | aborted transactions | a fetch returns them with the list of who was aborted; the reader leaves them out |
//! | out of range | an offset below the log's start, or above the high watermark, is refused |
//! | compaction | below the last stable offset, the last record of each key stays, and what was aborted goes; a removal of a key goes in a later pass. Offsets stay what they are, end markers stay |
//!
//! Every record is replicated when it is acknowledged: the high watermark is the end. Elections that lose records are not
//! modelled.

use std::collections::{BTreeMap, BTreeSet};

use super::producers::{Producers, Verdict};
use super::requests::{Batch, End, ErrorCode, Fetched, Isolation, Kind, ProducerEpoch, Record};

/// A partition's records.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    records: BTreeMap<u64, Record>,
    start: u64,
    end: u64,
    producers: Producers,
    /// Of transactions that were aborted: producer, first offset, offset of the end marker.
    aborted: Vec<(i64, u64, u64)>,
    /// Removals of keys that the last compaction has seen.
    buried: BTreeSet<u64>,
}

impl Log {
    /// Appends a batch, unless it is there, and returns its offset.
    pub(super) fn append(&mut self, batch: &Batch) -> Result<u64, ErrorCode> {
        if let Verdict::Duplicate(offset) = self.producers.judge(batch)? {
            return Ok(offset);
        }
        let transactional = batch.transactional_id.is_some();
        if !transactional && batch.producer.is_some_and(|producer| self.producers.is_open(producer.id)) {
            return Err(ErrorCode::InvalidTxnState);
        }
        let offset = self.end;
        for message in &batch.messages {
            self.push(batch.producer, Kind::Data { transactional, message: message.clone() });
        }
        self.producers.appended(batch, offset);
        Ok(offset)
    }

    /// Appends the end of a transaction. One that has nothing here leaves a marker all the same.
    pub(super) fn append_end(&mut self, producer: ProducerEpoch, commit: bool) -> Result<(), ErrorCode> {
        let began = self.producers.end(producer)?;
        let offset = self.push(Some(producer), Kind::Control { commit });
        if let Some(first) = began.filter(|_| !commit) {
            self.aborted.push((producer.id, first, offset));
        }
        Ok(())
    }

    fn push(&mut self, producer: Option<ProducerEpoch>, kind: Kind) -> u64 {
        let offset = self.end;
        self.records.insert(offset, Record { offset, producer, kind });
        self.end += 1;
        offset
    }

    /// Whether a transaction of a producer goes on here.
    pub(super) fn is_open(&self, id: i64) -> bool {
        self.producers.is_open(id)
    }

    /// The last stable offset.
    pub(super) fn stable(&self) -> u64 {
        self.producers.first_open().unwrap_or(self.end).max(self.start)
    }

    /// An end, as a reader sees it.
    pub(super) fn offset(&self, end: End, isolation: Isolation) -> u64 {
        match (end, isolation) {
            (End::Earliest, _) => self.start,
            (End::Latest, Isolation::Uncommitted) => self.end,
            (End::Latest, Isolation::Committed) => self.stable(),
        }
    }

    /// Reads up to `most` records from an offset on.
    pub(super) fn fetch(&self, offset: u64, most: usize, isolation: Isolation) -> Result<Fetched, ErrorCode> {
        if offset < self.start || offset > self.end {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let stable = self.stable();
        let limit = if isolation == Isolation::Committed { stable } else { self.end };
        let limit = limit.max(offset);
        let records: Vec<Record> =
            self.records.range(offset..limit).take(most).map(|(_, record)| record.clone()).collect();
        let next = match records.last() {
            Some(last) if records.len() == most => last.offset + 1,
            _ => limit,
        };
        let is_seen = |of: &&(i64, u64, u64)| of.2 >= offset && of.1 < next;
        let aborted = match isolation {
            Isolation::Committed => self.aborted.iter().filter(is_seen).map(|of| (of.0, of.1)).collect(),
            Isolation::Uncommitted => Vec::new(),
        };
        Ok(Fetched { records, aborted, next, end: self.end, stable })
    }

    /// Retention removes what is below an offset, no more than there is.
    pub(super) fn trim(&mut self, offset: u64) {
        self.start = offset.clamp(self.start, self.end);
        self.records = self.records.split_off(&self.start);
        let start = self.start;
        self.aborted.retain(|of| of.2 >= start);
    }

    /// Keeps the last record of each key.
    pub(super) fn compact(&mut self) {
        let stable = self.stable();
        let is_aborted = |record: &Record| self.is_aborted(record);
        let mut last: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut dead = BTreeSet::new();
        let mut removals = BTreeSet::new();
        for (offset, record) in self.records.range(..stable) {
            let Kind::Data { message, .. } = &record.kind else { continue };
            if is_aborted(record) {
                dead.insert(*offset);
                continue;
            }
            let Some(key) = &message.key else { continue };
            dead.extend(last.insert(key.clone(), *offset));
            if message.value.is_none() {
                removals.insert(*offset);
            }
        }
        dead.extend(removals.intersection(&self.buried));
        self.records.retain(|offset, _| !dead.contains(offset));
        self.buried = removals;
    }

    fn is_aborted(&self, record: &Record) -> bool {
        let Kind::Data { transactional: true, .. } = record.kind else { return false };
        let id = record.producer.expect("transactions are of a producer").id;
        self.aborted.iter().any(|of| of.0 == id && of.1 <= record.offset && record.offset < of.2)
    }

    /// Everything that is there.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }
}
