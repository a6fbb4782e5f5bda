//! One shard's end of the sink.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use millstream_storage::hash::stable_hash;
use millstream_storage::planted;
use millstream_storage::topic::BatchBuilder;
use serde_json::{Value as Json, json};

use super::hub::{Reply, Request, What};
use super::{Pending, TopicSink, producer_of};
use crate::error::{Error, ErrorKind, Result};
use crate::host::LocalFuture;
use crate::sink::{SinkContext, Writer};
use crate::time::{MIN_TIME, Timestamp};

/// A batch is handed over when it has reached this many bytes.
const BATCH_BYTES: usize = 256 << 10;
/// No more records are taken while this many bytes of the shard are on their way.
const BACKLOG_BYTES: usize = 16 << 20;

/// Encodes, and hands over.
pub(super) struct TopicSinkWriter<T> {
    sink: TopicSink<T>,
    cx: SinkContext,
    producer: String,
    /// By partition.
    batches: Vec<BatchBuilder>,
    /// Whether something was handed over since the last barrier.
    dirty: bool,
    /// Epochs that are prepared and not known to be committed.
    prepared: Rc<RefCell<BTreeSet<u64>>>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<T> TopicSinkWriter<T> {
    pub(super) fn new(cx: SinkContext, sink: TopicSink<T>) -> Result<TopicSinkWriter<T>> {
        sink.hub.check()?;
        let batches = (0..sink.hub.partitions()).map(|_| BatchBuilder::new()).collect();
        let producer = producer_of(&sink.shape.producer, cx.shard);
        sink.hub.join(cx.shard, cx.wake.clone());
        let writer = TopicSinkWriter {
            producer,
            batches,
            dirty: false,
            prepared: Rc::default(),
            key: Vec::new(),
            value: Vec::new(),
            sink,
            cx,
        };
        writer.ask(What::Fence(writer.cx.first_epoch));
        Ok(writer)
    }

    fn ask(&self, what: What) {
        self.sink.hub.ask(Request { shard: self.cx.shard, producer: self.producer.clone(), what });
    }

    fn hand_over(&mut self, partition: usize) {
        let batch = self.batches[partition].finish();
        self.dirty = true;
        self.ask(What::Append(partition as u32, batch));
    }

    fn encode(&mut self, record: &T, time: Timestamp) -> Result<()> {
        self.key.clear();
        self.value.clear();
        (self.sink.encode)(record, &mut self.value).map_err(|reason| {
            let dir = self.sink.shape.dir.display();
            Error::new(ErrorKind::Sink, format!("topic {dir}: cannot encode a record: {reason}"))
        })?;
        let count = self.batches.len();
        let (partition, key) = match &self.sink.key {
            None => (self.cx.shard % count, None),
            Some(key) => {
                key(record, &mut self.key);
                ((stable_hash(&self.key) % count as u64) as usize, Some(&self.key[..]))
            }
        };
        let batch = &mut self.batches[partition];
        batch.push(time, key, &self.value, &[]);
        if batch.bytes() >= BATCH_BYTES {
            self.hand_over(partition);
        }
        Ok(())
    }
}

impl<T> Writer<T> for TopicSinkWriter<T> {
    fn write(&mut self, records: &mut Vec<T>, times: &[Timestamp]) -> Result<()> {
        self.sink.hub.check()?;
        // Records without event time get the time at which they are written.
        let now = self.cx.host.wall_millis();
        for (record, &time) in records.drain(..).zip(times) {
            self.encode(&record, if time == MIN_TIME { now } else { time })?;
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.sink.hub.backlog(self.cx.shard) < BACKLOG_BYTES
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
        for partition in 0..self.batches.len() {
            if !self.batches[partition].is_empty() {
                self.hand_over(partition);
            }
        }
        if std::mem::take(&mut self.dirty) {
            self.prepared.borrow_mut().insert(epoch);
        }
        // Also without news: this checkpoint vouches for earlier epochs, whose own may have been given up meanwhile.
        let reply = (!self.prepared.borrow().is_empty()).then(|| {
            let reply = Reply::default();
            self.ask(What::Prepare(epoch, reply.clone()));
            reply
        });
        let epochs = self.prepared.borrow().iter().copied().collect();
        let pending = Pending { producer: self.producer.clone(), epochs };
        let hub = self.sink.hub.clone();
        Box::pin(async move {
            match reply {
                Some(reply) if !planted!(prepare_not_awaited) => hub.answer(reply).await?,
                _ => hub.check()?,
            }
            Ok(json!(pending))
        })
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        let epochs: Vec<u64> = self.prepared.borrow().range(..=epoch).copied().collect();
        if epochs.is_empty() {
            return Box::pin(async { Ok(()) });
        }
        let reply = Reply::default();
        self.ask(What::Commit(epochs.clone(), reply.clone()));
        let (hub, prepared) = (self.sink.hub.clone(), self.prepared.clone());
        Box::pin(async move {
            hub.answer(reply).await?;
            // Only now may a checkpoint leave them out.
            prepared.borrow_mut().retain(|of| !epochs.contains(of));
            Ok(())
        })
    }
}
