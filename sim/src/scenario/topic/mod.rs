//! The embedded topic on the simulated disk: a writer that appends, prepares, commits and aborts, and a reader that
//! follows it on another core, through crashes and faults.
//!
//! What was acknowledged stays, at its offset; what a reader saw stays, too; a transaction is seen whole or not at
//! all, and not before somebody asked for its commit; one that was acknowledged as prepared can be committed after
//! any crash.

mod ledger;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream::host::{CoreMain, Host};
use millstream_storage::error::StoreError;
use millstream_storage::topic::{
    BatchBuilder, Isolation, Retention, TopicConfig, TopicError, TopicReader, TopicWriter, Transaction,
};

use self::ledger::{Fate, Ledger, value_of};
use super::{Finding, Options, Scenario, restart_until_done};
use crate::faults::FaultPlan;
use crate::random::{Chance, Streams};
use crate::world::{World, WorldConfig};

const DIR: &str = "topic";
const PRODUCER: &str = "writer";
const PARTITIONS: u32 = 2;

#[derive(Clone)]
struct Shared(Arc<Mutex<Ledger>>);

impl Shared {
    fn get(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is done with the topic.
#[derive(Clone, Copy)]
struct Plan {
    config: TopicConfig,
    /// Flushes of each process.
    rounds: u64,
    /// The last process only looks.
    last: bool,
}

/// The writer's end.
struct Session {
    host: Rc<dyn Host>,
    shared: Shared,
    plan: Plan,
    writer: TopicWriter,
    /// Open, by their numbers in the ledger.
    open: BTreeMap<u64, Transaction>,
    /// Appended since the last flush: partition, first offset, records.
    appended: Vec<(u32, u64, Vec<u64>)>,
    /// What the next flush acknowledges.
    asked: Vec<(u64, Fate)>,
}

impl Session {
    fn below(&self, n: u64) -> u64 {
        self.host.random() % n
    }

    /// Brings in order what an earlier process left, and looks whether everything is there.
    async fn recover(&mut self) -> Result<(), TopicError> {
        let prepared: BTreeMap<u64, Transaction> = self.writer.prepared(PRODUCER).into_iter().collect();
        let fates = self.shared.get().transactions.clone();
        for (of, fate) in fates {
            let outcome = match (fate, prepared.contains_key(&of)) {
                (Fate::Prepared, _) => {
                    if let Err(error) = self.writer.commit_prepared(PRODUCER, of) {
                        self.shared.get().broken.get_or_insert(error.to_string());
                    }
                    self.shared.get().transactions.insert(of, Fate::Asked);
                    Fate::Committed
                }
                (Fate::Asked, true) => {
                    self.writer.commit_prepared(PRODUCER, of)?;
                    Fate::Committed
                }
                (Fate::Open, _) => Fate::Aborted,
                _ => continue,
            };
            self.asked.push((of, outcome));
        }
        self.writer.abort_all(PRODUCER)?;
        self.flush().await?;
        self.audit().await
    }

    /// Reads everything, and compares.
    async fn audit(&mut self) -> Result<(), TopicError> {
        let mut tries = 0;
        let (seen, starts) = loop {
            let (seen, starts, short) = self.read_all().await?;
            if !short {
                break (seen, starts);
            }
            // On a full disk readers cannot be told what is durable.
            tries += 1;
            if tries == 50 {
                let what = "what is durable cannot be read".to_owned();
                self.plan.last.then(|| self.shared.get().broken.get_or_insert(what).len());
                return Ok(());
            }
            self.host.sleep(Duration::from_millis(20)).await;
            self.writer.flush().await?;
        };
        self.shared.get().audit(&seen, &starts);
        Ok(())
    }

    /// What can be read, where it starts, and whether that is less than there is.
    async fn read_all(&mut self) -> Result<(BTreeMap<(u32, u64), u64>, Vec<u64>, bool), TopicError> {
        let mut reader = TopicReader::open(self.host.disk(), Path::new(DIR), Isolation::Committed).await?;
        let (mut seen, mut starts, mut short) = (BTreeMap::new(), Vec::new(), false);
        for partition in 0..reader.partitions() {
            let range = reader.range(partition).await?;
            let mut cursor = reader.seek(partition, range.start).await?;
            while let Some(records) = reader.next(&mut cursor).await? {
                for record in &records {
                    let id = self.shared.get().read(partition, record.offset, record.value);
                    seen.extend(id.map(|id| ((partition, record.offset), id)));
                }
            }
            short |= cursor.offset() != self.writer.end(partition);
            starts.push(range.start);
        }
        Ok((seen, starts, short))
    }

    async fn flush(&mut self) -> Result<(), TopicError> {
        let mut flushed = self.writer.flush().await;
        for _ in 0..self.below(3) {
            if flushed.is_err() {
                self.host.sleep(Duration::from_millis(20)).await;
                flushed = self.writer.flush().await;
            }
        }
        flushed?;
        let mut ledger = self.shared.get();
        for (partition, first, ids) in self.appended.drain(..) {
            ledger.acknowledge(partition, first, &ids);
        }
        ledger.transactions.extend(self.asked.drain(..));
        Ok(())
    }

    fn append(&mut self, of: Option<u64>) -> Result<(), TopicError> {
        let partition = self.below(u64::from(PARTITIONS)) as u32;
        let count = 1 + self.below(8);
        let ids = self.shared.get().attempt(partition, of, count);
        let mut batch = BatchBuilder::new();
        ids.iter().for_each(|id| batch.push(*id as i64, Some(&id.to_le_bytes()), &value_of(*id), &[]));
        let range = match of {
            None => self.writer.append(partition, batch.finish())?,
            Some(of) => self.writer.append_in(self.open[&of], partition, batch.finish())?,
        };
        if let Some(of) = of {
            self.shared.get().append(of, partition, range.start, &ids);
        }
        self.appended.push((partition, range.start, ids));
        Ok(())
    }

    fn begin(&mut self) -> Result<(), TopicError> {
        let epoch = self.writer.producer(PRODUCER).map_or(1, |(epoch, _)| epoch);
        let producer = self.writer.fence(PRODUCER, epoch)?;
        let transaction = self.writer.begin(&producer)?;
        let mut ledger = self.shared.get();
        let of = ledger.transactions.len() as u64;
        ledger.transactions.insert(of, Fate::Open);
        self.open.insert(of, transaction);
        Ok(())
    }

    /// Does something to one of the open transactions.
    fn settle(&mut self) -> Result<(), TopicError> {
        let picked = self.below(self.open.len().max(1) as u64) as usize;
        let Some((&of, &transaction)) = self.open.iter().nth(picked) else { return Ok(()) };
        match self.below(5) {
            0 | 1 => {
                self.append(Some(of))?;
                return Ok(());
            }
            2 => {
                self.writer.prepare(transaction, of)?;
                self.asked.push((of, Fate::Prepared));
                if self.below(2) == 0 {
                    self.ask(of, transaction)?;
                }
            }
            3 => self.ask(of, transaction)?,
            _ => {
                self.shared.get().transactions.insert(of, Fate::Aborted);
                self.writer.abort(transaction)?;
            }
        }
        self.open.remove(&of);
        Ok(())
    }

    fn ask(&mut self, of: u64, transaction: Transaction) -> Result<(), TopicError> {
        self.writer.commit(transaction)?;
        self.shared.get().transactions.insert(of, Fate::Asked);
        self.asked.push((of, Fate::Committed));
        Ok(())
    }

    /// Commits what an earlier flush prepared.
    fn commit_prepared(&mut self) -> Result<(), TopicError> {
        let prepared: Vec<u64> = self.writer.prepared(PRODUCER).into_iter().map(|(of, _)| of).collect();
        for of in prepared {
            if self.below(3) == 0 && self.shared.get().transactions[&of] == Fate::Prepared {
                self.writer.commit_prepared(PRODUCER, of)?;
                self.shared.get().transactions.insert(of, Fate::Asked);
                self.asked.push((of, Fate::Committed));
            }
        }
        Ok(())
    }

    async fn work(&mut self) -> Result<(), TopicError> {
        self.recover().await?;
        for _ in 0..self.plan.rounds {
            for _ in 0..1 + self.below(6) {
                match self.below(4) {
                    0 => self.append(None)?,
                    1 => self.begin()?,
                    _ => self.settle()?,
                }
            }
            self.commit_prepared()?;
            if self.below(3) > 0 {
                self.flush().await?;
            }
            if self.below(8) == 0 {
                self.flush().await?;
                self.writer.retain(0).await?;
            }
        }
        if self.plan.last {
            self.shared.get().done = true;
        }
        Ok(())
    }
}

/// Follows the topic until the writer is gone, or something fails.
async fn follow(host: Rc<dyn Host>, shared: Shared, over: Rc<Cell<bool>>) -> Result<(), TopicError> {
    let mut reader = TopicReader::open(host.disk(), Path::new(DIR), Isolation::Committed).await?;
    let mut cursors = Vec::new();
    for partition in 0..reader.partitions() {
        let start = reader.range(partition).await?.start;
        match reader.seek(partition, start).await {
            // Removed meanwhile.
            Err(TopicError::OutOfRange { .. }) => return Ok(()),
            sought => cursors.push(sought?),
        }
    }
    while !over.get() {
        for cursor in &mut cursors {
            let partition = cursor.partition();
            match reader.next(cursor).await {
                Ok(Some(records)) => {
                    for record in &records {
                        shared.get().read(partition, record.offset, record.value);
                    }
                }
                Ok(None) => {}
                Err(TopicError::OutOfRange { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        host.sleep(Duration::from_micros(1 + host.random() % 5000)).await;
    }
    Ok(())
}

/// Complains about an error that no fault explains.
fn judge(shared: &Shared, outcome: Result<(), TopicError>) {
    match outcome {
        Ok(()) | Err(TopicError::NoTopic { .. }) => {}
        Err(TopicError::Store(StoreError::Io { source, .. }))
            if matches!(source.raw_os_error(), Some(5 | 24 | 28)) => {}
        Err(error) => {
            shared.get().broken.get_or_insert(error.to_string());
        }
    }
}

fn main_of(shared: Shared, plan: Plan) -> CoreMain {
    Box::new(move |host: Rc<dyn Host>| {
        Box::pin(async move {
            let over = Rc::new(Cell::new(false));
            let (reading, far, far_over) = (host.clone(), shared.clone(), over.clone());
            host.spawn(
                millstream::host::Class::Records,
                Box::pin(async move {
                    while !far_over.get() {
                        judge(&far, follow(reading.clone(), far.clone(), far_over.clone()).await);
                        reading.sleep(Duration::from_millis(1)).await;
                    }
                }),
            );
            let outcome = async {
                let dir = Path::new(DIR);
                let writer = TopicWriter::open_or_create(host.disk(), dir, plan.config).await?;
                let mut session = Session {
                    host: host.clone(),
                    shared: shared.clone(),
                    plan,
                    writer,
                    open: BTreeMap::new(),
                    appended: Vec::new(),
                    asked: Vec::new(),
                };
                session.work().await?;
                if session.below(2) == 0 { session.writer.close().await } else { Ok(()) }
            };
            judge(&shared, outcome.await);
            over.set(true);
        })
    })
}

fn run(world: &mut World, _: &Options) -> Result<(), Finding> {
    let mut workload = world.streams().stream("workload");
    let max_bytes = (workload.one_in(3)).then(|| workload.magnitude(20_000));
    let config = TopicConfig::new(workload.next())
        .partitions(PARTITIONS)
        .segment_bytes(workload.magnitude(20_000))
        .retention(Retention { max_age_millis: None, max_bytes });
    let rounds = workload.magnitude(60);
    let shared = Shared(Arc::default());
    let chaos = workload.range(2, 6) as u32;
    let started = Cell::new(0);
    let mains = || {
        let last = started.replace(started.get() + 1) >= chaos;
        vec![main_of(shared.clone(), Plan { config, rounds: if last { 3 } else { rounds }, last })]
    };
    let done = || {
        let ledger = shared.get();
        let finding =
            |seen| Finding::new("a topic keeps what it acknowledged or showed, and nothing else", seen);
        match &ledger.broken {
            Some(seen) => Err(finding(seen)),
            None => Ok(ledger.done),
        }
    };
    restart_until_done(world, chaos, mains, done)
}

fn config(streams: &Streams) -> WorldConfig {
    let mut random = streams.stream("plan");
    let mut plan = FaultPlan::swarm(&mut random);
    plan.crash = Chance::ALWAYS;
    WorldConfig { plan, max_points: 3_000_000, ..WorldConfig::default() }
}

/// The topic under every fault that it must survive.
pub fn scenarios() -> Vec<Scenario> {
    let about = "the embedded topic: appends, transactions, a reader that follows";
    vec![Scenario { name: "topic", about, planted: false, is_job: false, config, body: Box::new(run) }]
}
