//! Windows that merge what they have, slices and sessions, over one split: out of order, some of it late for some windows,
//! and some for all. In some worlds their state is larger than memory.

use std::time::Duration;

use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::stream::Windows as Cut;
use millstream::time::millis;
use millstream::window::{Cumulative, Session, Sliding};

use super::data::{Event, events, feed, outside};
use super::expected::Expected;
use super::replays::Replayed;
use super::windows::{Shape, sound};
use super::windows_pool::{HeavyPool, Pool, Span};
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::random::Random;
use crate::world::World;

/// What the windows are.
#[derive(Clone)]
enum Kind {
    Sliding(Sliding),
    Cumulative(Cumulative),
    Session(Session),
    /// Sessions whose gap depends on the record: of up to so many milliseconds.
    Uneven(u64, Duration),
}

impl Kind {
    fn sessions(random: &mut Random) -> Kind {
        let (gap, lateness) = (random.magnitude(300), lateness(random));
        match random.below(3) {
            0 => Kind::Uneven(gap, lateness),
            _ => Kind::Session(Session::with_gap(millis(gap)).allow_late(lateness)),
        }
    }

    fn slices(random: &mut Random) -> Kind {
        let step = random.magnitude(300);
        let times = random.magnitude(12);
        let lateness = lateness(random);
        let offset = random.below(step * times) as i64;
        match random.below(3) {
            0 => {
                let windows = Cumulative::of(millis(step * times), millis(step));
                Kind::Cumulative(windows.offset_millis(offset).allow_late(lateness))
            }
            // Mostly a multiple of the slide, so that slices are not single milliseconds.
            kind => {
                let grain = if kind == 1 { step } else { random.range(1, step) };
                let windows = Sliding::of(millis(grain * times), millis(step));
                Kind::Sliding(windows.offset_millis(offset).allow_late(lateness))
            }
        }
    }
}

fn lateness(random: &mut Random) -> Duration {
    millis(if random.coin() { 0 } else { random.magnitude(300) })
}

pub(super) struct Merging {
    shape: Shape,
    kind: Kind,
    /// The weight of an accumulator and the memory for all of them, if that is limited.
    limited: Option<(usize, u64)>,
    feed: Feed<Event>,
    rows: Collected<Span>,
    late: Collected<Event>,
    expected_rows: Expected<Span>,
    expected_late: Expected<Event>,
}

impl Merging {
    pub(super) fn slices(world: &World) -> Merging {
        Merging::new(world, Kind::slices)
    }

    pub(super) fn sessions(world: &World) -> Merging {
        Merging::new(world, Kind::sessions)
    }

    fn new(world: &World, kind: fn(&mut Random) -> Kind) -> Merging {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let mut events = events(&mut random, shape.disorder);
        let limited = (random.one_in(3)).then(|| (random.range(50, 200) as usize, 512 << 10));
        if limited.is_some() {
            // What one key has must fit into memory, and its sessions into a segment.
            events.iter_mut().for_each(|event| event.key = random.below(600));
        }
        let mut work = Merging {
            shape,
            kind: kind(&mut random),
            limited,
            feed: feed(&mut random, vec![events.clone()]),
            rows: Collected::new(outside(&mut random)).shown(),
            late: Collected::new(outside(&mut random)).shown(),
            expected_rows: Expected::new("rows", Span::name, Vec::new()),
            expected_late: Expected::new("late", Event::name, Vec::new()),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        let job = work.job();
        work.expected_rows = Expected::new("rows", Span::name, job.expected("rows", &inputs));
        work.expected_late = Expected::new("late", Event::name, job.expected("late", &inputs));
        work
    }

    fn compute<W: Cut<Pool> + Cut<HeavyPool>>(&self, job: &Job, windows: W) {
        let keyed = job
            .source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.shape.bound))
            .key_by(|event| event.key)
            .window(windows);
        let pooled = match self.limited {
            None => keyed.aggregate("pool", Pool),
            Some((weight, _)) => keyed.aggregate("pool", HeavyPool { weight }),
        };
        pooled.late().sink("late", self.late.clone());
        pooled.map(Span::new).sink("rows", self.rows.clone());
    }
}

impl Work for Merging {
    fn job(&self) -> Job {
        let job = Job::new("merging");
        match self.kind.clone() {
            Kind::Sliding(windows) => self.compute(&job, windows),
            Kind::Cumulative(windows) => self.compute(&job, windows),
            Kind::Session(windows) => self.compute(&job, windows),
            Kind::Uneven(most, lateness) => {
                let gap = move |event: &Event| millis(event.value % most);
                self.compute(&job, Session::with_gap_of(gap).allow_late(lateness));
            }
        }
        job
    }

    fn memory(&self) -> Option<u64> {
        self.limited.map(|(_, memory)| memory)
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
