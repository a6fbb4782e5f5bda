//! Requests that take their time, fail and are not answered in time, between a source and a window.

use std::io;
use std::time::Duration;

use millstream::async_map::{AsyncContext, AsyncOptions, Retry};
use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::time::{hours, millis};

use super::data::{Event, Ids, Row, events, feed, outside};
use super::expected::Expected;
use super::windows::{Shape, sound};
use super::{Finding, Options, Scenario, Tolerance, Work, endure, survivable};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::random::Random;
use crate::trace::mix;
use crate::world::World;

/// The value of what was not answered in time.
const NO_ANSWER: u64 = u64::MAX;

/// A service outside: what it does follows from the record and the attempt.
#[derive(Clone, Copy)]
struct Service {
    salt: u64,
    /// The longest that an attempt takes which is answered, in microseconds.
    longest: u64,
    /// The attempts that may fail before one succeeds.
    fails: u32,
    /// One in so many records is never answered in time.
    silent: u64,
}

impl Service {
    /// Longer than any answer takes, although the clock may be late by a part of a millisecond.
    fn timeout(self) -> Duration {
        Duration::from_micros(4 * self.longest) + millis(1)
    }

    async fn ask(self, event: Event, cx: AsyncContext) -> io::Result<Event> {
        let drawn = mix(self.salt, event.id);
        if drawn.is_multiple_of(self.silent) {
            // A core that stands still for a while does not miss the end of the time.
            cx.sleep(hours(10)).await;
            return Ok(event);
        }
        let time = mix(drawn, u64::from(cx.attempt()));
        // One in three answers at once.
        if !time.is_multiple_of(3) {
            cx.sleep(Duration::from_micros(time % self.longest)).await;
        }
        if u64::from(cx.attempt()) < drawn % u64::from(self.fails + 1) {
            return Err(io::Error::other("overloaded"));
        }
        Ok(Event { value: event.value + 1, ..event })
    }
}

pub(super) struct Requests {
    shape: Shape,
    service: Service,
    options: AsyncOptions<Event, Event>,
    /// Every process has this number of cores: then everything is exact, also what is late.
    cores: Option<usize>,
    feed: Feed<Event>,
    answers: Collected<Event>,
    rows: Collected<Row<Vec<u64>>>,
    late: Collected<Event>,
    expected_answers: Expected<Event>,
    expected_rows: Expected<Row<Vec<u64>>>,
    expected_late: Expected<Event>,
}

impl Requests {
    fn new(world: &World) -> Requests {
        let mut random = world.streams().stream("workload");
        let (ordered, steady) = (random.coin(), random.coin());
        let cores = steady.then(|| random.range(1, 4) as usize);
        let service = Service {
            salt: random.next(),
            longest: random.magnitude(30_000),
            fails: random.below(3) as u32,
            silent: random.range(5, 200),
        };
        let shape = shape(&mut random, ordered, steady);
        let events = events(&mut random, shape.disorder);
        // Of records in no order each has one of its own.
        let by: fn(&Event) -> String =
            if ordered && steady { Event::name } else { |event| event.id.to_string() };
        let mut work = Requests {
            shape,
            service,
            options: options(&mut random, ordered, service),
            cores,
            feed: feed(&mut random, vec![events.clone()]),
            answers: Collected::new(outside(&mut random)),
            rows: Collected::new(outside(&mut random)),
            late: Collected::new(outside(&mut random)),
            expected_answers: Expected::new("answers", by, Vec::new()),
            expected_rows: Expected::new("rows", Row::name, Vec::new()),
            expected_late: Expected::new("late", by, Vec::new()),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        let job = work.job();
        work.expected_answers = Expected::new("answers", by, job.expected("answers", &inputs));
        work.expected_rows = Expected::new("rows", Row::name, job.expected("rows", &inputs));
        work.expected_late = Expected::new("late", by, job.expected("late", &inputs));
        work
    }
}

/// Where results may come in another order within two watermarks, no window fires for a single late record; where records
/// in flight go to other cores, whose watermarks they hold back, none is late.
fn shape(random: &mut Random, ordered: bool, steady: bool) -> Shape {
    let mut shape = Shape::draw(random);
    if !ordered || !steady {
        shape.window = shape.window.allow_late(Duration::ZERO);
    }
    if !steady {
        shape.bound = millis(shape.disorder);
    }
    shape
}

fn options(random: &mut Random, ordered: bool, service: Service) -> AsyncOptions<Event, Event> {
    let options = if ordered { AsyncOptions::ordered() } else { AsyncOptions::unordered() };
    let (retries, delay) =
        (service.fails + random.below(2) as u32, Duration::from_micros(random.magnitude(10_000)));
    let retry = if random.coin() { Retry::fixed(retries, delay) } else { Retry::exponential(retries, delay) };
    let instead = |event: Event| (!event.id.is_multiple_of(2)).then_some(Event { value: NO_ANSWER, ..event });
    options
        .capacity(random.magnitude(100) as usize)
        .timeout(service.timeout())
        .retry(retry.at_most(Duration::from_millis(20)))
        .on_timeout(instead)
}

pub(super) fn scenario() -> Scenario {
    let body = |world: &mut World, options: &Options| {
        let work = Requests::new(world);
        let cores = options.cores.or(work.cores);
        endure(world, &Options { cores, ..*options }, &work, Tolerance::Faults)
    };
    Scenario {
        name: "async",
        about: "requests that take their time and fail, before a window",
        planted: false,
        is_job: true,
        config: survivable,
        body: Box::new(body),
    }
}

impl Work for Requests {
    fn job(&self) -> Job {
        let job = Job::new("async");
        let (events, service) = (job.source("events", self.feed.clone()), self.service);
        let answers = events.event_time(|event| event.time, Watermarks::bounded(self.shape.bound)).async_map(
            "ask",
            self.options.clone(),
            move |event, cx| service.ask(event, cx),
        );
        answers.clone().sink("answers", self.answers.clone());
        let rows = answers.key_by(|event| event.key).window(self.shape.window).aggregate("ids", Ids);
        rows.late().sink("late", self.late.clone());
        rows.map(Row::new).sink("rows", self.rows.clone());
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.answers)?;
        sound(&self.rows)?;
        sound(&self.late)?;
        self.expected_answers.check(self.answers.committed(), done)?;
        self.expected_rows.check(self.rows.committed(), done)?;
        self.expected_late.check(self.late.committed(), done)
    }
}
