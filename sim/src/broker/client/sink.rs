//! Records into the partitions of a topic.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream::host::LocalFuture;
use millstream::sink::{Prepared, Sink, SinkContext, Writer};
use millstream::time::Timestamp;
use millstream::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::super::requests::Port;
use super::commit::{Line, Piece, Share, Taken, Target, Waiting, lost};
use super::markers::Marker;
use crate::trace::digest;

/// Makes the key of a record.
type KeyOf<T> = fn(&T) -> String;

/// A sink into a topic: every record exactly once, visible to readers of committed records with the checkpoint that it belongs
/// to. See [the module](super) for how.
///
/// ```
/// use std::time::Duration;
/// use millstream::sink::Sink;
/// use millstream_sim::broker::Broker;
/// use millstream_sim::broker::client::BrokerSink;
/// use millstream_sim::random::Streams;
///
/// let broker = Broker::new(Streams::new(1).stream("broker"), Duration::from_millis(3));
/// broker.create("squares", 2);
/// broker.create_compacted("markers");
/// let sink = BrokerSink::new(broker, ("squares", 2), "markers", |n: &u64| n.to_string())
///     .patience(Duration::from_secs(5))
///     .transaction_timeout(Duration::from_secs(60));
/// assert_eq!(sink.describe(), "topic squares");
/// ```
pub struct BrokerSink<T> {
    port: Arc<dyn Port>,
    target: Target,
    partitions: u32,
    key: KeyOf<T>,
    patience: Duration,
    taken: Arc<Mutex<Taken>>,
    records: PhantomData<fn(T)>,
}

impl<T> BrokerSink<T> {
    /// A sink into so many partitions of a topic, by the key of each record. Its markers are in a compacted topic of one
    /// partition, which many sinks may share.
    pub fn new(
        port: impl Port,
        (topic, partitions): (&str, u32),
        markers: &str,
        key: KeyOf<T>,
    ) -> BrokerSink<T> {
        let target = Target {
            name: topic.to_owned(),
            topic: topic.to_owned(),
            markers: markers.to_owned(),
            timeout: Duration::from_secs(60),
        };
        BrokerSink {
            port: Arc::new(port),
            target,
            partitions,
            key,
            patience: Duration::from_secs(15),
            taken: Arc::default(),
            records: PhantomData,
        }
    }

    /// How long a broker that does not answer is tried before the job fails. 15 seconds by default.
    pub fn patience(mut self, patience: Duration) -> BrokerSink<T> {
        self.patience = patience;
        self
    }

    /// How long a transaction may take before the broker aborts it. 60 seconds by default.
    pub fn transaction_timeout(mut self, timeout: Duration) -> BrokerSink<T> {
        self.target.timeout = timeout;
        self
    }

    fn line(&self, cx: &SinkContext) -> Line {
        Line {
            port: self.port.clone(),
            host: cx.host.clone(),
            target: self.target.clone(),
            patience: self.patience,
            used: RefCell::default(),
        }
    }
}

// Not derived: that would ask `T` to be `Clone`.
impl<T> Clone for BrokerSink<T> {
    fn clone(&self) -> BrokerSink<T> {
        BrokerSink {
            port: self.port.clone(),
            target: self.target.clone(),
            taken: self.taken.clone(),
            ..*self
        }
    }
}

/// What a checkpoint keeps: the records of a shard that are not known to be committed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pending {
    sink: String,
    committed: u64,
    pieces: Vec<Piece>,
}

fn share(name: &str, part: &Prepared) -> Result<Share> {
    let refuse = |why: String| {
        let (epoch, shard) = (part.epoch, part.shard);
        let message = format!("cannot read the output of shard {shard} in checkpoint {epoch}: {why}");
        Error::new(ErrorKind::Restore, message)
    };
    let Pending { sink, committed, pieces } =
        Pending::deserialize(&part.pending).map_err(|error| refuse(error.to_string()))?;
    if sink != name {
        return Err(refuse(format!("it belongs to sink `{sink}`, but this one is `{name}`")));
    }
    if !pieces.is_sorted_by(|before, piece| before.epoch < piece.epoch) {
        return Err(refuse("its pieces are not in the order of their epochs".to_owned()));
    }
    let shard = u32::try_from(part.shard).map_err(|_| refuse("no job has as many shards".to_owned()))?;
    Ok(Share { shard, committed, pieces })
}

