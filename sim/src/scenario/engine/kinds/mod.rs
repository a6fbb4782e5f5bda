//! A process function with every kind of state, under a TTL of any sort.
//!
//! What expires depends on when a record is processed, which no reference can foretell. So each result says by which
//! time it was made, and a digest of all that the state returned; a [model](model) of ordered maps then does the same
//! by those times, record by record, and must come to the same digests. Which results there are, and in which order,
//! does not depend on the clock: that the reference interpreter tells.

mod model;
mod process;

use std::collections::BTreeMap;

use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;

use super::data::{Event, events, feed, outside};
use super::expected::Expected;
use super::process::key_of;
use super::windows::{Shape, sound};
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::random::Random;
use crate::trace::mix;
use crate::world::World;

use model::Model;
use process::Everything;

/// A result: of which key, of which record or timer, when, by what time, and a digest of the state.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Told {
    key: String,
    what: What,
    /// By which state expires.
    now: i64,
    digest: u64,
}

/// What a result is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum What {
    /// The number of a record.
    Record(u64),
    /// The time of a timer.
    Timer(i64),
}

/// What lets an entry live on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prolonged {
    Never,
    ByWrites,
    ByReads,
}

/// The TTL of each state, in milliseconds, how many entries its map has at most, how much a record adds to each
/// collection, and how long notes are.
#[derive(Clone, Copy, Debug)]
struct Settings {
    value: Option<(i64, Prolonged)>,
    list: Option<(i64, Prolonged)>,
    map: Option<(i64, Prolonged)>,
    width: u64,
    burst: u64,
    note: u64,
}

impl Settings {
    fn draw(random: &mut Random) -> Settings {
        let mut ttl = || {
            let prolonged = *random.pick(&[Prolonged::Never, Prolonged::ByWrites, Prolonged::ByReads]);
            (random.below(4) > 0).then(|| (random.magnitude(20_000) as i64, prolonged))
        };
        let (value, list, map) = (ttl(), ttl(), ttl());
        Settings { value, list, map, width: *random.pick(&[5, 100, 1000]), burst: 1, note: 20 }
    }

    /// For many keys under a limit of memory: more of each, but of none so much that it is a tenth of the memory.
    fn draw_large(random: &mut Random) -> Settings {
        let settings = Settings::draw(random);
        Settings { width: settings.width.min(100), burst: random.range(1, 12), note: 200, ..settings }
    }
}

/// What a call does to a digest.
fn digest(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, mix)
}

pub(super) struct Kinds {
    shape: Shape,
    settings: Settings,
    memory: Option<u64>,
    events: BTreeMap<u64, Event>,
    feed: Feed<Event>,
    told: Collected<Told>,
    expected: Expected<(String, What)>,
}

impl Kinds {
    pub(super) fn new(world: &World) -> Kinds {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let mut events = events(&mut random, shape.disorder);
        // A few keys, so that each has much.
        let keys = *random.pick(&[1, 3, 40]);
        events.iter_mut().for_each(|event| event.key %= keys);
        let settings = Settings::draw(&mut random);
        Kinds::of(random, shape, settings, events, None)
    }

    /// As many keys that memory is short, on one core at least.
    pub(super) fn crowded(world: &World) -> Kinds {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let mut events = events(&mut random, shape.disorder);
        let keys = random.range(50, 500);
        events.iter_mut().for_each(|event| event.key = random.below(keys));
        let settings = Settings::draw_large(&mut random);
        let memory = *random.pick(&[256 << 10, 256 << 10, 384 << 10]);
        Kinds::of(random, shape, settings, events, Some(memory))
    }

    fn of(
        mut random: Random,
        shape: Shape,
        settings: Settings,
        events: Vec<Event>,
        memory: Option<u64>,
    ) -> Kinds {
        let mut work = Kinds {
            shape,
            settings,
            memory,
            events: events.iter().map(|event| (event.id, event.clone())).collect(),
            feed: feed(&mut random, vec![events.clone()]),
            told: Collected::new(outside(&mut random)),
            expected: Expected::new("told", |told| told.0.clone(), Vec::new()),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        let told = work.job().expected::<Told>("told", &inputs);
        let order = told.into_iter().map(|told| (told.key, told.what)).collect();
        work.expected = Expected::new("told", |told| told.0.clone(), order);
        work
    }

    /// Does by plain maps what the process did, and compares.
    fn replay(&self, told: &[Told]) -> Result<(), Finding> {
        let mut models: BTreeMap<&str, Model> = BTreeMap::new();
        for told in told {
            let model = models.entry(&told.key).or_insert_with(|| Model::new(self.settings));
            if told.now < model.now {
                let seen = format!("{told:?} came after time {}", model.now);
                return Err(Finding::new("the time by which state expires does not run backwards", seen));
            }
            model.now = told.now;
            let digest = match told.what {
                What::Record(id) => model.on_record(&self.events[&id]),
                What::Timer(at) => model.on_timer(at),
            };
            if digest != told.digest {
                let rule = "state returns what plain maps return";
                return Err(Finding::new(rule, format!("{told:?}, but the digest is {digest}: {model:?}")));
            }
        }
        Ok(())
    }
}

impl Work for Kinds {
    fn job(&self) -> Job {
        let job = Job::new("kinds");
        job.source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.shape.bound))
            .key_by(key_of)
            .process("everything", Everything { settings: self.settings })
            .sink("told", self.told.clone());
        job
    }

    fn memory(&self) -> Option<u64> {
        self.memory
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.told)?;
        let told = self.told.committed();
        self.expected.check(told.iter().map(|told| (told.key.clone(), told.what)).collect(), done)?;
        self.replay(&told)
    }
}
