//! A window and a process function whose state is several times larger than the memory that it may take.

use millstream::aggregate::Aggregate;
use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;

use super::data::{Event, Row, events, feed, outside};
use super::expected::Expected;
use super::process::{Memory, Told, key_of, name_of};
use super::windows::{Shape, sound};
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::trace::mix;
use crate::world::World;

/// A digest of the records of a key, with dead weight.
#[derive(Clone)]
struct Heavy {
    weight: usize,
}

impl Aggregate for Heavy {
    type In = Event;
    type Acc = Vec<u64>;
    type Out = u64;

    fn add(&self, acc: &mut Vec<u64>, event: &Event) {
        let digest = acc.first().copied().unwrap_or(0);
        acc.clear();
        acc.resize(1 + self.weight, mix(digest, event.id));
    }

    fn finish(&self, acc: &Vec<u64>) -> u64 {
        acc.iter().fold(0, |all, digest| all | digest)
    }
}

pub(super) struct Larger {
    shape: Shape,
    weight: usize,
    memory: u64,
    feed: Feed<Event>,
    rows: Collected<Row<u64>>,
    told: Collected<Told>,
    expected_rows: Expected<Row<u64>>,
    expected_told: Expected<Told>,
}

impl Larger {
    pub(super) fn new(world: &World) -> Larger {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let mut events = events(&mut random, shape.disorder);
        let keys = random.magnitude(300);
        events
            .iter_mut()
            .for_each(|event| event.key = event.key * 7 % 40 + 40 * random.below(keys.div_ceil(40)));
        let mut work = Larger {
            shape,
            weight: random.range(100, 900) as usize,
            memory: *random.pick(&[512 << 10, 512 << 10, 768 << 10]),
            feed: feed(&mut random, vec![events.clone()]),
            rows: Collected::new(outside(&mut random)),
            told: Collected::new(outside(&mut random)),
            expected_rows: Expected::new("rows", Row::name, Vec::new()),
            expected_told: Expected::new("told", name_of, Vec::new()),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        let job = work.job();
        work.expected_rows = Expected::new("rows", Row::name, job.expected("rows", &inputs));
        work.expected_told = Expected::new("told", name_of, job.expected("told", &inputs));
        work
    }
}

impl Work for Larger {
    fn job(&self) -> Job {
        let job = Job::new("larger");
        let events = job
            .source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.shape.bound));
        let told = events.clone().key_by(key_of).process("memory", Memory { weight: self.weight });
        told.sink("told", self.told.clone());
        let heavy = Heavy { weight: self.weight };
        let rows = events.key_by(|event| event.key).window(self.shape.window).aggregate("heavy", heavy);
        rows.map(Row::new).sink("rows", self.rows.clone());
        job
    }

    fn memory(&self) -> Option<u64> {
        Some(self.memory)
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.rows)?;
        sound(&self.told)?;
        self.expected_rows.check(self.rows.committed(), done)?;
        self.expected_told.check(self.told.committed(), done)
    }
}
