//! State, the plainest way: ordered maps. No time passes here, so nothing expires.

use std::collections::BTreeMap;

use millstream_storage::collection::map::order;

use crate::error::Result;
use crate::state::backend::{At, Backend, Elements, Entries, Moments};
use crate::state::timers::Domain;
use crate::time::{MIN_TIME, Timestamp};

/// A state of a key.
type Place = (usize, Vec<u8>);
/// A map in the order in which it is visited.
type Plain = BTreeMap<(u64, Vec<u8>), Vec<u8>>;

/// State and timers of all keys.
#[derive(Default)]
pub(super) struct PlainBackend {
    values: BTreeMap<Place, Vec<u8>>,
    lists: BTreeMap<Place, Vec<Vec<u8>>>,
    maps: BTreeMap<Place, Plain>,
    /// By time, in order of insertion.
    timelines: BTreeMap<Place, Vec<(Timestamp, Vec<u8>)>>,
    /// In the order in which they were set.
    timers: Vec<(Timestamp, Vec<u8>)>,
}

fn place(at: At<'_>) -> Place {
    (at.slot, at.key.to_vec())
}

impl Backend for PlainBackend {
    fn clock(&self) -> Timestamp {
        MIN_TIME
    }

    fn value(&self, at: At<'_>) -> Option<&[u8]> {
        self.values.get(&place(at)).map(Vec::as_slice)
    }
    fn value_mut(&mut self, at: At<'_>) -> Option<&mut [u8]> {
        self.values.get_mut(&place(at)).map(Vec::as_mut_slice)
    }
    fn set_value(&mut self, at: At<'_>, value: &[u8]) -> Result<()> {
        self.values.insert(place(at), value.to_vec());
        Ok(())
    }

    fn list(&self, at: At<'_>) -> Elements<'_> {
        Box::new(self.lists.get(&place(at)).into_iter().flatten().map(Vec::as_slice))
    }
    fn list_len(&self, at: At<'_>) -> u64 {
        self.list(at).count() as u64
    }
    fn push(&mut self, at: At<'_>, element: &[u8]) -> Result<()> {
        self.lists.entry(place(at)).or_default().push(element.to_vec());
        Ok(())
    }

    fn entry(&self, at: At<'_>, key: &[u8]) -> Option<&[u8]> {
        self.maps.get(&place(at))?.get(&(order(key), key.to_vec())).map(Vec::as_slice)
    }
    fn entry_mut(&mut self, at: At<'_>, key: &[u8]) -> Option<&mut [u8]> {
        self.maps.get_mut(&place(at))?.get_mut(&(order(key), key.to_vec())).map(Vec::as_mut_slice)
    }
    fn set_entry(&mut self, at: At<'_>, key: &[u8], value: &[u8]) -> Result<()> {
        self.maps.entry(place(at)).or_default().insert((order(key), key.to_vec()), value.to_vec());
        Ok(())
    }
    fn remove_entry(&mut self, at: At<'_>, key: &[u8]) -> bool {
        let map = self.maps.get_mut(&place(at));
        map.is_some_and(|map| map.remove(&(order(key), key.to_vec())).is_some())
    }
    fn entries(&self, at: At<'_>) -> Entries<'_> {
        let entries = self.maps.get(&place(at)).into_iter().flatten();
        Box::new(entries.map(|((_, key), value)| (key.as_slice(), value.as_slice())))
    }
    fn entries_len(&self, at: At<'_>) -> u64 {
        self.entries(at).count() as u64
    }

    fn moments(&self, at: At<'_>, from: Timestamp, to: Timestamp) -> Moments<'_> {
        let all = self.timelines.get(&place(at)).into_iter().flatten();
        let inside = all.filter(move |(time, _)| from <= *time && *time <= to);
        Box::new(inside.map(|(time, value)| (*time, value.as_slice())))
    }
    fn moment(&self, at: At<'_>, time: Timestamp) -> Option<(Timestamp, &[u8])> {
        self.moments(at, Timestamp::MIN, time).last()
    }
    fn moments_len(&self, at: At<'_>) -> u64 {
        self.moments(at, Timestamp::MIN, Timestamp::MAX).count() as u64
    }
    fn insert_moment(&mut self, at: At<'_>, time: Timestamp, value: &[u8]) -> Result<()> {
        let timeline = self.timelines.entry(place(at)).or_default();
        timeline.push((time, value.to_vec()));
        timeline.sort_by_key(|moment| moment.0);
        Ok(())
    }
    fn remove_moments(&mut self, at: At<'_>, from: Timestamp, to: Timestamp) -> u64 {
        let timeline = self.timelines.entry(place(at)).or_default();
        let before = timeline.len();
        timeline.retain(|(time, _)| *time < from || to < *time);
        (before - timeline.len()) as u64
    }

    fn clear(&mut self, at: At<'_>) {
        let place = place(at);
        self.values.remove(&place);
        self.lists.remove(&place);
        self.maps.remove(&place);
        self.timelines.remove(&place);
    }

    fn set_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]) -> Result<()> {
        let timer = (at, key.to_vec());
        // Processing time does not pass here: such timers are still pending when the input ends.
        if domain == Domain::Event && !self.timers.contains(&timer) {
            self.timers.push(timer);
        }
        Ok(())
    }
    fn delete_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]) {
        if domain == Domain::Event {
            self.timers.retain(|timer| timer.0 != at || timer.1 != key);
        }
    }
}

impl PlainBackend {
    /// The earliest timer up to `until`, the first set among equals.
    pub(super) fn pop(&mut self, until: Timestamp) -> Option<(Timestamp, Vec<u8>)> {
        let earliest = self.timers.iter().map(|timer| timer.0).min().filter(|&at| at <= until)?;
        let place = self.timers.iter().position(|timer| timer.0 == earliest)?;
        Some(self.timers.remove(place))
    }
}
