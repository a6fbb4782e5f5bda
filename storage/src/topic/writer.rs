//! The one writer of a topic.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::disk::{Disk, Lease, SharedBytes};
use crate::error::{Damage, StoreError};

use super::batch::Batch;
use super::config::{self, TopicConfig};
use super::decisions::{self, Decision, Fate, State};
use super::error::TopicError;
use super::frame::{Frame, Kind, Meta, check_size};
use super::log::Log;
use super::signal::Signal;
use super::{DECISIONS, decisions_dir, join, partition_dir};

/// The log of decisions begins anew when it has reached this many bytes.
const DECISIONS_BYTES: u64 = 4 << 20;

/// Appends to a topic, and decides its transactions. It holds the topic's lease until it is dropped.
///
/// Calls only say what is to be done; [`flush`](TopicWriter::flush) does all of it at once and makes it durable.
/// Nothing may be told to anybody before the flush that covers it has returned.
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

/// A producer of transactions, as of one epoch. Made by [`TopicWriter::fence`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    name: String,
    epoch: u64,
}

/// An open transaction. Made by [`TopicWriter::begin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transaction(u64);

impl Transaction {
    /// Its number, unique in its topic.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// What became of a transaction that was to be committed by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It will be committed by the next flush.
    Committed,
    /// It had been committed before.
    Repeated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Prepared,
    Over,
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

