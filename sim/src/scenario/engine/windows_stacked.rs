//! Windows over the results of windows: what fires at a watermark goes ahead of it, or it is late behind it.

use std::time::Duration;

use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::time::millis;
use millstream::window::{Tumbling, Windowed};

use super::data::{Event, Ids, Row, Total, events, feed, outside};
use super::expected::Expected;
use super::windows::sound;
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::trace::mix;
use crate::world::World;

pub(super) struct Stacked {
    bound: Duration,
    /// Of the windows, and how many of those one of the second has.
    size: u64,
    times: u64,
    feed: Feed<Event>,
    rows: Collected<Row<Vec<u64>>>,
    late: Collected<Event>,
    expected: Expected<Row<Vec<u64>>>,
}

/// A result, as a record of one of a few keys.
fn event(result: Windowed<u64, [u64; 3]>) -> Event {
    let Windowed { key, window, value: [_, sum, chain] } = result;
    Event {
        id: mix(chain, mix(key, window.start as u64)),
        key: key % 3,
        time: window.max_timestamp(),
        value: sum,
    }
}

impl Stacked {
    pub(super) fn new(world: &World) -> Stacked {
        let mut random = world.streams().stream("workload");
        let disorder = random.magnitude(200);
        let events = events(&mut random, disorder);
        let mut work = Stacked {
            bound: millis(random.below(disorder + 1)),
            size: random.magnitude(300),
            times: random.range(1, 4),
            feed: feed(&mut random, vec![events.clone()]),
            rows: Collected::new(outside(&mut random)),
            late: Collected::new(outside(&mut random)),
            expected: Expected::new("rows", Row::name, Vec::new()),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        work.expected = Expected::new("rows", Row::name, work.job().expected("rows", &inputs));
        work
    }
}

impl Work for Stacked {
    fn job(&self) -> Job {
        let job = Job::new("stacked");
        let again = job
            .source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.bound))
            .key_by(|event| event.key)
            .window(Tumbling::of(millis(self.size)))
            .aggregate("totals", Total)
            .map(event)
            .key_by(|event| event.key)
            .window(Tumbling::of(millis(self.size * self.times)))
            .aggregate("ids", Ids);
        again.late().sink("late", self.late.clone());
        again.map(Row::new).sink("rows", self.rows.clone());
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.rows)?;
        if let Some(late) = self.late.committed().first() {
            let rule = "the results of windows are not late for the windows behind them";
            return Err(Finding::new(rule, format!("{late:?}, of the window up to {}", late.time)));
        }
        self.expected.check(self.rows.committed(), done)
    }
}
