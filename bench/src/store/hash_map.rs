//! A hash map: what the state costs when nothing but memory is asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::engine::{Engine, Scanned, Setup, State};
use super::probe;
use crate::report::Outcome;

/// A count, a sum, and what else a value of `REST` words more holds.
#[derive(Clone, Copy)]
struct Value<const REST: usize> {
    count: u64,
    sum: u64,
    _rest: [u64; REST],
}

impl<const REST: usize> Default for Value<REST> {
    fn default() -> Value<REST> {
        Value { count: 0, sum: 0, _rest: [0; REST] }
    }
}

#[derive(Default)]
struct Map<const REST: usize> {
    values: HashMap<u64, Value<REST>>,
    lists: HashMap<u64, Vec<u64>>,
    maps: HashMap<u64, BTreeMap<u64, u64>>,
    state: Option<State>,
}

pub(super) fn open(setup: &Setup) -> Option<Box<dyn Engine>> {
    match (setup.state, setup.value_len) {
        (State::LargeValues, _) => None,
        (state, 16) => Some(Box::new(Map::<0> { state: Some(state), ..Map::default() })),
        (state, 104) => Some(Box::new(Map::<11> { state: Some(state), ..Map::default() })),
        _ => None,
    }
}

impl<const REST: usize> Engine for Map<REST> {
    fn update(&mut self, keys: &[u64]) -> Outcome<()> {
        for &key in keys {
            let value = self.values.entry(key).or_default();
            value.count += 1;
            value.sum = value.sum.wrapping_add(key & 0xff);
        }
        Ok(())
    }

    fn read(&mut self, keys: &[u64]) -> Outcome<u64> {
        Ok(keys.iter().map(|key| self.values.get(key).map_or(0, |value| value.count)).sum())
    }

    fn scan(&mut self) -> Outcome<Scanned> {
        let mut scanned = Scanned::default();
        self.values.values().for_each(|value| scanned.see(value.count));
        Ok(scanned)
    }

    fn accounted_bytes(&self) -> Option<u64> {
        Some(self.values.allocation_size() as u64)
    }

    /// A fork: its child has the state as it is, and the parent goes on.
    fn snapshot(&mut self) -> Outcome<Option<Duration>> {
        let start = Instant::now();
        let child = probe::fork()?;
        let pause = start.elapsed();
        child.wait()?;
        Ok(Some(pause))
    }

    fn append(&mut self, keys: &[u64], from: u64) -> Outcome<()> {
        let numbered = keys.iter().zip(from..);
        if self.state == Some(State::Lists) {
            numbered.for_each(|(&key, number)| self.lists.entry(key).or_default().push(number));
        } else {
            numbered.for_each(|(&key, number)| {
                self.maps.entry(key).or_default().insert(number, number);
            });
        }
        Ok(())
    }

    fn iterate(&mut self, keys: &[u64]) -> Outcome<Scanned> {
        let mut scanned = Scanned::default();
        for key in keys {
            let list = self.lists.get(key).into_iter().flatten();
            let map = self.maps.get(key).into_iter().flat_map(BTreeMap::values);
            list.chain(map).for_each(|&number| scanned.see(number));
        }
        Ok(scanned)
    }
}
