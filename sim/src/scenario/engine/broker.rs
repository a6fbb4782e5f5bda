//! From the partitions of a topic of a broker through a window into those of another, exactly once.

use std::cell::Cell;
use std::time::Duration;

use millstream::Config;
use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::data::{Event, Row, Total, outside};
use super::expected::Expected;
use super::windows::Shape;
use super::{Finding, Work};
use crate::broker::client::{BrokerSink, BrokerSource};
use crate::broker::requests::Message;
use crate::broker::{Broker, Fill};
use crate::disk::DiskView;
use crate::random::Random;
use crate::world::World;

const EVENTS: &str = "events";
const ROWS: &str = "rows";
const LATE: &str = "late";
const MARKERS: &str = "markers";

/// What a process is given that nothing goes wrong for.
const CALM: Duration = Duration::from_secs(300);

pub(super) struct Topics {
    shape: Shape,
    broker: Broker,
    /// Of the input, by partition.
    ends: Vec<u64>,
    /// Of the output.
    partitions: u32,
    patience: Duration,
    transaction_timeout: Duration,
    /// A broker that is not there for seconds is waited for: with a checkpoint every few microseconds, that would take
    /// hundreds of thousands.
    checkpoint_every: Duration,
    calm: Cell<bool>,
    expected_rows: Expected<Row<[u64; 3]>>,
    expected_late: Expected<Event>,
}

impl Topics {
    pub(super) fn new(world: &World) -> Topics {
        let mut random = world.streams().stream("workload");
        let (shape, inputs) = Shape::partitioned(&mut random);
        let broker = Broker::new(world.streams().stream("broker"), outside(&mut random));
        let partitions = random.range(1, 3) as u32;
        broker.create(ROWS, partitions);
        broker.create(LATE, 1);
        broker.create_compacted(MARKERS);
        let mut work = Topics {
            shape,
            ends: fill(&broker, &inputs, &mut random),
            broker,
            partitions,
            patience: Duration::from_millis(random.magnitude(60_000)),
            transaction_timeout: Duration::from_millis(200 + random.magnitude(20_000)),
            checkpoint_every: Duration::from_millis(5 + random.magnitude(300)),
            calm: Cell::new(false),
            expected_rows: Expected::new("rows", Row::name, Vec::new()),
            expected_late: Expected::new("late", Event::name, Vec::new()),
        };
        let given = Inputs::new().with("events", move || inputs.clone());
        let job = work.job();
        work.expected_rows = Expected::new("rows", Row::name, job.expected("rows", &given));
        work.expected_late = Expected::new("late", Event::name, job.expected("late", &given));
        work
    }

    fn sink<T: Serialize + 'static>(
        &self,
        topic: &str,
        partitions: u32,
        key: fn(&T) -> String,
    ) -> BrokerSink<T> {
        let (patience, timeout) =
            if self.calm.get() { (CALM, CALM) } else { (self.patience, self.transaction_timeout) };
        BrokerSink::new(self.broker.clone(), (topic, partitions), MARKERS, key)
            .patience(patience)
            .transaction_timeout(timeout)
    }

    /// What is committed to a topic.
    fn committed<T: DeserializeOwned>(&self, topic: &str) -> Result<Vec<T>, Finding> {
        let decode = |message: Message| {
            let value = message.value.unwrap_or_default();
            serde_json::from_slice(&value).map_err(|error| {
                Finding::new("visible output is whole", format!("{topic}: {value:?}: {error}"))
            })
        };
        self.broker.committed(topic).into_iter().flatten().map(decode).collect()
    }
}

/// Fills the topic of the input with the events of each partition, among others that were aborted, and returns where each
/// ends. The last partition of several may come late.
fn fill(broker: &Broker, inputs: &[Vec<Event>], random: &mut Random) -> Vec<u64> {
    broker.create(EVENTS, 0);
    let late = Duration::from_micros(random.magnitude(3_000_000));
    let is_late = inputs.len() > 1 && random.coin();
    let mut ends = Vec::new();
    for (k, events) in inputs.iter().enumerate() {
        let after = if is_late && k + 1 == inputs.len() { late } else { Duration::ZERO };
        ends.push(broker.add_partition(EVENTS, &fills(events, random), after));
    }
    ends
}

fn fills(events: &[Event], random: &mut Random) -> Vec<Fill> {
    let message = |event: &Event| {
        let value = serde_json::to_vec(event).expect("an event is plain data");
        Message { key: Some(event.name().into_bytes()), value: Some(value) }
    };
    let mut fills = Vec::new();
    let mut rest = events;
    while !rest.is_empty() {
        let (some, others) = rest.split_at(rest.len().min(random.magnitude(30) as usize));
        let messages: Vec<Message> = some.iter().map(message).collect();
        if random.one_in(4) {
            // They come again, and are committed then.
            fills.push(Fill { messages: messages.clone(), commit: Some(false) });
        }
        fills.push(Fill { messages, commit: random.coin().then_some(true) });
        rest = others;
    }
    fills
}

impl Work for Topics {
    fn job(&self) -> Job {
        let job = Job::new("broker");
        let source = BrokerSource::new(self.broker.clone(), EVENTS, self.ends.clone());
        let totals = job
            .source("events", source.patience(if self.calm.get() { CALM } else { self.patience }))
            .event_time(|event: &Event| event.time, Watermarks::bounded(self.shape.bound))
            .key_by(|event| event.key)
            .window(self.shape.window)
            .aggregate("totals", Total);
        totals.late().sink("late", self.sink(LATE, 1, Event::name));
        totals.map(Row::new).sink("rows", self.sink(ROWS, self.partitions, Row::name));
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        if done {
            // What is committed is seen when the markers are written. What comes late must change nothing.
            self.broker.settle();
        }
        self.expected_rows.check(self.committed(ROWS)?, done)?;
        self.expected_late.check(self.committed(LATE)?, done)
    }

    fn configure(&self, config: Config) -> Config {
        config.checkpoint_every(self.checkpoint_every)
    }

    fn calm(&self) {
        self.calm.set(true);
        self.broker.calm();
    }
}
