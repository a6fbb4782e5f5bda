//! What the scenarios of windows that merge compute of their records, in whatever order those come.

use millstream::aggregate::{Aggregate, Merge};
use millstream::window::Windowed;
use serde::{Deserialize, Serialize};

use super::data::Event;
use crate::trace::mix;

/// Count, sum and digest of the records of a window.
#[derive(Clone)]
pub(super) struct Pool;

#[derive(Clone, Copy, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(super) struct Pooled {
    count: u64,
    sum: u64,
    digest: u64,
}

impl Aggregate for Pool {
    type In = Event;
    type Acc = Pooled;
    type Out = [u64; 3];

    fn add(&self, acc: &mut Pooled, event: &Event) {
        acc.count += 1;
        acc.sum += event.value;
        acc.digest ^= mix(1, event.id);
    }

    fn finish(&self, acc: &Pooled) -> [u64; 3] {
        [acc.count, acc.sum, acc.digest]
    }
}

impl Merge for Pool {
    fn merge(&self, into: &mut Pooled, from: &Pooled) {
        into.count += from.count;
        into.sum += from.sum;
        into.digest ^= from.digest;
    }
}

/// The same, of any size, with dead weight.
#[derive(Clone)]
pub(super) struct HeavyPool {
    /// Numbers per accumulator.
    pub weight: usize,
}

impl HeavyPool {
    fn set(&self, acc: &mut Vec<u64>, pooled: [u64; 3]) {
        acc.clear();
        acc.extend(pooled);
        acc.resize(3 + self.weight, pooled[0]);
    }
}

fn pooled(acc: &[u64]) -> [u64; 3] {
    acc.first_chunk().copied().unwrap_or_default()
}

impl Aggregate for HeavyPool {
    type In = Event;
    type Acc = Vec<u64>;
    type Out = [u64; 3];

    fn add(&self, acc: &mut Vec<u64>, event: &Event) {
        let [count, sum, digest] = pooled(acc);
        self.set(acc, [count + 1, sum + event.value, digest ^ mix(1, event.id)]);
    }

    fn finish(&self, acc: &Vec<u64>) -> [u64; 3] {
        pooled(acc)
    }
}

impl Merge for HeavyPool {
    fn merge(&self, into: &mut Vec<u64>, from: &Vec<u64>) {
        let ([count, sum, digest], from) = (pooled(into), pooled(from));
        self.set(into, [count + from[0], sum + from[1], digest ^ from[2]]);
    }
}

/// A result of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub key: u64,
    pub start: i64,
    pub end: i64,
    pub value: [u64; 3],
}

impl Span {
    pub(super) fn new(result: Windowed<u64, [u64; 3]>) -> Span {
        let Windowed { key, window, value } = result;
        Span { key, start: window.start, end: window.end, value }
    }

    pub(super) fn name(&self) -> String {
        self.key.to_string()
    }
}
