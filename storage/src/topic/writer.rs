//! The one writer of a topic.

mod flush;
mod recover;
mod transactions;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::disk::{Disk, Lease};
use crate::error::StoreError;

use super::batch::Batch;
use super::config::{self, TopicConfig};
use super::decisions::{self, Decision, State};
use super::error::TopicError;
use super::frame::{Frame, Kind, Meta, check_size};
use super::log::Log;
use super::signal::Signal;
use transactions::Phase;

pub(super) use recover::read_decision;
pub use transactions::{Outcome, Producer, Transaction};

/// Appends to a topic, and decides its transactions. It holds the topic's lease until it is dropped.
///
/// Calls only say what is to be done; [`flush`](TopicWriter::flush) does all of it at once and makes it durable.
/// Nothing may be told to anybody before the flush that covers it has returned.
///
/// ```
/// # use std::rc::Rc;
/// # use millstream_storage::disk::{StdDisk, block_on};
/// use millstream_storage::topic::{
///     Batch, BatchBuilder, Outcome, Producer, TopicConfig, TopicError, TopicWriter, Transaction,
/// };
///
/// fn letter() -> Batch {
///     let mut batch = BatchBuilder::new();
///     batch.push(1_700_000_000_000, None, b"a letter", &[]);
///     batch.finish()
/// }
/// # let temporary = tempfile::tempdir().expect("there is a temporary directory");
/// # let (dir, disk) = (temporary.path(), Rc::new(StdDisk));
/// # block_on(async {
/// let mut writer = TopicWriter::open_or_create(disk.clone(), dir, TopicConfig::new(7)).await?;
/// let producer: Producer = writer.fence("letters", 1)?;
/// let (kept, lost): (Transaction, Transaction) = (writer.begin(&producer)?, writer.begin(&producer)?);
/// assert!(kept.number() < lost.number());
/// writer.append_in(kept, 0, letter())?;
/// writer.append_in(lost, 0, letter())?;
/// writer.prepare(kept, 1)?;
/// writer.abort(lost)?;
/// writer.flush().await?;
/// assert!(writer.is_clean());
/// drop(writer);
///
/// // What was prepared is still to be decided when the next writer comes.
/// let mut writer = TopicWriter::open(disk, dir).await?;
/// assert_eq!(writer.prepared("letters"), [(1, kept)]);
/// assert_eq!(writer.commit_prepared("letters", 1)?, Outcome::Committed);
/// assert_eq!(writer.commit_prepared("letters", 1)?, Outcome::Repeated);
///
/// // A newer epoch takes over: the older one can do nothing any more.
/// let newer = writer.fence("letters", 2)?;
/// assert!(matches!(writer.begin(&producer), Err(TopicError::Fenced { .. })));
/// let another = writer.begin(&newer)?;
/// writer.append_in(another, 0, letter())?;
/// writer.commit(another)?;
/// writer.begin(&newer)?;
/// writer.abort_all("letters")?;
/// assert_eq!(writer.retain(1_800_000_000_000).await?, 0, "nothing is removed without a retention");
/// writer.close().await?;
/// # Ok::<_, TopicError>(())
/// # })?;
/// # Ok::<_, TopicError>(())
/// ```
///
/// # Appending once
/// Who appends what can be read again, such as a file, gives each transaction an id that says how far it has come. After a
/// crash the last id that was committed says where to go on; what was prepared and not committed is aborted and comes again.
/// ```
/// # use std::{path::Path, rc::Rc};
/// # use millstream_storage::disk::{StdDisk, block_on};
/// # use millstream_storage::topic::{BatchBuilder, TopicConfig, TopicError, TopicWriter};
/// async fn append_once(dir: &Path, lines: &[&str]) -> Result<(), TopicError> {
///     let mut writer = TopicWriter::open_or_create(Rc::new(StdDisk), dir, TopicConfig::new(7)).await?;
///     let (epoch, done) = writer.producer("lines").unwrap_or_default();
///     let producer = writer.fence("lines", epoch + 1)?;
///     writer.abort_all("lines")?;
///     let mut next = done.unwrap_or(0);
///     for some in lines[next as usize..].chunks(1_000) {
///         let mut batch = BatchBuilder::new();
///         some.iter().for_each(|line| batch.push(0, None, line.as_bytes(), &[]));
///         let transaction = writer.begin(&producer)?;
///         writer.append_in(transaction, 0, batch.finish())?;
///         next += some.len() as u64;
///         writer.prepare(transaction, next)?;
///         writer.commit(transaction)?;
///         writer.flush().await?;
///     }
///     writer.close().await
/// }
/// # let temporary = tempfile::tempdir().expect("there is a temporary directory");
/// # let dir = temporary.path();
/// # block_on(async {
/// append_once(dir, &["one", "two"]).await?;
/// append_once(dir, &["one", "two", "three"]).await?;
/// # let writer = TopicWriter::open(Rc::new(StdDisk), dir).await?;
/// assert_eq!(writer.end(0), 3);
/// # Ok::<_, TopicError>(())
/// # })?;
/// # Ok::<_, TopicError>(())
/// ```
pub struct TopicWriter {
    dir: PathBuf,
    config: TopicConfig,
    logs: Vec<Log>,
    decisions: Log,
    state: State,
    /// To be decided when all records before it are durable.
    late: Vec<Decision>,
    /// Where the transactions of this writer stand.
    phases: BTreeMap<u64, Phase>,
    signal: Signal,
    flushing: bool,
    _lease: Lease,
}

