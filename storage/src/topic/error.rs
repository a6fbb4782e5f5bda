//! What can go wrong with a topic.

use std::path::PathBuf;

use crate::error::StoreError;

/// A refused or failed operation on a topic.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The disk failed, or bytes on it are not what was written there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another writer has the topic.
    #[error(
        "topic {}: another writer holds it: the lock is {}; a topic has one writer at a time, so end that process, \
         or append through it", dir.display(), dir.join("lease").display()
    )]
    Held {
        /// The topic.
        dir: PathBuf,
    },
    /// There is no topic in this directory.
    #[error("{}: is no topic: it has no manifest; create one, or correct the path", dir.display())]
    NoTopic {
        /// The directory.
        dir: PathBuf,
    },
    /// The topic is not what the caller takes it for, or its manifest cannot be used.
    #[error("topic {}: {reason}", dir.display())]
    Refused {
        /// The topic.
        dir: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A partition that the topic does not have.
    #[error("topic {}: has partitions 0 to {}, not {partition}", dir.display(), partitions - 1)]
    NoPartition {
        /// The topic.
        dir: PathBuf,
        /// What was asked for.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// An offset that is not, or no longer, in a partition.
    #[error(
        "topic {}: offset {offset} of partition {partition} is out of range: it has offsets {start} up to, and not \
         including, {end}; lower ones were removed by retention, higher ones are not there yet", dir.display()
    )]
    OutOfRange {
        /// The topic.
        dir: PathBuf,
        /// The partition.
        partition: u32,
        /// What was asked for.
        offset: u64,
        /// The first offset that is left.
        start: u64,
        /// The offset of the next record that will be appended.
        end: u64,
    },
    /// A producer of a newer epoch has taken over.
    #[error("producer `{producer}` of epoch {epoch} is fenced: epoch {newest} has taken over")]
    Fenced {
        /// The producer.
        producer: String,
        /// The epoch of the caller.
        epoch: u64,
        /// The newest epoch.
        newest: u64,
    },
    /// A transaction that is not in the state that the call needs.
    #[error("transaction {transaction} {reason}")]
    Transaction {
        /// Its number.
        transaction: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A prepared transaction that is neither pending nor committed.
    #[error(
        "topic {}: knows no transaction {id} of producer `{producer}`, neither prepared nor committed: it was \
         aborted, or this is another topic", dir.display()
    )]
    Unknown {
        /// The topic.
        dir: PathBuf,
        /// The producer.
        producer: String,
        /// The id that it was prepared with.
        id: u64,
    },
    /// A batch beyond the limit.
    #[error("a batch of {bytes} bytes is too large: at most {most} bytes fit into one; use smaller batches")]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// The writer cannot go on: a flush was given up half-way, so nobody knows what it did.
    #[error("topic {}: an earlier flush was given up before its end; open the topic again", dir.display())]
    Abandoned {
        /// The topic.
        dir: PathBuf,
    },
}
