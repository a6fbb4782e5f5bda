//! The watermark that a process function sees, where splits fall silent and cores come to different ones: for a key it
//! never falls, on whichever core a restore puts it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream::job::Job;
use millstream::prelude::{Context, Declare, Process, Timestamp};
use millstream::source::watermarks::Watermarks;
use millstream::time::millis;

use super::data::{Event, events, outside};
use super::union::with_stalls;
use super::windows::sound;
use super::{Finding, Options, Scenario, Tolerance, Work, endure};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::world::World;

/// Tells the watermark with every record.
#[derive(Clone)]
struct Level;

/// The rule of the records themselves.
const ONCE: &str = "every record comes through once";

/// A key, a record, and the watermark that it saw.
type Told = (u64, u64, Timestamp);

impl Process for Level {
    type Key = u64;
    type In = Event;
    type Out = Told;
    type State = ();

    fn declare(&self, _: &mut Declare) {}

    fn on_record(&mut self, event: Event, (): &(), cx: &mut Context<'_, Self>) {
        let watermark = cx.watermark();
        cx.emit((event.key, event.id, watermark));
    }
}

struct Levels {
    marks: Watermarks,
    feeds: [Feed<Event>; 2],
    told: Collected<Told>,
    /// The records of both.
    ids: BTreeSet<u64>,
}

impl Levels {
    fn new(world: &World) -> Levels {
        let mut random = world.streams().stream("workload");
        let disorder = random.magnitude(200);
        let splits = random.range(1, 3);
        let mut split = |first: u64, behind: i64| {
            let mut events = events(&mut random, disorder);
            events
                .iter_mut()
                .for_each(|event| (event.id, event.time) = (event.id + first, event.time - behind));
            events
        };
        let left: Vec<Vec<Event>> = (0..splits).map(|k| split(k << 16, 0)).collect();
        // It is far behind the others, and alone falls silent often: then nobody waits for it.
        let right = vec![split(1 << 32, 300)];
        let ids = left.iter().chain(&right).flatten().map(|event| event.id).collect();
        let idle_after = random.range(100, 2000);
        Levels {
            marks: Watermarks::bounded(millis(disorder)).idle_after(Duration::from_micros(idle_after)),
            feeds: [
                Feed::new(left).pausing(2, Duration::from_micros(idle_after)),
                Feed::new(right).pausing(3, Duration::from_micros(idle_after * 4)),
            ],
            told: Collected::new(outside(&mut random)),
            ids,
        }
    }
}

impl Work for Levels {
    fn job(&self) -> Job {
        let job = Job::new("levels");
        let [left, right] = &self.feeds;
        let left = job.source("left", left.clone()).event_time(|event| event.time, self.marks);
        let right = job.source("right", right.clone()).event_time(|event| event.time, self.marks);
        let both = left.union("both", right).key_by(|event| event.key);
        both.process("level", Level).sink("told", self.told.clone());
        job
    }

    fn ring_depth(&self) -> Option<usize> {
        // No split is held back at its source by the others.
        Some(64)
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.told)?;
        let (mut last, mut missing) = (BTreeMap::<u64, Timestamp>::new(), self.ids.clone());
        for (key, id, watermark) in self.told.committed() {
            if let Some(before) = last.insert(key, watermark).filter(|before| watermark < *before) {
                let seen = format!("record {id} of key {key} saw {watermark} after {before}");
                return Err(Finding::new("the watermark of a key never falls", seen));
            }
            if !missing.remove(&id) {
                return Err(Finding::new(
                    ONCE,
                    format!("record {id} of key {key} came twice, or from nowhere"),
                ));
            }
        }
        match missing.first().filter(|_| done) {
            None => Ok(()),
            Some(id) => {
                Err(Finding::new(ONCE, format!("{} are missing, the first of them {id}", missing.len())))
            }
        }
    }
}

/// Mostly on several cores.
pub(super) fn scenario() -> Scenario {
    let body = |world: &mut World, options: &Options| {
        let work = Levels::new(world);
        endure(world, options, &work, Tolerance::Faults)
    };
    Scenario {
        name: "levels",
        about: "the watermark that a process function sees, where splits fall silent",
        planted: false,
        is_job: true,
        config: with_stalls,
        body: Box::new(body),
    }
}
