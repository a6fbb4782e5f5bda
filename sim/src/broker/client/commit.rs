//! The protocol: how output becomes visible exactly once, and how a run takes over from the one before.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millstream::host::Host;
use millstream::{Error, ErrorKind, Result};
use millstream_storage::planted;
use serde::{Deserialize, Serialize};

use super::super::requests::{Message, Port, Refusal, TopicPartition};
use super::markers::{self, Marker};
use super::producer::Producer;
use super::{Asker, PAUSE};

/// What a sink writes to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// What its markers and transactional ids begin with.
    pub(super) name: String,
    pub(super) topic: String,
    pub(super) markers: String,
    /// How long a transaction may take.
    pub(super) timeout: Duration,
}

/// A record that waits for its commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiting {
    pub(super) partition: u32,
    pub(super) key: String,
    pub(super) value: String,
}

/// What a shard has put out in an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Piece {
    pub(super) epoch: u64,
    pub(super) records: Vec<Waiting>,
}

/// What a restored checkpoint has of a shard.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) shard: u32,
    /// What was committed when it was taken.
    pub(super) committed: u64,
    pub(super) pieces: Vec<Piece>,
}

/// Whose turn it is, and what of each shard is committed.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub(super) generation: u64,
    pub(super) committed: BTreeMap<u32, u64>,
}

/// Why an attempt came to nothing.
enum Trouble {
    /// The broker did not do it.
    Broker(Refusal),
    /// It makes no sense to ask again.
    Here(Error),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Trouble {
        Trouble::Broker(refusal)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Here(error)
    }
}

/// The way of a sink to its broker.
pub(super) struct Line {
    pub(super) port: Arc<dyn Port>,
    pub(super) host: Rc<dyn Host>,
    pub(super) target: Target,
    /// How long a broker that does not answer is tried.
    pub(super) patience: Duration,
    /// The instances of before, which must not be used again.
    pub(super) used: RefCell<BTreeMap<u32, Producer>>,
}

impl Line {
    /// Commits what of these pieces is not committed yet.
    ///
    /// # Errors
    /// If another run has taken over, the broker has lost what was committed, or it does not answer.
    pub(super) async fn commit(
        &self,
        shard: u32,
        (generation, committed): (u64, u64),
        pieces: &[Piece],
    ) -> Result<()> {
        let attempt = async |asker: &Asker| {
            let mut producer = self.instance(asker, shard).await?;
            let markers = self.markers(asker, true).await?;
            let is_own = |marker: &&Marker| {
                marker.generation == generation || planted!(broker_generation_not_compared)
            };
            let marker = markers.get(&shard).filter(is_own);
            let marker = marker.ok_or_else(|| self.fenced(generation, markers.get(&shard)))?;
            if marker.epoch < committed {
                return Err(lost(&self.target.name, shard, committed, marker.epoch).into());
            }
            let new: Vec<&Piece> = pieces.iter().filter(|piece| piece.epoch > marker.epoch).collect();
            if let Some(last) = new.last() {
                let marker = Marker { epoch: last.epoch, ..marker.clone() };
                self.transact(asker, &mut producer, &new, &marker).await?;
            }
            self.used.borrow_mut().insert(shard, producer);
            Ok(())
        };
        self.persist(&format!("commit what shard {shard} has put out"), attempt).await
    }

    /// Makes this run the only one that may commit, and commits what a restored checkpoint has.
    ///
    /// # Errors
    /// If `refuse` has something against what is committed, or the broker does not answer.
    pub(super) async fn take_over(
        &self,
        shards: usize,
        durable: bool,
        shares: &[Share],
        refuse: impl Fn(&BTreeMap<u32, Marker>) -> Result<()>,
    ) -> Result<Taken> {
        let attempt = async |asker: &Asker| {
            // Who is waited for is known only when all shards are: those of a run before, too.
            let seen = self.markers(asker, false).await?;
            let known = seen.keys().last().map_or(0, |shard| shard + 1);
            let restored = shares.iter().map(|share| share.shard + 1).max().unwrap_or(0);
            let count = known.max(restored).max(shards as u32);
            let mut producers = Vec::new();
            for shard in 0..count {
                producers.push(self.instance(asker, shard).await?);
            }
            let found = match planted!(broker_init_skipped) {
                true => seen,
                false => self.markers(asker, true).await?,
            };
            if found.keys().any(|shard| *shard >= count) {
                // Another run has taken over in between, and has more.
                return Err(
                    Refusal::Lost("another run takes the sink over at the same time".to_owned()).into()
                );
            }
            refuse(&found)?;
            let generation = 1 + found.values().map(|marker| marker.generation).max().unwrap_or(0);
            let mut committed = BTreeMap::new();
            for (shard, producer) in (0..).zip(&mut producers) {
                let before = found.get(&shard).filter(|_| durable).map_or(0, |marker| marker.epoch);
                let pieces = shares.iter().filter(|share| share.shard == shard).flat_map(|of| &of.pieces);
                let new: Vec<&Piece> = pieces.filter(|piece| piece.epoch > before).collect();
                let epoch = new.last().map_or(before, |last| last.epoch);
                let marker = Marker { sink: self.target.name.clone(), shard, generation, epoch };
                self.transact(asker, producer, &new, &marker).await?;
                committed.insert(shard, epoch);
            }
            Ok(Taken { generation, committed })
        };
        self.persist("take over the sink", attempt).await
    }

