//! A topic at a glance.

use super::error::TopicError;
use super::reader::TopicReader;

/// What a topic holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TopicStat {
    /// By number.
    pub partitions: Vec<PartitionStat>,
    /// Transactions that are neither committed nor aborted.
    pub open: Vec<OpenTransaction>,
    /// Aborted transactions of which there may still be records.
    pub aborted: usize,
}

/// What a partition holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PartitionStat {
    /// The first offset that is left.
    pub start: u64,
    /// The offset behind the last durable record.
    pub end: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// How many files.
    pub segments: usize,
}

/// A transaction that is not decided.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OpenTransaction {
    /// Its number.
    pub transaction: u64,
    /// Whose it is.
    pub producer: String,
    /// The epoch of that producer now.
    pub epoch: u64,
    /// The id that it is prepared under, if it is.
    pub prepared: Option<u64>,
}

impl TopicReader {
    /// What the topic holds now.
    ///
    /// # Errors
    /// If the disk refuses.
    pub async fn stat(&mut self) -> Result<TopicStat, TopicError> {
        let mut partitions = Vec::new();
        for partition in 0..self.partitions() {
            let range = self.range(partition).await?;
            let segments = self.segments(partition).await?;
            let (bytes, segments) = (segments.iter().sum(), segments.len());
            partitions.push(PartitionStat { start: range.start, end: range.end, bytes, segments });
        }
        let state = &self.decisions.state;
        let open = state.open.iter().map(|(transaction, open)| OpenTransaction {
            transaction: *transaction,
            producer: open.producer.clone(),
            epoch: state.producers.get(&open.producer).map_or(0, |producer| producer.epoch),
            prepared: open.prepared,
        });
        Ok(TopicStat { partitions, open: open.collect(), aborted: state.aborted.len() })
    }
}
