//! Two sources of several splits each: exact while no split is called idle, and otherwise never a record lost,
//! counted twice, or a window fired twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::time::millis;
use millstream::window::Tumbling;

use super::data::{Event, Ids, Row, events, outside};
use super::expected::Expected;
use super::windows::sound;
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::random::Random;
use crate::world::World;

pub(super) struct Union {
    marks: Watermarks,
    size: u64,
    feeds: [Feed<Event>; 2],
    /// Without splits that are called idle nothing is late.
    exact: bool,
    ids: BTreeSet<u64>,
    rows: Collected<Row<Vec<u64>>>,
    late: Collected<Event>,
    expected: Expected<Row<Vec<u64>>>,
}

impl Union {
    pub(super) fn new(world: &World) -> Union {
        Union::draw(world, true)
    }

    pub(super) fn idle(world: &World) -> Union {
        Union::draw(world, false)
    }

    fn draw(world: &World, exact: bool) -> Union {
        let mut random = world.streams().stream("workload");
        let disorder = random.magnitude(200);
        let splits = [splits(&mut random, disorder, 0), splits(&mut random, disorder, 1 << 32)];
        let longest = Duration::from_micros(random.magnitude(100_000));
        let marks = Watermarks::bounded(millis(disorder));
        let idle_after = if exact { 1 << 40 } else { random.magnitude(20_000) };
        let (one_in, size) = (random.range(2, 20), random.magnitude(1000));
        let mut work = Union {
            marks: marks.idle_after(Duration::from_micros(idle_after)),
            size,
            feeds: splits.clone().map(|splits| Feed::new(splits).pausing(one_in, longest)),
            exact,
            ids: splits.iter().flatten().flatten().map(|event| event.id).collect(),
            rows: Collected::new(outside(&mut random)),
            late: Collected::new(outside(&mut random)),
            expected: Expected::new("rows", Row::name, Vec::new()),
        };
        let [left, right] = splits;
        let inputs = Inputs::new().with("left", move || left.clone()).with("right", move || right.clone());
        work.expected = Expected::new("rows", Row::name, work.job().expected("rows", &inputs));
        work
    }

    /// Every record is in one window or late, and every window fires once.
    fn check_accounts(&self, done: bool) -> Result<(), Finding> {
        let rule = "every record is in one result, or late";
        let mut fates = BTreeMap::<u64, u32>::new();
        let (rows, late) = (self.rows.committed(), self.late.committed());
        let fired = rows.iter().flat_map(|row| row.value.iter().copied());
        fired.chain(late.iter().map(|event| event.id)).for_each(|id| *fates.entry(id).or_default() += 1);
        if let Some((id, count)) = fates.iter().find(|(_, count)| **count != 1) {
            return Err(Finding::new(rule, format!("record {id} came out {count} times")));
        }
        match self.ids.iter().find(|id| !fates.contains_key(id)).filter(|_| done) {
            Some(id) => Err(Finding::new(rule, format!("record {id} came out nowhere"))),
            None => Ok(()),
        }
    }
}

/// Up to four splits with ids of their own, which begin about the same time.
fn splits(random: &mut Random, disorder: u64, first: u64) -> Vec<Vec<Event>> {
    let count = random.range(1, 4);
    let split = |k| {
        let mut events = events(random, disorder);
        events.iter_mut().for_each(|event| event.id += first + (k << 16));
        events
    };
    (0..count).map(split).collect()
}

impl Work for Union {
    fn job(&self) -> Job {
        let job = Job::new("union");
        let [left, right] = &self.feeds;
        let left = job.source("left", left.clone()).event_time(|event| event.time, self.marks);
        let right = job.source("right", right.clone()).event_time(|event| event.time, self.marks);
        let rows = left
            .union("both", right)
            .key_by(|event| event.key)
            .window(Tumbling::of(millis(self.size)))
            .aggregate("ids", Ids);
        rows.late().sink("late", self.late.clone());
        rows.map(Row::new).sink("rows", self.rows.clone());
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.rows)?;
        sound(&self.late)?;
        self.check_accounts(done)?;
        if self.exact { self.expected.check(self.rows.committed(), done) } else { Ok(()) }
    }
}
