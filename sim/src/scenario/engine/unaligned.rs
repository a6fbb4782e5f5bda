//! Barriers that overtake records: what waits before a step is part of the checkpoint, on any number of cores.
//!
//! Nothing is late and no timer is set: the marks between overtaken records are not kept, so that no more could be said of
//! these than that they come.

use std::time::Duration;

use millstream::Config;
use millstream::job::Job;
use millstream::process::{Context, Declare, Process};
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::state::Value;
use millstream::stream::Either;

use super::data::{Event, Ids, Row, events, feed, outside};
use super::expected::Expected;
use super::windows::{Shape, sound};
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::world::World;

/// Numbers the records of a key, and puts some out several times.
#[derive(Clone)]
struct Number {
    /// Dead weight per key.
    weight: usize,
}

impl Process for Number {
    type Key = u64;
    type In = Event;
    type Out = Event;
    type State = Value<Vec<u64>>;

    fn declare(&self, state: &mut Declare) -> Value<Vec<u64>> {
        state.value("seen")
    }

    fn on_record(&mut self, event: Event, seen: &Value<Vec<u64>>, cx: &mut Context<'_, Self>) {
        let mut ids = seen.load(cx).unwrap_or_default();
        let n = ids.first().copied().unwrap_or(0) + 1;
        ids.clear();
        ids.resize(1 + self.weight, n);
        seen.set(cx, &ids);
        for copy in 0..=event.value % 4 {
            cx.emit(Event { id: event.id * 4 + copy, value: n, ..event });
        }
    }
}

/// The how-manieth record of its key and side a record is.
type Nth = (bool, u64, u64, u64);

#[derive(Clone)]
struct Beside;

impl Process for Beside {
    type Key = u64;
    type In = Either<Event, Event>;
    type Out = Nth;
    type State = [Value<u64>; 2];

    fn declare(&self, state: &mut Declare) -> [Value<u64>; 2] {
        [state.value("left"), state.value("right")]
    }

    fn on_record(&mut self, event: Either<Event, Event>, seen: &[Value<u64>; 2], cx: &mut Context<'_, Self>) {
        let (right, event) = match event {
            Either::Left(event) => (false, event),
            Either::Right(event) => (true, event),
        };
        let n = seen[usize::from(right)].update(cx, |n| {
            *n += 1;
            *n
        });
        cx.emit((right, event.key, event.id, n));
    }
}

pub(super) struct Unaligned {
    shape: Shape,
    patience: Duration,
    number: Number,
    memory: Option<u64>,
    feed: Feed<Event>,
    rows: Collected<Row<Vec<u64>>>,
    numbered: Collected<Event>,
    beside: Collected<Nth>,
    expected_rows: Expected<Row<Vec<u64>>>,
    expected_numbered: Expected<Event>,
    expected_beside: Expected<Nth>,
}

impl Unaligned {
    pub(super) fn new(world: &World) -> Unaligned {
        let mut random = world.streams().stream("workload");
        let mut shape = Shape::draw(&mut random);
        shape.bound = Duration::from_millis(shape.disorder);
        let events = events(&mut random, shape.disorder);
        let weight = *random.pick(&[0, 0, 200, 800]);
        let name = |nth: &Nth| format!("{} {}", nth.0, nth.1);
        let mut work = Unaligned {
            shape,
            patience: Duration::from_micros(*random.pick(&[0, 0, 100, 3_000])),
            number: Number { weight },
            memory: (weight > 0).then_some(512 << 10),
            feed: feed(&mut random, vec![events.clone()]),
            rows: Collected::new(outside(&mut random)),
            // Slow, so that much waits before the step that numbers.
            numbered: Collected::new(outside(&mut random) * 10),
            beside: Collected::new(outside(&mut random)),
            expected_rows: Expected::new("rows", Row::name, Vec::new()),
            expected_numbered: Expected::new("numbered", Event::name, Vec::new()),
            expected_beside: Expected::new("beside", name, Vec::new()),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        let job = work.job();
        work.expected_rows = Expected::new("rows", Row::name, job.expected("rows", &inputs));
        work.expected_numbered = Expected::new("numbered", Event::name, job.expected("numbered", &inputs));
        work.expected_beside = Expected::new("beside", name, job.expected("beside", &inputs));
        work
    }
}

impl Work for Unaligned {
    fn job(&self) -> Job {
        let job = Job::new("unaligned");
        let events = job
            .source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.shape.bound));
        let numbered = events
            .clone()
            .key_by(|event| event.key)
            .unaligned()
            .process("number", self.number.clone())
            .stage("on");
        numbered.clone().sink("numbered", self.numbered.clone());
        let rows = numbered
            .key_by(|event| event.key % 5)
            .unaligned()
            .window(self.shape.window)
            .aggregate("ids", Ids);
        rows.map(Row::new).sink("rows", self.rows.clone());
        let half = |odd: u64| {
            let half = events.clone().filter(move |event| event.id % 2 == odd);
            half.key_by(|event| event.key).unaligned()
        };
        half(0).connect(half(1)).process("count", Beside).sink("beside", self.beside.clone());
        job
    }

    fn configure(&self, config: Config) -> Config {
        config.unaligned_after(self.patience)
    }

    fn memory(&self) -> Option<u64> {
        self.memory
    }

    fn ring_depth(&self) -> Option<usize> {
        Some(4)
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.rows)?;
        sound(&self.numbered)?;
        sound(&self.beside)?;
        self.expected_rows.check(self.rows.committed(), done)?;
        self.expected_numbered.check(self.numbered.committed(), done)?;
        self.expected_beside.check(self.beside.committed(), done)
    }
}
