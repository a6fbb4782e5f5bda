//! The job that is saved, stopped, drained and started again, with steps that come, go and are renamed.

use millstream::Config;
use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;

use crate::collected::Collected;
use crate::feed::Feed;
use crate::harness::expected::Expected;
use crate::scenario::Finding;
use crate::scenario::engine::data::{Event, Row, Total, events, feed, outside};
use crate::scenario::engine::process::{Memory, Told, key_of, name_of};
use crate::scenario::engine::windows::{Shape, sound};
use crate::world::World;

/// A window and a process function behind one source.
pub(super) struct Work {
    shape: Shape,
    weight: usize,
    memory: Option<u64>,
    events: Vec<Event>,
    feed: Feed<Event>,
    rows: Collected<Row<[u64; 3]>>,
    told: Collected<Told>,
    expected_rows: Expected<Row<[u64; 3]>>,
    expected_told: Expected<Told>,
    /// How often it was started from a savepoint; its steps have names that say so.
    generation: u32,
}

impl Work {
    pub(super) fn new(world: &World) -> Work {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let events = events(&mut random, shape.disorder);
        let limited = random.one_in(4);
        let mut work = Work {
            shape,
            weight: if limited { random.range(100, 600) as usize } else { 0 },
            memory: limited.then_some(512 << 10),
            feed: feed(&mut random, vec![events.clone()]),
            rows: Collected::new(outside(&mut random)),
            told: Collected::new(outside(&mut random)),
            expected_rows: Expected::new("rows", Row::name, Vec::new()),
            expected_told: Expected::new("told", name_of, Vec::new()),
            generation: 0,
            events,
        };
        (work.expected_rows, work.expected_told) = work.expected(work.events.clone());
        work
    }

    /// What the first of its events come to.
    fn expected(&self, events: Vec<Event>) -> (Expected<Row<[u64; 3]>>, Expected<Told>) {
        let job = self.job();
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        let rows = Expected::new("rows", Row::name, job.expected("rows", &inputs));
        (rows, Expected::new("told", name_of, job.expected("told", &inputs)))
    }

    fn step(&self, generation: u32) -> String {
        format!("memory-{generation}")
    }

    fn spare(&self, generation: u32) -> String {
        format!("spare-{generation}")
    }

    pub(super) fn job(&self) -> Job {
        let job = Job::new("savepoints");
        let events = job
            .source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.shape.bound));
        // Of no use, and gone with the next savepoint.
        let spare = self.spare(self.generation);
        events.clone().filter(|event| event.id.is_multiple_of(16)).sink(&spare, self.rows_of_nobody());
        let memory = Memory { weight: self.weight };
        let told = events.clone().key_by(key_of).process(&self.step(self.generation), memory);
        told.sink("told", self.told.clone());
        let totals = events.key_by(|event| event.key).window(self.shape.window).aggregate("totals", Total);
        totals.map(Row::new).sink("rows", self.rows.clone());
        job
    }

    fn rows_of_nobody(&self) -> Collected<Event> {
        Collected::new(std::time::Duration::from_millis(1))
    }

    pub(super) fn configure(&self, config: Config) -> Config {
        let config = match self.memory {
            Some(memory) => config.memory_per_core(memory),
            None => config,
        };
        // Savepoints are as old as they are.
        (0..self.generation).fold(config, |config, before| {
            let config = config.renamed(&self.step(before), &self.step(self.generation));
            config.allow_removed(&self.spare(before))
        })
    }

    /// Starts anew from a savepoint: what was committed since is not there.
    pub(super) fn go_back(&mut self, epoch: u64) {
        self.generation += 1;
        self.rows = self.rows.fork(epoch);
        self.told = self.told.fork(epoch);
    }

    pub(super) fn check(&self, done: bool) -> Result<(), Finding> {
        sound(&self.rows)?;
        sound(&self.told)?;
        self.expected_rows.check(self.rows.committed(), done)?;
        self.expected_told.check(self.told.committed(), done)
    }

    /// Whether what was put out is all that the first `read` events come to.
    pub(super) fn check_drained(&self, read: usize) -> Result<(), Finding> {
        let (rows, told) = self.expected(self.events[..read].to_vec());
        rows.check(self.rows.committed(), true)?;
        told.check(self.told.committed(), true)
    }
}
