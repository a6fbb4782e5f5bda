//! The records of the scenarios, and what is computed of them.

use std::time::Duration;

use millstream::aggregate::{Aggregate, Merge};
use millstream::window::Windowed;
use serde::{Deserialize, Serialize};

use crate::feed::Feed;
use crate::random::Random;
use crate::trace::mix;

/// A record.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
)]
pub(super) struct Event {
    pub id: u64,
    pub key: u64,
    /// Milliseconds.
    pub time: i64,
    pub value: u64,
}

impl Event {
    pub(super) fn name(&self) -> String {
        self.key.to_string()
    }
}

/// Some hundreds of records: times rise with disorder below `disorder` ms, and some keys are more frequent.
pub(super) fn events(random: &mut Random, disorder: u64) -> Vec<Event> {
    let count = if random.coin() { random.magnitude(400) } else { random.range(100, 600) };
    let (keys, pace) = (random.magnitude(40), random.magnitude(30));
    let mut now = -(random.below(1000) as i64);
    let mut event = |id| {
        now += random.below(pace + 1) as i64;
        let time = now - random.below(disorder + 1) as i64;
        Event { id, key: random.magnitude(keys), time, value: random.below(1000) }
    };
    (0..count).map(&mut event).collect()
}

/// A feed of these splits, mostly with short pauses.
pub(super) fn feed(random: &mut Random, splits: Vec<Vec<Event>>) -> Feed<Event> {
    Feed::new(splits).pausing(*random.pick(&[0, 3, 30]), Duration::from_micros(random.magnitude(30_000)))
}

/// How long the systems outside take for a request.
pub(super) fn outside(random: &mut Random) -> Duration {
    Duration::from_micros(random.magnitude(10_000))
}

/// An aggregate of fixed size that depends on the order of the records.
#[derive(Clone)]
pub(super) struct Total;

#[derive(Clone, Copy, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(super) struct Sums {
    count: u64,
    sum: u64,
    chain: u64,
}

impl Aggregate for Total {
    type In = Event;
    type Acc = Sums;
    type Out = [u64; 3];

    fn add(&self, acc: &mut Sums, event: &Event) {
        acc.count += 1;
        acc.sum += event.value;
        acc.chain = mix(acc.chain, event.id);
    }

    fn finish(&self, acc: &Sums) -> [u64; 3] {
        [acc.count, acc.sum, acc.chain]
    }
}

/// An aggregate of any size that does not.
#[derive(Clone)]
pub(super) struct Ids;

impl Aggregate for Ids {
    type In = Event;
    type Acc = Vec<u64>;
    type Out = Vec<u64>;

    fn add(&self, acc: &mut Vec<u64>, event: &Event) {
        acc.push(event.id);
    }

    fn finish(&self, acc: &Vec<u64>) -> Vec<u64> {
        let mut ids = acc.clone();
        ids.sort_unstable();
        ids
    }
}

impl Merge for Ids {
    fn merge(&self, into: &mut Vec<u64>, from: &Vec<u64>) {
        into.extend(from);
    }
}

/// A result of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row<V> {
    pub key: u64,
    pub start: i64,
    pub value: V,
}

impl<V> Row<V> {
    pub(super) fn new(result: Windowed<u64, V>) -> Row<V> {
        Row { key: result.key, start: result.window.start, value: result.value }
    }

    pub(super) fn name(&self) -> String {
        self.key.to_string()
    }
}
