//! Windows with triggers and evictors, over one split: out of order, some of it late. In some worlds their state is larger
//! than memory.

use std::time::Duration;

use millstream::aggregate::Aggregate;
use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::stream::TriggeredStream;
use millstream::stream::chain::Chain;
use millstream::time::millis;
use millstream::window::evict::{Evict, KeepLast};
use millstream::window::trigger::{Count, Every, Trigger};
use millstream::window::{Assign, Cumulative, Global, Session, Sliding};

use super::data::{Event, events, feed, outside};
use super::expected::Expected;
use super::windows::{Shape, sound};
use super::windows_pool::{HeavyPool, Pool, Span};
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::random::Random;
use crate::world::World;

/// What the windows are, and when they fire.
#[derive(Clone, Copy)]
enum Kind {
    /// Sessions, after so many records, purging.
    Sessions(u64),
    /// Windows that overlap, every so often, purging.
    Hops(Duration),
    /// Windows that grow, every so often: several of a key wait for the same times.
    Growing(Duration),
    /// The last so many records, after so many.
    Last(usize, u64),
}

impl Kind {
    fn draw(random: &mut Random) -> Kind {
        match random.below(4) {
            0 => Kind::Sessions(random.magnitude(6)),
            1 => Kind::Hops(millis(random.range(1, 100))),
            2 => Kind::Growing(millis(random.range(1, 100))),
            _ => Kind::Last(random.magnitude(20) as usize, random.magnitude(8)),
        }
    }
}

pub(super) struct Triggers {
    shape: Shape,
    kind: Kind,
    step: Duration,
    lateness: Duration,
    /// The weight of an accumulator and the memory for all of them, if that is limited.
    limited: Option<(usize, u64)>,
    feed: Feed<Event>,
    rows: Collected<Span>,
    late: Collected<Event>,
    expected_rows: Expected<Span>,
    expected_late: Expected<Event>,
}

impl Triggers {
    pub(super) fn new(world: &World) -> Triggers {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let events = events(&mut random, shape.disorder);
        // Of many windows of a key some lie together in a record of the store, which with so little memory takes 16 kB.
        let limited = (random.one_in(3)).then(|| (random.range(50, 300).min(180) as usize, 768 << 10));
        let mut work = Triggers {
            shape,
            kind: Kind::draw(&mut random),
            step: millis(random.magnitude(300)),
            lateness: millis(if random.coin() { 0 } else { random.magnitude(300) }),
            limited,
            feed: feed(&mut random, vec![events.clone()]),
            rows: Collected::new(outside(&mut random)),
            late: Collected::new(outside(&mut random)),
            expected_rows: Expected::new("rows", Span::name, Vec::new()),
            expected_late: Expected::new("late", Event::name, Vec::new()),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        let job = work.job();
        work.expected_rows = Expected::new("rows", Span::name, job.expected("rows", &inputs));
        work.expected_late = Expected::new("late", Event::name, job.expected("late", &inputs));
        work
    }

    /// All records of each window.
    fn kept<C, F, W, Tr, E>(&self, stream: TriggeredStream<u64, Event, C, F, W, Tr, E>)
    where
        C: Chain<Out = Event>,
        F: Fn(&Event) -> u64 + Clone + Send + 'static,
        W: Assign<Event>,
        Tr: Trigger<Event>,
        E: Evict<Event>,
    {
        let pooled = stream.process("pool", |cx, records| {
            let mut acc = <Pool as Aggregate>::Acc::default();
            records.for_each(|event| Pool.add(&mut acc, &event));
            [Span { key: *cx.key, start: cx.window.start, end: cx.window.end, value: Pool.finish(&acc) }]
        });
        pooled.late().sink("late", self.late.clone());
        pooled.sink("rows", self.rows.clone());
    }

    /// An accumulator for each window, or all of its records.
    fn computed<C, F, W, Tr>(&self, stream: TriggeredStream<u64, Event, C, F, W, Tr>)
    where
        C: Chain<Out = Event>,
        F: Fn(&Event) -> u64 + Clone + Send + 'static,
        W: Assign<Event>,
        Tr: Trigger<Event>,
    {
        let Some((weight, _)) = self.limited else { return self.kept(stream) };
        let pooled = stream.aggregate("pool", HeavyPool { weight });
        pooled.late().sink("late", self.late.clone());
        pooled.map(Span::new).sink("rows", self.rows.clone());
    }
}

impl Work for Triggers {
    fn job(&self) -> Job {
        let job = Job::new("triggers");
        let (step, lateness) = (self.step, self.lateness);
        let keyed = job
            .source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.shape.bound))
            .key_by(|event| event.key);
        match self.kind {
            Kind::Sessions(n) => {
                let windows = Session::with_gap(step).allow_late(lateness);
                self.computed(keyed.window(windows).trigger(Count::of(n)).discarding());
            }
            Kind::Hops(every) => {
                let windows = Sliding::of(3 * step, step).allow_late(lateness);
                self.computed(keyed.window(windows).trigger(Every::event_time(every)).discarding());
            }
            Kind::Growing(every) => {
                let windows = Cumulative::of(4 * step, step).allow_late(lateness);
                self.computed(keyed.window(windows).trigger(Every::event_time(every)));
            }
            Kind::Last(n, slide) => {
                self.kept(keyed.window(Global).trigger(Count::of(slide)).evict(KeepLast(n)));
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
}
