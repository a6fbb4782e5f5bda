//! A tumbling window over one split: out of order, some of it late, some of it too late.

use std::time::Duration;

use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::{WatermarkGenerator, Watermarks};
use millstream::time::{Timestamp, millis};
use millstream::window::Tumbling;

use super::data::{Event, Row, Total, events, feed, outside};
use super::expected::Expected;
use super::replays::Replayed;
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::random::Random;
use crate::world::World;

/// How a window is cut and how late its records may be.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub disorder: u64,
    pub bound: Duration,
    pub window: Tumbling,
}

impl Shape {
    pub(super) fn draw(random: &mut Random) -> Shape {
        let disorder = random.magnitude(200);
        let size = random.magnitude(1000);
        let lateness = if random.coin() { 0 } else { random.magnitude(300) };
        let window = Tumbling::of(millis(size)).allow_late(millis(lateness));
        Shape {
            disorder,
            bound: millis(random.below(disorder + 1)),
            window: window.offset_millis(random.below(size) as i64),
        }
    }

    /// Of one to three partitions, with the events of each.
    pub(super) fn partitioned(random: &mut Random) -> (Shape, Vec<Vec<Event>>) {
        let mut shape = Shape::draw(random);
        let count = *random.pick(&[1, 1, 2, 3]);
        if count > 1 {
            // Partitions are not read in step: only the end of all of them ends a window.
            shape.bound = millis(1 << 30);
            shape.window = Tumbling::of(millis(random.magnitude(1000)));
        }
        let mut inputs: Vec<Vec<Event>> = (0..count).map(|_| events(random, shape.disorder)).collect();
        for (k, events) in inputs.iter_mut().enumerate() {
            events.iter_mut().for_each(|event| event.id += (k as u64) << 32);
            events.iter_mut().for_each(|event| event.key += if count > 1 { 100 * k as u64 } else { 0 });
        }
        (shape, inputs)
    }
}

/// The usual watermarks by a generator of its own, that says what it knows of one record at a time.
#[derive(Clone)]
struct Bounded {
    bound: Duration,
}

impl<T> WatermarkGenerator<T> for Bounded {
    fn on_record(&mut self, _: &T, time: Timestamp) -> Option<Timestamp> {
        Some(time - self.bound.as_millis() as i64 - 1)
    }
}

pub(super) struct Windows {
    shape: Shape,
    own_marks: bool,
    feed: Feed<Event>,
    rows: Collected<Row<[u64; 3]>>,
    late: Collected<Event>,
    expected_rows: Expected<Row<[u64; 3]>>,
    expected_late: Expected<Event>,
}

impl Windows {
    pub(super) fn new(world: &World) -> Windows {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let events = events(&mut random, shape.disorder);
        let mut work = Windows {
            shape,
            feed: feed(&mut random, vec![events.clone()]),
            rows: Collected::new(outside(&mut random)).shown(),
            late: Collected::new(outside(&mut random)).shown(),
            expected_rows: Expected::new("rows", Row::name, Vec::new()),
            expected_late: Expected::new("late", Event::name, Vec::new()),
            own_marks: random.one_in(3),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        let job = work.job();
        work.expected_rows = Expected::new("rows", Row::name, job.expected("rows", &inputs));
        work.expected_late = Expected::new("late", Event::name, job.expected("late", &inputs));
        work
    }
}

impl Work for Windows {
    fn job(&self) -> Job {
        let job = Job::new("windows");
        let (events, bound) = (job.source("events", self.feed.clone()), self.shape.bound);
        let events = match self.own_marks {
            false => events.event_time(|event| event.time, Watermarks::bounded(bound)),
            true => events.event_time(|event| event.time, Watermarks::custom(Bounded { bound })),
        };
        let totals = events
            .filter(|event| event.value % 7 != 0)
            .map(|event| Event { value: event.value * 2, ..event })
            .key_by(|event| event.key)
            .window(self.shape.window)
            .aggregate("totals", Total);
        totals.late().sink("late", self.late.clone());
        totals.map(Row::new).sink("rows", self.rows.clone());
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.rows)?;
        sound(&self.late)?;
        self.expected_rows.check(self.rows.committed(), done)?;
        self.expected_late.check(self.late.committed(), done)
    }

    fn has_reference_state(&self) -> bool {
        true
    }

    fn replayed(&self, from: u64, to: u64) -> Replayed {
        let rows = self.rows.rows_between(from, to).into_iter().map(|row| ("rows", row));
        let late = self.late.rows_between(from, to).into_iter().map(|row| ("late", row));
        Replayed::Rows(rows.chain(late).collect())
    }
}

/// Nothing impossible was asked of a sink.
pub(super) fn sound<T>(sink: &Collected<T>) -> Result<(), Finding> {
    let broken = sink.broken().map(|what| Finding::new("sinks are asked for what is possible", what));
    broken.map_or(Ok(()), Err)
}
