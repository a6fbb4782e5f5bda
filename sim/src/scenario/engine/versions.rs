//! A job whose state becomes another type in mid-life: in hundredths what was in units, at the same size.

use std::cell::Cell;

use millstream::job::Job;
use millstream::prelude::{Context, Declare, List, Map, Migrate, Process, Timeline, Value};
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::state::StateValue;

use super::data::{Event, events, feed, outside};
use super::expected::Expected;
use super::windows::{Shape, sound};
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::world::World;

/// Version 1.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Units(u64);

/// Version 2.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Hundredths(u64);

impl Migrate<Units> for Hundredths {
    fn migrate(old: Units) -> Hundredths {
        Hundredths(old.0 * 100)
    }
}

/// What a version counts in.
trait Unit: StateValue + Copy + Default + Send {
    fn of(units: u64) -> Self;
    fn units(self) -> u64;
    /// The states as this version declares them.
    fn declared(states: States<Self>) -> States<Self>;
}

impl Unit for Units {
    fn of(units: u64) -> Units {
        Units(units)
    }
    fn units(self) -> u64 {
        self.0
    }
    fn declared(states: States<Units>) -> States<Units> {
        states
    }
}

impl Unit for Hundredths {
    fn of(units: u64) -> Hundredths {
        Hundredths(100 * units)
    }
    fn units(self) -> u64 {
        // What is no multiple was never written by it.
        if self.0.is_multiple_of(100) { self.0 / 100 } else { u64::MAX }
    }
    fn declared(States { sum, all, by_value, line }: States<Hundredths>) -> States<Hundredths> {
        States {
            sum: sum.version(2).upgrades::<Units>(1),
            all: all.version(2).upgrades::<Units>(1),
            by_value: by_value.version(2).upgrades::<Units>(1),
            line: line.version(2).upgrades::<Units>(1),
        }
    }
}

struct States<U> {
    sum: Value<U>,
    all: List<U>,
    by_value: Map<u64, U>,
    line: Timeline<U>,
}

/// Adds up the values of a key in every kind of state.
#[derive(Clone)]
struct Add<U>(std::marker::PhantomData<fn() -> U>);

/// A key, a record, and what each state has come to.
type Told = (u64, u64, [u64; 4]);

impl<U: Unit> Process for Add<U> {
    type Key = u64;
    type In = Event;
    type Out = Told;
    type State = States<U>;

    fn declare(&self, state: &mut Declare) -> States<U> {
        U::declared(States {
            sum: state.value("sum"),
            all: state.list("all"),
            by_value: state.map("by value"),
            line: state.timeline("line"),
        })
    }

    fn on_record(&mut self, event: Event, state: &States<U>, cx: &mut Context<'_, Self>) {
        let more = |before: Option<U>| U::of(before.map_or(0, U::units).saturating_add(event.value));
        let (sum, place) = (more(state.sum.load(cx)), event.value % 5);
        state.sum.set(cx, &sum);
        state.all.push(cx, &U::of(event.value));
        let of_value = more(state.by_value.load(cx, &place));
        state.by_value.put(cx, &place, &of_value);
        state.line.insert(cx, event.time, &U::of(event.value));
        let total =
            |units: &mut dyn Iterator<Item = U>| units.fold(0_u64, |n, u| n.saturating_add(u.units()));
        let all = total(&mut state.all.load(cx).into_iter());
        let by_value = total(&mut (0..5).filter_map(|place| state.by_value.load(cx, &place)));
        let line = total(&mut state.line.range(cx, ..).map(|(_, units)| U::thaw(units)));
        cx.emit((event.key, event.id, [sum.units(), all, by_value, line]));
    }
}

pub(super) struct Versions {
    shape: Shape,
    feed: Feed<Event>,
    told: Collected<Told>,
    expected: Expected<Told>,
    /// Processes that were started, and the first of them with the second version.
    started: Cell<u64>,
    second_from: u64,
}

impl Versions {
    pub(super) fn new(world: &World) -> Versions {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let events = events(&mut random, shape.disorder);
        let mut work = Versions {
            shape,
            feed: feed(&mut random, vec![events.clone()]),
            told: Collected::new(outside(&mut random)),
            expected: Expected::new("told", |told| told.0.to_string(), Vec::new()),
            started: Cell::new(0),
            second_from: random.range(1, 5),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        let told = work.version::<Units>().expected("told", &inputs);
        work.expected = Expected::new("told", |told| told.0.to_string(), told);
        work
    }

    fn version<U: Unit>(&self) -> Job {
        let job = Job::new("versions");
        job.source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.shape.bound))
            .key_by(|event| event.key)
            .process("add", Add::<U>(std::marker::PhantomData))
            .sink("told", self.told.clone());
        job
    }
}

impl Work for Versions {
    fn job(&self) -> Job {
        let before = self.started.replace(self.started.get() + 1);
        if before < self.second_from { self.version::<Units>() } else { self.version::<Hundredths>() }
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.told)?;
        self.expected.check(self.told.committed(), done)
    }
}