    /// A new instance of the producer of a shard.
    async fn instance(&self, asker: &Asker, shard: u32) -> Result<Producer, Refusal> {
        let used = self.used.borrow_mut().remove(&shard);
        if let Some(used) = used.filter(|_| planted!(broker_instance_reused)) {
            return Ok(used);
        }
        let id = format!("{}-{shard}", self.target.name);
        Producer::init(asker, &id, self.target.timeout).await
    }

    async fn markers(&self, asker: &Asker, complete: bool) -> Result<BTreeMap<u32, Marker>, Refusal> {
        markers::read(asker, &self.target.markers, &self.target.name, complete).await
    }

    /// Sends pieces and the marker, and commits them together.
    async fn transact(
        &self,
        asker: &Asker,
        producer: &mut Producer,
        pieces: &[&Piece],
        marker: &Marker,
    ) -> Result<(), Refusal> {
        let mut by_partition: BTreeMap<u32, Vec<Message>> = BTreeMap::new();
        for Waiting { partition, key, value } in pieces.iter().flat_map(|piece| &piece.records) {
            let (key, value) = (Some(key.clone().into_bytes()), Some(value.clone().into_bytes()));
            by_partition.entry(*partition).or_default().push(Message { key, value });
        }
        for (partition, messages) in by_partition {
            let to = TopicPartition::new(&self.target.topic, partition);
            for messages in messages.chunks(BATCH) {
                producer.send(asker, &to, messages.to_vec()).await?;
            }
        }
        if planted!(broker_marker_apart) && !pieces.is_empty() {
            producer.commit(asker).await?;
        }
        producer.send(asker, &markers::partition(&self.target.markers), vec![marker.message()]).await?;
        match planted!(broker_unknown_is_done) {
            true => producer.commit_blindly(asker).await,
            false => producer.commit(asker).await,
        }
    }

    /// Tries until it is done, or waiting does not help. An instance that was fenced, or whose transaction was ended, is
    /// followed by another: whether it may go on, the markers say.
    async fn persist<T>(
        &self,
        what: &str,
        mut attempt: impl AsyncFnMut(&Asker) -> Result<T, Trouble>,
    ) -> Result<T> {
        let asker = Asker::new(&self.port, &self.host, self.patience);
        loop {
            match attempt(&asker).await {
                Ok(done) => return Ok(done),
                Err(Trouble::Here(error)) => return Err(error.at(self.place())),
                Err(Trouble::Broker(refusal)) if asker.is_late() => {
                    let message = format!(
                        "{}: to {what} took longer than {:?}: {refusal}; nothing is lost: what was not committed will \
                         be when the job is started again",
                        self.place(),
                        self.patience
                    );
                    return Err(Error::new(ErrorKind::Sink, message));
                }
                Err(Trouble::Broker(_)) => {}
            }
            self.host.sleep(PAUSE).await;
        }
    }

    fn fenced(&self, generation: u64, marker: Option<&Marker>) -> Error {
        let now = marker.map_or("none".to_owned(), |marker| marker.generation.to_string());
        let message = format!(
            "another run of the job has taken over sink `{}`: this one is of generation {generation}, now it is {now}; \
             what this one has not committed, it may not commit any more",
            self.target.name
        );
        // Started again, it would take the sink back.
        Error::new(ErrorKind::Restore, message)
    }

    fn place(&self) -> String {
        format!("topic {} of {}", self.target.topic, self.port.describe())
    }
}

/// Records that are sent at once.
const BATCH: usize = 20;

/// The broker has less than was committed.
pub(super) fn lost(sink: &str, shard: u32, committed: u64, now: u64) -> Error {
    let message = format!(
        "the broker has lost output: shard {shard} of sink `{sink}` had committed epoch {committed}, and now its marker \
         says {now}; restore a checkpoint of epoch {now} or before"
    );
    Error::new(ErrorKind::Restore, message)
}
