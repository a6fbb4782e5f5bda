//! A process function: values of fixed and of any size, timers that are set, set again and taken back.

use millstream::job::Job;
use millstream::process::{Context, Declare, Process};
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::state::Value;
use millstream::time::Timestamp;

use super::data::{Event, events, feed, outside};
use super::expected::Expected;
use super::replays::Replayed;
use super::windows::{Shape, sound};
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::trace::mix;
use crate::world::World;

/// Keeps what it was told of each key for a while.
#[derive(Clone)]
pub(super) struct Memory {
    /// Bytes of dead weight per value.
    pub weight: usize,
}

pub(super) struct States {
    seen: Value<u64>,
    last_timer: Value<i64>,
    ids: Value<Vec<u64>>,
}

/// Key, what happened, at what time, and a digest of the state.
pub(super) type Told = (String, &'static str, Timestamp, u64);

pub(super) fn key_of(event: &Event) -> String {
    format!("key-{}", event.key)
}

pub(super) fn name_of(told: &Told) -> String {
    told.0.clone()
}

impl Memory {
    fn digest(state: &States, cx: &Context<'_, Memory>) -> u64 {
        let seen = state.seen.load(cx).unwrap_or(0);
        state.ids.load(cx).unwrap_or_default().into_iter().fold(seen, mix)
    }
}

impl Process for Memory {
    type Key = String;
    type In = Event;
    type Out = Told;
    type State = States;

    fn declare(&self, state: &mut Declare) -> States {
        States { seen: state.value("seen"), last_timer: state.value("last"), ids: state.value("ids") }
    }

    fn on_record(&mut self, event: Event, state: &States, cx: &mut Context<'_, Self>) {
        state.seen.update(cx, |seen| *seen += 1);
        let weight = self.weight;
        state.ids.update(cx, |ids| {
            ids.truncate(ids.len().saturating_sub(weight));
            ids.push(event.id);
            ids.resize(ids.len() + weight, 0);
        });
        if event.value.is_multiple_of(3)
            && let Some(at) = state.last_timer.take(cx)
        {
            cx.delete_timer_at(at);
        }
        if event.value.is_multiple_of(2) {
            let at = cx.time() + (event.value % 300) as i64 - 20;
            cx.timer_at(at);
            state.last_timer.set(cx, &at);
        }
        if event.value.is_multiple_of(5) {
            let digest = Memory::digest(state, cx);
            cx.emit((cx.key().clone(), "record", event.time, digest));
        }
    }

    fn on_timer(&mut self, at: Timestamp, state: &States, cx: &mut Context<'_, Self>) {
        let digest = Memory::digest(state, cx);
        cx.emit((cx.key().clone(), "timer", at, digest));
        match at.rem_euclid(4) {
            0 => state.ids.clear(cx),
            1 if state.seen.load(cx).is_some_and(|seen| seen % 2 == 1) => {
                state.seen.set(cx, &(digest & 1022));
                cx.timer_at(at + 40);
            }
            _ => {}
        }
    }
}

pub(super) struct Keyed {
    shape: Shape,
    memory: Memory,
    feed: Feed<Event>,
    told: Collected<Told>,
    expected: Expected<Told>,
}

impl Keyed {
    pub(super) fn new(world: &World) -> Keyed {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let events = events(&mut random, shape.disorder);
        let mut work = Keyed {
            shape,
            memory: Memory { weight: *random.pick(&[0, 0, 200, 600]) },
            feed: feed(&mut random, vec![events.clone()]),
            told: Collected::new(outside(&mut random)).shown(),
            expected: Expected::new("told", name_of, Vec::new()),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        work.expected = Expected::new("told", name_of, work.job().expected("told", &inputs));
        work
    }
}

impl Work for Keyed {
    fn job(&self) -> Job {
        let job = Job::new("process");
        job.source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.shape.bound))
            .key_by(key_of)
            .process("memory", self.memory.clone())
            .sink("told", self.told.clone());
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.told)?;
        self.expected.check(self.told.committed(), done)
    }

    fn has_reference_state(&self) -> bool {
        true
    }

    fn replayed(&self, from: u64, to: u64) -> Replayed {
        Replayed::Rows(self.told.rows_between(from, to).into_iter().map(|row| ("told", row)).collect())
    }
}