    async fn start(
        disk: Rc<dyn Disk>,
        dir: &Path,
        config: TopicConfig,
        lease: Lease,
    ) -> Result<TopicWriter, TopicError> {
        disk.sync_dir(dir).await.map_err(StoreError::io("sync the directory", dir))?;
        let (decisions, mut state) = recover_decisions(&disk, dir, &config).await?;
        let (mut logs, mut found) = (Vec::new(), Vec::new());
        for partition in 0..config.partitions {
            let (at, known_end) = (partition_dir(dir, partition), state.ends[partition as usize]);
            let identity = (config.id, partition);
            let opening =
                Log::recover(disk.clone(), at, identity, config.segment_bytes, known_end, |_, _| {});
            let (log, scanned) = opening.await?;
            log.check_start(state.starts[partition as usize])?;
            state.ends[partition as usize] = log.next_offset();
            logs.push(log);
            found.push(scanned);
        }
        for (log, scanned) in logs.iter_mut().zip(found) {
            log.settle(scanned).await?;
        }
        abort_unprepared(&mut state);
        let phases = state.open.keys().map(|transaction| (*transaction, Phase::Prepared)).collect();
        let mut writer = TopicWriter {
            dir: dir.to_owned(),
            config,
            logs,
            decisions,
            state,
            late: Vec::new(),
            phases,
            signal: Signal::new(),
            flushing: false,
            _lease: lease,
        };
        writer.restart_decisions().await?;
        writer.remove_trimmed().await?;
        writer.publish().await;
        Ok(writer)
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
        self.append_as(transaction.0, partition, batch)
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

    /// Registers a producer of transactions. A newer epoch fences the older ones: what they have open and not
    /// prepared is aborted, and they can do nothing any more.
    ///
    /// # Errors
    /// [`TopicError::Fenced`] if a newer epoch has been seen.
    pub fn fence(&mut self, name: &str, epoch: u64) -> Result<Producer, TopicError> {
        self.check()?;
        let newest = self.state.producers.get(name).map_or(0, |producer| producer.epoch);
        if epoch < newest {
            return Err(TopicError::Fenced { producer: name.to_owned(), epoch, newest });
        }
        if epoch > newest || !self.state.producers.contains_key(name) {
            for transaction in self.open_of(name, |phase| phase == Phase::Open) {
                self.decide_abort(transaction.0);
            }
            self.decide(Decision::Fence { producer: name.to_owned(), epoch });
        }
        Ok(Producer { name: name.to_owned(), epoch })
    }

    /// Begins a transaction. A producer may have any number of them open.
    ///
    /// # Errors
    /// [`TopicError::Fenced`] if a newer epoch of the producer has taken over.
    pub fn begin(&mut self, producer: &Producer) -> Result<Transaction, TopicError> {
        self.check()?;
        self.check_epoch(producer)?;
        let transaction = self.state.next;
        // Durable before any record of it, so that a crash finds every transaction that may have some.
        self.decide(Decision::Begin { transaction, producer: producer.name.clone() });
        self.phases.insert(transaction, Phase::Open);
        Ok(Transaction(transaction))
    }

    fn check_epoch(&self, producer: &Producer) -> Result<(), TopicError> {
        let newest = self.state.producers.get(&producer.name).map_or(0, |state| state.epoch);
        if producer.epoch == newest {
            return Ok(());
        }
        let (name, epoch) = (producer.name.clone(), producer.epoch);
        Err(TopicError::Fenced { producer: name, epoch, newest })
    }

    /// Ends the appends of a transaction and makes it durable under an id of the producer's own, by which it can be
    /// committed or aborted after a crash as well. Ids rise.
    ///
    /// # Errors
    /// If it is not open any more.
    pub fn prepare(&mut self, transaction: Transaction, id: u64) -> Result<(), TopicError> {
        self.expect(transaction, Phase::Open)?;
        self.phases.insert(transaction.0, Phase::Prepared);
        let ends = self.ends();
        self.late.push(Decision::Prepare { transaction: transaction.0, id, ends });
        Ok(())
    }

    /// Makes the records of a transaction visible, all at once.
    ///
    /// # Errors
    /// If it is over.
    pub fn commit(&mut self, transaction: Transaction) -> Result<(), TopicError> {
        self.check()?;
        if self.phase(transaction) == Phase::Over {
            let reason = "is over, or a newer epoch of its producer has taken over";
            return Err(TopicError::Transaction { transaction: transaction.0, reason });
        }
        self.phases.insert(transaction.0, Phase::Over);
        let ends = self.ends();
        self.late.push(Decision::Commit { transaction: transaction.0, ends });
        Ok(())
    }

    /// Gives up a transaction: its records are never visible. Nothing happens if it was aborted before.
    ///
    /// # Errors
    /// If it is being committed.
    pub fn abort(&mut self, transaction: Transaction) -> Result<(), TopicError> {
        self.check()?;
        let is_it = |of: &u64| *of == transaction.0;
        let committing =
            |late: &Decision| matches!(late, Decision::Commit { transaction, .. } if is_it(transaction));
        if self.state.fate(transaction.0) == Fate::Committed || self.late.iter().any(committing) {
            let reason = "is committed already";
            return Err(TopicError::Transaction { transaction: transaction.0, reason });
        }
        if self.state.open.contains_key(&transaction.0) {
            self.late
                .retain(|late| !matches!(late, Decision::Prepare { transaction, .. } if is_it(transaction)));
            self.decide_abort(transaction.0);
        }
        Ok(())
    }

    /// The transactions that a producer has prepared and that are not decided, with their ids.
    pub fn prepared(&self, producer: &str) -> Vec<(u64, Transaction)> {
        let of_it = self.state.open.iter().filter(|(_, open)| open.producer == producer);
        of_it.filter_map(|(transaction, open)| Some((open.prepared?, Transaction(*transaction)))).collect()
    }

    /// Commits the transaction that a producer has prepared under `id`, before a crash perhaps. May be repeated.
    ///
    /// # Errors
    /// [`TopicError::Unknown`] if it is neither prepared nor among the last 1024 that the producer has committed.
    pub fn commit_prepared(&mut self, producer: &str, id: u64) -> Result<Outcome, TopicError> {
        if let Some(transaction) = self.state.prepared(producer, id) {
            if self.phase(Transaction(transaction)) == Phase::Over {
                return Ok(Outcome::Repeated);
            }
            return self.commit(Transaction(transaction)).map(|()| Outcome::Committed);
        }
        let state = self.state.producers.get(producer);
        if state.is_some_and(|state| state.committed.contains(&id)) {
            return Ok(Outcome::Repeated);
        }
        Err(TopicError::Unknown { dir: self.dir.clone(), producer: producer.to_owned(), id })
    }

    /// Aborts every transaction that a producer has not committed.
    ///
    /// # Errors
    /// If the writer was given up.
    pub fn abort_all(&mut self, producer: &str) -> Result<(), TopicError> {
        for transaction in self.open_of(producer, |phase| phase != Phase::Over) {
            self.abort(transaction)?;
        }
        Ok(())
    }

    /// The undecided transactions of a producer that are in such a phase.
    fn open_of(&self, producer: &str, phase: impl Fn(Phase) -> bool) -> Vec<Transaction> {
        let of_it = self.state.open.iter().filter(|(_, open)| open.producer == producer);
        let open = of_it.map(|(transaction, _)| Transaction(*transaction));
        open.filter(|transaction| phase(self.phase(*transaction))).collect()
    }

    fn phase(&self, transaction: Transaction) -> Phase {
        self.phases.get(&transaction.0).copied().unwrap_or(Phase::Over)
    }

    fn expect(&self, transaction: Transaction, phase: Phase) -> Result<(), TopicError> {
        self.check()?;
        if self.phase(transaction) == phase {
            return Ok(());
        }
        let reason = "is not open any more, or a newer epoch of its producer has taken over";
        Err(TopicError::Transaction { transaction: transaction.0, reason })
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

    fn decide_abort(&mut self, transaction: u64) {
        self.phases.insert(transaction, Phase::Over);
        let ends = self.ends();
        self.decide(Decision::Abort { transaction, ends });
    }

    /// Whether there is nothing for a flush to do.
    pub fn is_clean(&self) -> bool {
        self.late.is_empty() && !self.decisions.has_pending() && !self.logs.iter().any(Log::has_pending)
    }

    /// Makes everything durable that was appended and decided since the last flush: one write and one sync for each
    /// partition that has news, all at once, and one or two for decisions.
    ///
    /// # Errors
    /// If the disk refuses. Everything is kept, and may be flushed again: after a full disk that continues the same
    /// file, after a failed sync in a new one. Some of it may have become durable already.
    pub async fn flush(&mut self) -> Result<(), TopicError> {
        self.check()?;
        self.flushing = true;
        let outcome = self.flush_phases().await;
        self.publish().await;
        self.flushing = false;
        Ok(outcome?)
    }

    async fn flush_phases(&mut self) -> Result<(), StoreError> {
        let news = self.logs.iter().any(Log::has_pending);
        if news {
            // Transactions begin before their records are there.
            self.flush_decisions().await?;
            let dirty = self.logs.iter_mut().filter(|log| log.has_pending());
            join::all(dirty.map(|log| Box::pin(log.flush()) as _).collect()).await?;
        }
        // What is prepared or committed has all its records.
        for decision in std::mem::take(&mut self.late) {
            self.decide(decision);
        }
        self.flush_decisions().await
    }

    async fn flush_decisions(&mut self) -> Result<(), StoreError> {
        if !self.decisions.has_pending() {
            return Ok(());
        }
        if self.decisions.active_bytes().is_some_and(|bytes| bytes < DECISIONS_BYTES)
            && let Err(error) = self.decisions.flush_here().await
            && self.decisions.active_bytes().is_some()
        {
            return Err(error);
        }
        // Its file cannot be continued: a new one begins with all that was decided, the pending ones included.
        if self.decisions.has_pending() { self.restart_decisions().await } else { Ok(()) }
    }

    async fn restart_decisions(&mut self) -> Result<(), StoreError> {
        self.state.forget();
        let mut snapshot = self.state.clone();
        for (end, log) in snapshot.ends.iter_mut().zip(&self.logs) {
            *end = log.durable_offset();
        }
        let offset = self.decisions.next_offset();
        self.decisions.restart(decision_frame(offset, &Decision::Snapshot(snapshot))).await?;
        // The older files are of no use any more; if they stay, the next writer removes them.
        drop(self.decisions.remove_before(offset).await);
        Ok(())
    }

    /// Lets readers know what is durable.
    async fn publish(&mut self) {
        let phases = &mut self.phases;
        phases.retain(|transaction, _| self.state.open.contains_key(transaction));
        let marks = self.logs.iter_mut().chain([&mut self.decisions]);
        let marks = marks.map(|log| Box::pin(log.mark()) as _);
        // A mark is a courtesy, and made up for by the next one.
        drop(join::all(marks.collect()).await);
        self.signal.give();
    }

    /// Removes what retention allows, and returns how many segments went. `now` is in milliseconds since the Unix
    /// epoch.
    ///
    /// # Errors
    /// If the disk refuses.
    pub async fn retain(&mut self, now: i64) -> Result<u64, TopicError> {
        self.flush().await?;
        let retention = self.config.retention;
        let age = retention.max_age_millis.map(|age| i64::try_from(age).unwrap_or(i64::MAX));
        let oldest = age.map(|age| now.saturating_sub(age));
        for partition in 0..self.config.partitions {
            let log = &mut self.logs[partition as usize];
            if let Some(start) = log.removable(oldest, retention.max_bytes).await? {
                self.decide(Decision::Trim { partition, start });
            }
        }
        self.flush().await?;
        Ok(self.remove_trimmed().await?)
    }

    /// Removes the segments that lie before the starts that were decided.
    async fn remove_trimmed(&mut self) -> Result<u64, StoreError> {
        let mut removed = 0;
        for (log, start) in self.logs.iter_mut().zip(&self.state.starts) {
            removed += log.remove_before(*start).await?;
        }
        Ok(removed)
    }

    /// Flushes, and leaves the topic so that readers are told of everything, and the next writer finds nothing to
    /// bring in order.
    ///
    /// # Errors
    /// If the disk refuses. What had been flushed is durable nevertheless, but readers may not know until the next
    /// writer has opened the topic.
    pub async fn close(mut self) -> Result<(), TopicError> {
        self.flush().await?;
        for log in self.logs.iter_mut().chain([&mut self.decisions]) {
            log.close().await?;
        }
        Ok(())
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

/// Reads what was decided. Files before the last one are of no use: each begins with a snapshot.
async fn recover_decisions(
    disk: &Rc<dyn Disk>,
    dir: &Path,
    config: &TopicConfig,
) -> Result<(Log, State), TopicError> {
    let path = decisions_dir(dir);
    let mut state = State::new(config.partitions);
    let (mut refused, mut frames) = (None, 0_u64);
    let mut each = |meta: &Meta, payload: SharedBytes| {
        match read_decision(meta, &payload, config.partitions, frames == 0) {
            Ok(decision) => state.apply(&decision),
            Err(damage) => {
                refused.get_or_insert(damage);
            }
        }
        frames += 1;
    };
    let identity = (config.id, DECISIONS);
    let (log, scanned) = Log::recover(disk.clone(), path.clone(), identity, u64::MAX, 0, &mut each).await?;
    if scanned.is_some_and(|scanned| scanned.end == 0) {
        refused = Some(Damage::Malformed("the last file does not begin with a snapshot".to_owned()));
    }
    match refused {
        Some(damage) => {
            let file = log.segments.last().map(|last| path.join(last.name.file())).unwrap_or(path);
            Err(StoreError::damaged(&file, 0, damage).into())
        }
        None => Ok((log, state)),
    }
}

/// Decodes a frame of the log of decisions. The first one of a file is a snapshot.
pub(super) fn read_decision(
    meta: &Meta,
    payload: &[u8],
    partitions: u32,
    first: bool,
) -> Result<Decision, Damage> {
    if meta.kind != Kind::Decision {
        return Err(Damage::Malformed("it is no decision".to_owned()));
    }
    let decision: Decision =
        serde_json::from_slice(payload).map_err(|error| Damage::Malformed(error.to_string()))?;
    match &decision {
        Decision::Snapshot(state) if !state.fits(partitions) => {
            Err(Damage::Malformed("its snapshot is of another number of partitions".to_owned()))
        }
        Decision::Snapshot(_) => Ok(decision),
        _ if first => Err(Damage::Malformed("it does not begin with a snapshot".to_owned())),
        _ => Ok(decision),
    }
}

/// A decision takes one offset, so that none can be missing unseen.
fn decision_frame(offset: u64, decision: &Decision) -> Frame {
    let payload = decisions::encode(decision);
    let meta = Meta { count: 1, ..Meta::plain(Kind::Decision, offset, &payload) };
    Frame { meta, payload: payload.into() }
}

/// Whoever had them open is gone.
fn abort_unprepared(state: &mut State) {
    let ends = state.ends.clone();
    let open: Vec<u64> =
        state.open.iter().filter(|(_, open)| open.prepared.is_none()).map(|(of, _)| *of).collect();
    for transaction in open {
        state.apply(&Decision::Abort { transaction, ends: ends.clone() });
    }
}
