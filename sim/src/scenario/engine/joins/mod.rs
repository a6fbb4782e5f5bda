//! Joins, and the ready steps, over streams out of order: whatever crashes and however the two sides interleave, the
//! committed pairs are those that the reference finds, and committed changes are a changelog of the table that it finds.

mod data;
mod oracle;
mod steps;

use std::time::Duration;

use millstream::Report;
use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::stream::Stream;
use millstream::table::Change;
use millstream::time::millis;

use super::data::outside;
use super::windows::sound;
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::world::World;

use data::{Fed, Row, side};
use oracle::Oracle;
use steps::{Items, Step};

/// A result: of which key, which rows and when.
pub(super) type Told = (u64, Vec<u64>, i64);

/// Which step is run, over what.
pub(super) struct Joins {
    step: Step,
    bound: Duration,
    /// Numbers of dead weight per row.
    weight: usize,
    memory: Option<u64>,
    feeds: [Feed<Fed>; 2],
    told: Collected<Change<Told>>,
    oracle: Oracle,
}

impl Joins {
    pub(super) fn new(world: &World) -> Joins {
        let mut random = world.streams().stream("workload");
        let step = Step::draw(&mut random);
        let disorder = random.magnitude(200);
        let crowded = random.one_in(4);
        // Those that crowd it have many keys.
        let most = if crowded { usize::MAX } else { step.most() };
        let sides = [step.left(), step.right()].map(|kind| side(&mut random, disorder, kind, most, crowded));
        let mut pauses = || (*random.pick(&[0, 3, 30]), Duration::from_micros(random.magnitude(30_000)));
        let (left, right) = (pauses(), pauses());
        let feed =
            |splits: &Vec<Vec<Fed>>, (one_in, longest)| Feed::new(splits.clone()).pausing(one_in, longest);
        let mut work = Joins {
            bound: millis(disorder),
            weight: if crowded { step.heaviest().min(random.magnitude(600) as usize) } else { 0 },
            memory: crowded.then(|| *random.pick(&[512 << 10, 768 << 10])),
            feeds: [feed(&sides[0], left), feed(&sides[1], right)],
            told: Collected::new(outside(&mut random)),
            oracle: Oracle::new(step.folds(), Vec::new()),
            step,
        };
        let [left, right] = sides;
        let inputs = Inputs::new().with("left", move || left.clone()).with("right", move || right.clone());
        work.oracle = Oracle::new(work.step.folds(), work.job().expected("told", &inputs));
        work
    }

    /// One side, with its times, as changes of rows.
    fn items(&self, job: &Job, name: &str, feed: &Feed<Fed>) -> Items {
        let weight = self.weight;
        job.source(name, feed.clone())
            .event_time(|fed| fed.time, Watermarks::bounded(self.bound))
            .map(move |fed| Change { kind: fed.kind, row: Row::new(&fed, weight) })
            .stage(&format!("rows of {name}"))
    }
}

impl Work for Joins {
    fn job(&self) -> Job {
        let job = Job::new("joins");
        let left = self.items(&job, "left", &self.feeds[0]);
        let right = self.items(&job, "right", &self.feeds[1]);
        let told: Stream<Change<Told>> = self.step.build(left, right);
        told.sink("told", self.told.clone());
        job
    }

    fn memory(&self) -> Option<u64> {
        self.memory
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.told)?;
        self.oracle.check(self.told.committed(), done)
    }

    fn account(&self, report: &Report) -> Result<(), Finding> {
        match report.late {
            0 => Ok(()),
            n => Err(Finding::new("nothing is late that is in order enough", format!("{n} records were"))),
        }
    }
}