impl TopicWriter {
    /// Opens the topic in `dir`; makes one by `config` if there is none. Of an existing one the configuration is
    /// kept, but for [`Retention`](super::Retention), and must have as many partitions.
    ///
    /// # Errors
    /// As [`open`](TopicWriter::open); and if the number of partitions is another.
    pub async fn open_or_create(
        disk: Rc<dyn Disk>,
        dir: &Path,
        config: TopicConfig,
    ) -> Result<TopicWriter, TopicError> {
        disk.create_dir_all(dir).await.map_err(StoreError::io("create the directory", dir))?;
        let lease = lease(&*disk, dir).await?;
        let found = match config::load(&*disk, dir).await {
            Err(TopicError::NoTopic { .. }) => {
                config::create(&*disk, dir, config).await?;
                config
            }
            found => found?,
        };
        if found.partitions != config.partitions {
            let reason = format!(
                "it has {} partitions, not {}; the number is fixed when a topic is made",
                found.partitions, config.partitions
            );
            return Err(TopicError::Refused { dir: dir.to_owned(), reason });
        }
        TopicWriter::start(disk, dir, TopicConfig { retention: config.retention, ..found }, lease).await
    }

    /// Opens the topic in `dir`, and brings in order what an earlier writer left: what it wrote whole is kept and made
    /// durable, open transactions that were not prepared are aborted.
    ///
    /// # Errors
    /// [`TopicError::Held`] if there is another writer; if there is no topic; if the disk refuses; or if something
    /// that had been durable is damaged or missing: by the name of the file and the place in it.
    pub async fn open(disk: Rc<dyn Disk>, dir: &Path) -> Result<TopicWriter, TopicError> {
        // Before anything is created in a directory that is none.
        config::load(&*disk, dir).await?;
        let lease = lease(&*disk, dir).await?;
        let config = config::load(&*disk, dir).await?;
        TopicWriter::start(disk, dir, config, lease).await
    }

    /// How many partitions the topic has.
    pub fn partitions(&self) -> u32 {
        self.config.partitions
    }

    /// The topic's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Given whenever something has become readable: for readers in this process.
    pub fn signal(&self) -> Signal {
        self.signal.clone()
    }

    /// Gives `signal` from now on.
    pub fn give(&mut self, signal: Signal) {
        self.signal = signal;
    }

    /// The offset that the next record of a partition will have.
    ///
    /// # Panics
    /// If there is no such partition.
    pub fn end(&self, partition: u32) -> u64 {
        self.logs[partition as usize].next_offset()
    }

    /// The epoch of a producer, and the greatest id that it has committed of those that are remembered.
    pub fn producer(&self, name: &str) -> Option<(u64, Option<u64>)> {
        self.state.producers.get(name).map(|producer| (producer.epoch, producer.committed.last().copied()))
    }

    /// Names of producers, sorted.
    pub fn producers(&self) -> impl Iterator<Item = &str> {
        self.state.producers.keys().map(String::as_str)
    }

    /// Appends a batch, and returns the offsets of its records: they are its own once a flush has returned.
    ///
    /// # Errors
    /// If there is no such partition, the batch is too large, or the writer was given up.
    pub fn append(&mut self, partition: u32, batch: Batch) -> Result<Range<u64>, TopicError> {
        self.append_as(0, partition, batch)
    }

    /// Appends a batch to a partition as part of a transaction.
    ///
    /// # Errors
    /// As [`append`](TopicWriter::append), and if the transaction is not open any more.
    pub fn append_in(
        &mut self,
        transaction: Transaction,
        partition: u32,
        batch: Batch,
    ) -> Result<Range<u64>, TopicError> {
        self.expect(transaction, Phase::Open)?;
        self.append_as(transaction.number(), partition, batch)
    }

    fn append_as(
        &mut self,
        transaction: u64,
        partition: u32,
        batch: Batch,
    ) -> Result<Range<u64>, TopicError> {
        self.check()?;
        check_size(batch.bytes())?;
        let partitions = self.config.partitions;
        let Some(log) = self.logs.get_mut(partition as usize) else {
            return Err(TopicError::NoPartition { dir: self.dir.clone(), partition, partitions });
        };
        let first = log.next_offset();
        if batch.count() > 0 {
            log.push(batch.into_frame(first, transaction));
        }
        Ok(first..log.next_offset())
    }

    fn check(&self) -> Result<(), TopicError> {
        if self.flushing { Err(TopicError::Abandoned { dir: self.dir.clone() }) } else { Ok(()) }
    }

    /// The offsets that are taken, by partition.
    fn ends(&self) -> Vec<u64> {
        self.logs.iter().map(Log::next_offset).collect()
    }

    /// Decides what does not depend on records that are not durable yet.
    fn decide(&mut self, decision: Decision) {
        self.state.apply(&decision);
        let offset = self.decisions.next_offset();
        self.decisions.push(decision_frame(offset, &decision));
    }
}

async fn lease(disk: &dyn Disk, dir: &Path) -> Result<Lease, TopicError> {
    let path = dir.join("lease");
    disk.lock(&path).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::WouldBlock {
            return TopicError::Held { dir: dir.to_owned() };
        }
        StoreError::io("lock", &path)(error).into()
    })
}

/// A decision takes one offset, so that none can be missing unseen.
fn decision_frame(offset: u64, decision: &Decision) -> Frame {
    let payload = decisions::encode(decision);
    let meta = Meta { count: 1, ..Meta::plain(Kind::Decision, offset, &payload) };
    Frame { meta, payload: payload.into() }
}