/// Output that would come a second time, or that is gone.
fn refuse(name: &str, restored: Option<u64>, shares: &[Share], found: &BTreeMap<u32, Marker>) -> Result<()> {
    let newest = found.values().map(|marker| marker.epoch).max().unwrap_or(0);
    if newest > restored.unwrap_or(0) {
        let message = format!(
            "the topic holds output of sink `{name}` up to epoch {newest}, which would be written again: restore the \
             checkpoint of epoch {newest} or a later one, not {restored:?}"
        );
        return Err(Error::new(ErrorKind::Restore, message));
    }
    for Share { shard, committed, .. } in shares {
        let now = found.get(shard).map_or(0, |marker| marker.epoch);
        if now < *committed {
            return Err(lost(name, *shard, *committed, now));
        }
    }
    Ok(())
}

impl<T: Serialize + 'static> Sink<T> for BrokerSink<T> {
    fn describe(&self) -> String {
        format!("topic {}", self.target.topic)
    }

    fn recover(self, cx: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async move {
            let name = &self.target.name;
            let shares = prepared.iter().map(|part| share(name, part)).collect::<Result<Vec<_>>>()?;
            let refuse = |found: &BTreeMap<u32, Marker>| match cx.durable {
                true => refuse(name, cx.restored, &shares, found),
                false => Ok(()),
            };
            let taken = self.line(&cx).take_over(cx.shards, cx.durable, &shares, refuse).await?;
            *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = taken;
            Ok(())
        })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        let shard = cx.shard as u32;
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let committed = taken.committed.get(&shard).copied().unwrap_or(0);
        let shared = Shared {
            line: self.line(&cx),
            shard,
            generation: taken.generation,
            committed: Cell::new(committed),
            prepared: RefCell::default(),
        };
        let writer = TopicWriter { sink: self, records: Vec::new(), shared: Rc::new(shared) };
        Box::pin(async { Ok(Box::new(writer) as Box<dyn Writer<T>>) })
    }
}

struct TopicWriter<T> {
    sink: BrokerSink<T>,
    /// Since the last pre-commit.
    records: Vec<Waiting>,
    shared: Rc<Shared>,
}

/// What commits share with the writer.
struct Shared {
    line: Line,
    shard: u32,
    generation: u64,
    committed: Cell<u64>,
    prepared: RefCell<BTreeMap<u64, Piece>>,
}

impl<T: Serialize> Writer<T> for TopicWriter<T> {
    fn write(&mut self, records: &mut Vec<T>, _: &[Timestamp]) -> Result<()> {
        for record in records.drain(..) {
            let value = serde_json::to_string(&record).map_err(|error| {
                Error::new(ErrorKind::Sink, "a record cannot be written as JSON").caused_by(error)
            })?;
            let key = (self.sink.key)(&record);
            let partition = (digest(key.as_bytes()) % u64::from(self.sink.partitions)) as u32;
            self.records.push(Waiting { partition, key, value });
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        true
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
        let records = mem::take(&mut self.records);
        let mut prepared = self.shared.prepared.borrow_mut();
        if !records.is_empty() {
            prepared.insert(epoch, Piece { epoch, records });
        }
        // Also those of earlier epochs: their checkpoints may have been aborted.
        let pieces = prepared.values().cloned().collect();
        let sink = self.sink.target.name.clone();
        let pending = json!(Pending { sink, committed: self.shared.committed.get(), pieces });
        Box::pin(async { Ok(pending) })
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        let shared = self.shared.clone();
        Box::pin(async move { shared.commit(epoch).await })
    }
}

impl Shared {
    async fn commit(&self, epoch: u64) -> Result<()> {
        let pieces: Vec<Piece> =
            self.prepared.borrow().range(..=epoch).map(|(_, piece)| piece.clone()).collect();
        let Some(last) = pieces.last().map(|piece| piece.epoch) else { return Ok(()) };
        self.line.commit(self.shard, (self.generation, self.committed.get()), &pieces).await?;
        self.committed.set(last);
        // Only now may a checkpoint leave them out.
        self.prepared.borrow_mut().retain(|epoch, _| *epoch > last);
        Ok(())
    }
}
