//! Jobs that are run as a batch, over input that is far out of order: each window and each key has one result, and that
//! is the last one of a run in which nothing is late.

use std::time::Duration;

use millstream::job::Job;
use millstream::prelude::{Keep, Stream, secs};
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::table::{Change, count};
use millstream::{Config, Report};

use super::data::{Event, Row, Total, events, feed, outside};
use super::windows::{Shape, sound};
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::world::World;

/// A result: whose, of when, and numbers.
type Told = (u64, i64, [u64; 3]);

/// What is computed of the events.
#[derive(Clone, Copy)]
enum Step {
    Window,
    Rolling,
    Newest,
    Top,
    Counts,
}

pub(super) struct Batch {
    shape: Shape,
    step: Step,
    /// Checkpoints before the end, if there are any.
    every: Option<Duration>,
    memory: Option<u64>,
    feed: Feed<Event>,
    told: Collected<Change<Told>>,
    expected: Vec<Told>,
}

impl Batch {
    pub(super) fn new(world: &World) -> Batch {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let events = events(&mut random, shape.disorder);
        let every = random.coin().then(|| Duration::from_micros(100 + random.magnitude(50_000)));
        let mut work = Batch {
            step: *random.pick(&[Step::Window, Step::Rolling, Step::Newest, Step::Top, Step::Counts]),
            every,
            memory: (random.one_in(3)).then_some(512 << 10),
            feed: feed(&mut random, vec![events.clone()]),
            told: Collected::new(outside(&mut random)),
            expected: Vec::new(),
            shape,
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        // So that nothing is late for the reference.
        let patient = work.built(secs(1_000_000_000));
        work.expected = work.last(patient.expected("told", &inputs));
        work
    }

    fn built(&self, bound: Duration) -> Job {
        let job = Job::new("batch");
        let events = job
            .source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(bound).idle_after(Duration::from_micros(10)))
            .stage("plain");
        self.built_step(events).sink("told", self.told.clone());
        job
    }

    fn built_step(&self, events: Stream<Event>) -> Stream<Change<Told>> {
        let told = |row: Event| (row.key, row.time, [row.id, row.value, 0]);
        let keyed = events.key_by(|event| event.key);
        match self.step {
            Step::Window => {
                let totals = keyed.window(self.shape.window).aggregate("totals", Total);
                let row = |w| Row::new(w);
                totals
                    .map(row)
                    .map(|row| Change::insert((row.key, row.start, row.value)))
                    .stage("told by windows")
            }
            Step::Rolling => keyed
                .aggregate("totals", Total)
                .map(|(key, total)| Change::update_after((key, 0, total)))
                .stage("told by totals"),
            Step::Newest => {
                keyed.deduplicate("newest", Keep::Last).map_rows(told).stage("told by the newest")
            }
            Step::Top => keyed
                .top("top", 3, |event| (event.value, event.id))
                .map_rows(|ranked| (ranked.row.key, ranked.rank as i64, [ranked.row.id, ranked.row.value, 0]))
                .stage("told by the top"),
            Step::Counts => keyed
                .deduplicate("newest", Keep::Last)
                .map_rows(|event| event.value % 5)
                .key_by(|change| change.row)
                .table_aggregate("counts", count())
                .map_rows(|(of, n)| (of, 0, [n, 0, 0]))
                .stage("told by counts"),
        }
    }

    /// What is left at the end: the last result of each key, or the rows of the table.
    fn last(&self, told: Vec<Change<Told>>) -> Vec<Told> {
        let mut left: Vec<Told> = Vec::new();
        for change in told {
            let replaced = |row: &Told| match self.step {
                Step::Rolling => row.0 == change.row.0,
                _ => !change.is_addition() && *row == change.row,
            };
            if let Some(at) = left.iter().position(replaced) {
                left.swap_remove(at);
            }
            if change.is_addition() {
                left.push(change.row);
            }
        }
        left.sort_unstable();
        left
    }
}

impl Work for Batch {
    fn job(&self) -> Job {
        self.built(self.shape.bound)
    }

    fn configure(&self, config: Config) -> Config {
        match self.every {
            Some(every) => config.batch().checkpoint_every(every),
            None => config.batch(),
        }
    }

    fn memory(&self) -> Option<u64> {
        self.memory
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.told)?;
        let mut told = self.told.committed();
        if let Some(back) = told.iter().find(|change| !change.is_addition()) {
            return Err(Finding::new("a batch takes nothing back", format!("{back:?}")));
        }
        told.sort_unstable();
        let told: Vec<Told> = told.into_iter().map(|change| change.row).collect();
        let mut expected = self.expected.iter();
        let known = told.iter().all(|row| expected.any(|of| of == row));
        match known && (!done || told.len() == self.expected.len()) {
            true => Ok(()),
            false => {
                let seen = format!("{told:?}, expected {:?}", self.expected);
                Err(Finding::new("a batch puts out the last result of each, once", seen))
            }
        }
    }

    fn account(&self, report: &Report) -> Result<(), Finding> {
        match report.late {
            0 => Ok(()),
            n => Err(Finding::new("nothing is late in a batch", format!("{n} records were"))),
        }
    }
}
