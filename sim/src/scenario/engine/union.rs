//! Two sources of several splits each: exact while no split is called idle, and otherwise never a record lost,
//! counted twice, or a window fired twice for the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::time::millis;
use millstream::window::{Session, Tumbling};

use super::data::{Event, Ids, Row, events, outside};
use super::expected::Expected;
use super::windows::sound;
use super::{Finding, Options, Scenario, Tolerance, Work, endure, survivable};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::faults::Spells;
use crate::feed::Feed;
use crate::random::{Random, Streams};
use crate::world::{World, WorldConfig};

pub(super) struct Union {
    marks: Watermarks,
    window: Tumbling,
    /// Instead of the window.
    session: Option<Session>,
    feeds: [Feed<Event>; 2],
    /// Without splits that are called idle nothing is late.
    exact: bool,
    movable: &'static [&'static str],
    ids: BTreeSet<u64>,
    rows: Collected<Row<Vec<u64>>>,
    late: Collected<Event>,
    expected: Expected<Row<Vec<u64>>>,
}

impl Union {
    pub(super) fn new(world: &World) -> Union {
        Union::draw(world, true)
    }

    fn idle(world: &World) -> Union {
        Union::draw(world, false)
    }

    fn draw(world: &World, exact: bool) -> Union {
        let mut random = world.streams().stream("workload");
        let disorder = random.magnitude(200);
        let mut splits = [splits(&mut random, disorder, 0), splits(&mut random, disorder, 1 << 32)];
        // One split is far behind all others, and it alone falls silent often: then those are waited for no more, and
        // when it comes back they have moved on without it.
        let aimed = !exact && random.below(4) > 0;
        if aimed {
            splits[1].truncate(1);
            let behind = random.magnitude(300) as i64;
            splits[1].iter_mut().flatten().for_each(|event| event.time -= behind);
        }
        let longest = Duration::from_micros(random.magnitude(100_000));
        let marks = Watermarks::bounded(millis(disorder));
        let idle_after = if exact { 1 << 40 } else { random.magnitude(20_000) };
        let (one_in, size) = (random.range(2, 20), random.magnitude(1000));
        let idle_after = if aimed { random.range(100, 2000) } else { idle_after };
        let pauses = match aimed {
            false => [(one_in, longest), (one_in, longest)],
            true => [(2, Duration::from_micros(idle_after)), (3, Duration::from_micros(idle_after * 4))],
        };
        let lateness = if random.coin() { 0 } else { random.magnitude(500) };
        let mut work = Union {
            marks: marks.idle_after(Duration::from_micros(idle_after)),
            window: Tumbling::of(millis(size)).allow_late(millis(lateness)),
            feeds: [0, 1].map(|side| {
                let (one_in, longest) = pauses[side];
                Feed::new(splits[side].clone()).pausing(one_in, longest)
            }),
            session: None,
            exact,
            movable: &[],
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

    /// A window that comes out again has grown, and in the end every record came out in its window or as late.
    fn check_accounts(&self, done: bool) -> Result<(), Finding> {
        let (rows, late) = (self.rows.committed(), self.late.committed());
        let mut windows = BTreeMap::<(u64, i64, usize), BTreeSet<u64>>::new();
        for (at, Row { key, start, value }) in rows.into_iter().enumerate() {
            // A session never comes out again. Another may begin where one began that is over.
            let nth = if self.session.is_some() { at } else { 0 };
            let new: BTreeSet<u64> = value.into_iter().collect();
            let old = windows.entry((key, start, nth)).or_default();
            if !(old.is_subset(&new) && old.len() < new.len()) {
                let seen = format!("key {key}, window {start}: {new:?} after {old:?}");
                return Err(Finding::new("a window that comes out again has grown", seen));
            }
            *old = new;
        }
        let rule = "every record is in one window, or late";
        let mut left = self.ids.clone();
        let fates = windows.into_values().flatten().chain(late.iter().map(|event| event.id));
        if let Some(id) = fates.into_iter().find(|id| !left.remove(id)) {
            return Err(Finding::new(rule, format!("record {id} came out twice")));
        }
        match left.first().filter(|_| done) {
            Some(id) => Err(Finding::new(rule, format!("record {id} came out nowhere"))),
            None => Ok(()),
        }
    }
}

/// A world where cores often stand still for a moment. Then they look at their channels in other orders than the rest,
/// and so reach other watermarks while a split is idle for a short time.
pub(super) fn with_stalls(streams: &Streams) -> WorldConfig {
    let mut config = survivable(streams);
    let mut random = streams.stream("stalls");
    if random.below(4) > 0 {
        let mut micros = |most| Duration::from_micros(random.magnitude(most));
        config.plan.stall = Some(Spells { gap: micros(20_000), length: micros(20_000) });
    }
    config
}

/// Sources that fall silent for longer than they may, mostly on several cores.
pub(super) fn idle_scenario() -> Scenario {
    idle("idle", "sources that fall silent for longer than they may", &[], false)
}

/// The same, where keys are on other cores after each crash, although the number of cores stays.
pub(super) fn narrow_scenario() -> Scenario {
    let about = "silent sources, and a window or sessions on other cores each time";
    idle("narrow_idle", about, &["left", "ids"], true)
}

fn idle(
    name: &'static str,
    about: &'static str,
    movable: &'static [&'static str],
    sessions: bool,
) -> Scenario {
    let body = move |world: &mut World, options: &Options| {
        let mut work = Union { movable, ..Union::idle(world) };
        let mut random = world.streams().stream("sessions");
        if sessions && random.coin() {
            // No lateness is allowed, so that no record joins a session that is out: each is in one of them, or late.
            work.session = Some(Session::with_gap(millis(random.magnitude(1000))));
        }
        let cores = world.streams().stream("cores").range(1, 4) as usize;
        let cores = options.cores.or(Some(cores).filter(|cores| *cores > 1));
        endure(world, &Options { cores, ..*options }, &work, Tolerance::Faults)
    };
    Scenario { name, about, planted: false, is_job: true, config: with_stalls, body: Box::new(body) }
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
        let both = left.union("both", right).key_by(|event| event.key);
        let rows = match &self.session {
            None => both.window(self.window).aggregate("ids", Ids),
            Some(session) => both.window(session.clone()).aggregate("ids", Ids),
        };
        rows.late().sink("late", self.late.clone());
        rows.map(Row::new).sink("rows", self.rows.clone());
        job
    }

    fn ring_depth(&self) -> Option<usize> {
        // What is late to be looked at is not held back at its source.
        (!self.exact).then_some(64)
    }

    fn movable(&self) -> &[&str] {
        self.movable
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.rows)?;
        sound(&self.late)?;
        self.check_accounts(done)?;
        if self.exact { self.expected.check(self.rows.committed(), done) } else { Ok(()) }
    }
}
