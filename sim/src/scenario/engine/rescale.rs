//! A window and a process function behind one source.

use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;

use super::data::{Event, Row, Total, events, feed, outside};
use super::expected::Expected;
use super::process::{Memory, Told, key_of, name_of};
use super::windows::{Shape, sound};
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::world::World;

pub(super) struct Both {
    shape: Shape,
    movable: &'static [&'static str],
    feed: Feed<Event>,
    rows: Collected<Row<[u64; 3]>>,
    told: Collected<Told>,
    expected_rows: Expected<Row<[u64; 3]>>,
    expected_told: Expected<Told>,
}

impl Both {
    pub(super) fn new(world: &World) -> Both {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let events = events(&mut random, shape.disorder);
        let mut work = Both {
            shape,
            movable: &[],
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

    /// The same, each step on fewer cores than the job at times.
    pub(super) fn narrow(world: &World) -> Both {
        Both { movable: &["events", "memory", "totals"], ..Both::new(world) }
    }
}

impl Work for Both {
    fn job(&self) -> Job {
        let job = Job::new("rescale");
        let events = job
            .source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.shape.bound));
        let told = events.clone().key_by(key_of).process("memory", Memory { weight: 0 });
        told.sink("told", self.told.clone());
        let totals = events.key_by(|event| event.key).window(self.shape.window).aggregate("totals", Total);
        totals.map(Row::new).sink("rows", self.rows.clone());
        job
    }

    fn most_cores(&self) -> usize {
        8
    }

    fn movable(&self) -> &[&str] {
        self.movable
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.rows)?;
        sound(&self.told)?;
        self.expected_rows.check(self.rows.committed(), done)?;
        self.expected_told.check(self.told.committed(), done)
    }
}
