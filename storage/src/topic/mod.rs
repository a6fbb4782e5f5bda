//! The embedded durable topic: a directory of partitions, each an append-only log of records with offsets.
//!
//! One [`TopicWriter`] at a time holds a topic's lease and appends, with group commit: what was appended since the
//! last [`flush`](TopicWriter::flush) becomes durable by one write and one sync per partition, and an append counts
//! only when that flush has returned. Any number of [`TopicReader`]s, in this process or another, read from any
//! offset and follow the tail.
//!
//! A [transaction](TopicWriter::begin) spans partitions. Whether it is committed is one record in the topic's log of
//! decisions; there are no markers in the partitions that could disagree with it. A reader of
//! [committed](Isolation::Committed) records stops before the first record of a transaction that is still open,
//! passes over those of aborted ones, and so sees every partition in the order of its offsets.
//!
//! # What a file is
//! A segment is written by the one process that created it and never opened for writing again: nobody can know
//! after a crash whether a sync of it had failed before. A writer that starts copies what is not known to be durable
//! (at most the last group) into a segment of its own; a writer whose sync failed abandons the file at the last
//! length that was synced, and writes the rest into a new one. A newer segment always cuts the older ones at its
//! first offset. So nothing is ever truncated, and a torn tail is just never counted.
//!
//! Each group of frames says how much of the file was durable when it was written; when there is no next group, an
//! unsynced mark at the end says it. Readers, also those of other processes, deliver only what is known to be
//! durable, so nothing that was read is lost in a power failure and replaced by something else.
//!
//! `FORMAT.md` draws every byte.
//!
//! ```
//! use std::rc::Rc;
//! use millstream_storage::disk::{StdDisk, block_on};
//! use millstream_storage::topic::{BatchBuilder, Isolation, TopicConfig, TopicReader, TopicWriter};
//!
//! # let dir = std::env::temp_dir().join(format!("millstream-topic-doc-{}", std::process::id()));
//! block_on(async {
//!     let disk = Rc::new(StdDisk);
//!     let mut writer = TopicWriter::open_or_create(disk.clone(), &dir, TopicConfig::new(7).partitions(2)).await?;
//!     let mut batch = BatchBuilder::new();
//!     batch.push(1_700_000_000_000, Some(b"JFK"), b"delayed", &[]);
//!     assert_eq!(writer.append(1, batch.finish())?, 0..1);
//!     writer.flush().await?;
//!
//!     let mut reader = TopicReader::open(disk, &dir, Isolation::Committed).await?;
//!     let mut cursor = reader.seek(1, 0).await?;
//!     let records = reader.next(&mut cursor).await?.expect("one batch is durable");
//!     let values: Vec<_> = records.iter().map(|record| record.value).collect();
//!     assert_eq!(values, [b"delayed"]);
//!     # drop(writer);
//!     Ok::<_, millstream_storage::topic::TopicError>(())
//! })?;
//! # std::fs::remove_dir_all(&dir).ok();
//! # Ok::<_, millstream_storage::topic::TopicError>(())
//! ```
//!
//! Transactions, retention, and what else a topic can be asked:
//! ```
//! use std::rc::Rc;
//! use millstream_storage::disk::{StdDisk, block_on};
//! use millstream_storage::topic::{
//!     Batch, BatchBuilder, Headers, Isolation, OpenTransaction, Outcome, PartitionStat, Place, Producer, Record,
//!     Records, RecordsIter, Retention, Signal, TopicConfig, TopicError, TopicReader, TopicStat, TopicWriter,
//!     Transaction,
//! };
//!
//! # let dir = std::env::temp_dir().join(format!("millstream-topic-tour-{}", std::process::id()));
//! block_on(async {
//!     let disk = Rc::new(StdDisk);
//!     let retention = Retention { max_age_millis: Some(1_000), max_bytes: None };
//!     let config = TopicConfig::new(7).partitions(1).segment_bytes(1 << 20).retention(retention);
//!     let mut writer = TopicWriter::open_or_create(disk.clone(), &dir, config).await?;
//!     let signal: Signal = Signal::new();
//!     writer.give(signal.clone());
//!     let producer: Producer = writer.fence("sink", 1)?;
//!     let (kept, lost): (Transaction, Transaction) = (writer.begin(&producer)?, writer.begin(&producer)?);
//!     assert!(kept.number() < lost.number());
//!     let mut builder = BatchBuilder::new();
//!     builder.push(5, None, b"one", &[("trace", b"af01")]);
//!     builder.push(6, None, b"two", &[]);
//!     assert!(!builder.is_empty() && builder.bytes() > 6);
//!     let batch: Batch = builder.finish();
//!     assert!(batch.count() == 2 && batch.bytes() > 6);
//!     writer.append_in(kept, 0, batch.clone())?;
//!     writer.append_in(lost, 0, batch)?;
//!     writer.prepare(kept, 1)?;
//!     writer.abort(lost)?;
//!     assert!(!writer.is_clean());
//!     writer.flush().await?;
//!     assert_eq!(signal.version(), 1);
//!     signal.after(0).await;
//!     signal.give();
//!     drop(writer);
//!
//!     let mut writer = TopicWriter::open(disk.clone(), &dir).await?;
//!     assert_eq!(writer.prepared("sink").len(), 1);
//!     assert_eq!(writer.commit_prepared("sink", 1)?, Outcome::Committed);
//!     writer.abort_all("sink")?;
//!     let another = writer.begin(&producer)?;
//!     writer.commit(another)?;
//!     writer.retain(10_000).await?;
//!     assert_eq!((writer.partitions(), writer.end(0), writer.dir()), (1, 4, dir.as_path()));
//!     assert_eq!(writer.producers().collect::<Vec<_>>(), ["sink"]);
//!     assert_eq!(writer.producer("sink"), Some((1, Some(1))));
//!     assert!(writer.signal().version() > 0);
//!     writer.close().await?;
//!
//!     let mut reader = TopicReader::open(disk, &dir, Isolation::Committed).await?;
//!     assert_eq!((reader.partitions(), reader.range(0).await?), (1, 0..4));
//!     let stat: TopicStat = reader.stat().await?;
//!     let (partition, open): (&PartitionStat, Option<&OpenTransaction>) = (&stat.partitions[0], stat.open.first());
//!     assert_eq!((partition.end, open), (4, None));
//!     let mut cursor: millstream_storage::topic::Cursor = reader.seek(0, 0).await?;
//!     let mut records: Records = reader.next(&mut cursor).await?.expect("a committed batch");
//!     assert_eq!((cursor.partition(), cursor.offset()), (0, 2));
//!     let mut iter: RecordsIter<'_> = records.iter();
//!     let first: Record<'_> = iter.next().expect("two records");
//!     let mut headers: Headers<'_> = first.headers;
//!     assert_eq!(headers.next(), Some(("trace", &b"af01"[..])));
//!     let place: Place = iter.place();
//!     records.go_on(place);
//!     assert_eq!((records.offset(), records.end_offset()), (1, 2));
//!     Ok::<_, TopicError>(())
//! })?;
//! # std::fs::remove_dir_all(&dir).ok();
//! # Ok::<_, millstream_storage::topic::TopicError>(())
//! ```

mod batch;
mod config;
mod cursor;
mod decisions;
mod error;
mod follow;
mod frame;
mod join;
mod log;
mod names;
mod reader;
mod recover;
mod signal;
mod stat;
mod window;
mod writer;

pub use batch::{Batch, BatchBuilder, Headers, Place, Record, Records, RecordsIter};
pub use config::{Retention, TopicConfig};
pub use cursor::Cursor;
pub use error::TopicError;
pub use reader::{Isolation, TopicReader};
pub use signal::Signal;
pub use stat::{OpenTransaction, PartitionStat, TopicStat};
pub use writer::{Outcome, Producer, TopicWriter, Transaction};

/// The directory of a partition.
fn partition_dir(dir: &std::path::Path, partition: u32) -> std::path::PathBuf {
    dir.join(format!("partition-{partition:05}"))
}

/// The directory of the log of decisions.
fn decisions_dir(dir: &std::path::Path) -> std::path::PathBuf {
    dir.join("decisions")
}

/// The partition number in the frames of the log of decisions.
const DECISIONS: u32 = u32::MAX;
