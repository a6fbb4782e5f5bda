//! Timers that wait for the clock, over crashes and on other cores: each fires once, in order, and never early.

use std::collections::{BTreeMap, BTreeSet};

use millstream::job::Job;
use millstream::process::{Context, Declare, Process};
use millstream::source::watermarks::Watermarks;
use millstream::state::Value;
use millstream::time::Timestamp;

use super::data::{Event, events, feed, outside};
use super::windows::{Shape, sound};
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::world::World;

/// Sets timers a while from now, and takes some of them back.
#[derive(Clone)]
struct Alarm {
    /// Milliseconds until the latest.
    longest: u64,
}

/// What happened to a key.
#[derive(Clone, Debug)]
struct Told {
    key: u64,
    what: What,
    /// When it was, by the clock of that process.
    now: Timestamp,
    /// The timer that was taken back.
    taken_back: Option<Timestamp>,
    /// The timer that was set.
    set: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// The record of this id came.
    Record(u64),
    /// The timer of this time fired.
    Rang(Timestamp),
}

impl Process for Alarm {
    type Key = u64;
    type In = Event;
    type Out = Told;
    /// The newest timer that has not fired.
    type State = Value<i64>;

    fn declare(&self, state: &mut Declare) -> Value<i64> {
        state.value("newest")
    }

    fn on_record(&mut self, event: Event, newest: &Value<i64>, cx: &mut Context<'_, Self>) {
        let taken_back = newest.load(cx).filter(|_| event.value.is_multiple_of(3));
        if let Some(at) = taken_back {
            cx.delete_processing_timer_at(at);
            newest.clear(cx);
        }
        let sets = !event.value.is_multiple_of(5);
        // Some are over when they are set.
        let set = sets.then(|| cx.processing_time() - 2 + (event.value % self.longest) as i64);
        self.tell(What::Record(event.id), taken_back, set, newest, cx);
    }

    fn on_processing_timer(&mut self, at: Timestamp, newest: &Value<i64>, cx: &mut Context<'_, Self>) {
        if newest.load(cx) == Some(at) {
            newest.clear(cx);
        }
        // One in four sets the next, and never one that is over: or it would set another without end.
        let set = (at.rem_euclid(4) == 0).then(|| cx.processing_time() + 1 + (self.longest / 2) as i64);
        self.tell(What::Rang(at), None, set, newest, cx);
    }
}

impl Alarm {
    fn tell(
        &self,
        what: What,
        taken_back: Option<Timestamp>,
        set: Option<Timestamp>,
        newest: &Value<i64>,
        cx: &mut Context<'_, Alarm>,
    ) {
        if let Some(at) = set {
            newest.set(cx, &at);
            cx.processing_timer_at(at);
        }
        let (key, now) = (*cx.key(), cx.processing_time());
        cx.emit(Told { key, what, now, taken_back, set });
    }
}

pub(super) struct Alarms {
    alarm: Alarm,
    feed: Feed<Event>,
    told: Collected<Told>,
    /// The ids of each key's records, in order.
    records: BTreeMap<u64, Vec<u64>>,
}

impl Alarms {
    pub(super) fn new(world: &World) -> Alarms {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let events = events(&mut random, shape.disorder);
        let mut records: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        events.iter().for_each(|event| records.entry(event.key).or_default().push(event.id));
        Alarms {
            alarm: Alarm { longest: *random.pick(&[4, 30, 300, 1000]) },
            feed: feed(&mut random, vec![events]),
            told: Collected::new(outside(&mut random)),
            records,
        }
    }
}

impl Work for Alarms {
    fn job(&self) -> Job {
        let job = Job::new("alarms");
        job.source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(std::time::Duration::ZERO))
            .key_by(|event| event.key)
            .process("alarm", self.alarm.clone())
            .sink("told", self.told.clone());
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.told)?;
        let mut keys: BTreeMap<u64, Key> = BTreeMap::new();
        for told in self.told.committed() {
            let records = self.records.get(&told.key).map_or(&[][..], Vec::as_slice);
            keys.entry(told.key).or_default().follow(&told, records)?;
        }
        let seen = |key: &u64| keys.get(key).map_or(0, |key| key.seen);
        match self.records.iter().find(|(key, records)| done && seen(key) < records.len()) {
            None => Ok(()),
            Some((key, records)) => {
                let what = format!("{} of {} of key {key}", seen(key), records.len());
                Err(Finding::new("every record is told of", what))
            }
        }
    }
}

/// What must be true of a key.
#[derive(Default)]
struct Key {
    /// Records that came.
    seen: usize,
    /// Timers that were set, and have neither fired nor been taken back.
    waiting: BTreeSet<Timestamp>,
}

impl Key {
    /// Takes the next thing that happened to the key, whose records have these ids.
    fn follow(&mut self, told: &Told, records: &[u64]) -> Result<(), Finding> {
        let broken = |rule: &str, seen: String| Err(Finding::new(rule, format!("{seen}: {told:?}")));
        match told.what {
            What::Record(id) if records.get(self.seen) == Some(&id) => self.seen += 1,
            What::Record(_) => {
                return broken("records come once, in order", format!("{} came before", self.seen));
            }
            What::Rang(at) if told.now < at => {
                return broken("no timer fires early", format!("by {} ms", at - told.now));
            }
            What::Rang(at) if !self.waiting.contains(&at) => {
                return broken("a timer fires once", format!("{:?} are waiting", self.waiting));
            }
            // What is before it was lost.
            What::Rang(at) if self.waiting.first() != Some(&at) => {
                return broken("timers fire in order, and all of them", format!("{:?} wait", self.waiting));
            }
            What::Rang(at) => {
                self.waiting.remove(&at);
            }
        }
        if let Some(at) = told.taken_back.filter(|at| !self.waiting.remove(at)) {
            return broken("what is taken back was waiting", format!("{at} was not"));
        }
        self.waiting.extend(told.set);
        Ok(())
    }
}
