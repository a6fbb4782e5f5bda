//! What the state of one key should be: plain maps, with the end of each entry beside it.

use std::collections::BTreeMap;

use millstream::aggregate::Aggregate;

use super::super::data::{Event, Sums, Total};
use super::{Prolonged, Settings, digest};
use crate::trace::mix;

type Rule = Option<(i64, Prolonged)>;

/// Something, and when it ends.
#[derive(Clone, Debug)]
struct Ending<T> {
    it: T,
    until: i64,
}

/// One value.
#[derive(Clone, Debug)]
struct Slot<T>(Option<Ending<T>>);

#[derive(Debug)]
pub(super) struct Model {
    settings: Settings,
    pub now: i64,
    count: Slot<u64>,
    note: Slot<Vec<u64>>,
    ids: Vec<Ending<u64>>,
    seen: BTreeMap<u64, Ending<u64>>,
    total: Slot<u64>,
    sums: Slot<Sums>,
    line: BTreeMap<(i64, u64), u64>,
    /// Numbers what is inserted into the line.
    inserted: u64,
}

fn fresh(rule: Rule, now: i64) -> i64 {
    rule.map_or(i64::MAX, |(after, _)| now + after)
}

/// When something ends that is written now and was there before.
fn rewritten(rule: Rule, now: i64, until: i64) -> i64 {
    match rule {
        Some((_, Prolonged::Never)) => until,
        _ => fresh(rule, now),
    }
}

/// Reading has prolonged it.
fn touch(rule: Rule, now: i64, until: &mut i64) {
    if let Some((after, Prolonged::ByReads)) = rule {
        *until = now + after;
    }
}

impl<T> Slot<T> {
    fn set(&mut self, it: T, rule: Rule, now: i64) {
        let until = self.0.as_ref().map_or(fresh(rule, now), |old| rewritten(rule, now, old.until));
        self.0 = Some(Ending { it, until });
    }

    fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|ending| &ending.it)
    }

    /// Drops what has expired.
    fn expire(&mut self, now: i64) {
        self.0.take_if(|ending| ending.until <= now);
    }

    fn touch(&mut self, rule: Rule, now: i64) {
        if let Some(ending) = &mut self.0 {
            touch(rule, now, &mut ending.until);
        }
    }
}

impl Model {
    pub(super) fn new(settings: Settings) -> Model {
        Model {
            settings,
            now: i64::MIN,
            count: Slot(None),
            note: Slot(None),
            ids: Vec::new(),
            seen: BTreeMap::new(),
            total: Slot(None),
            sums: Slot(None),
            line: BTreeMap::new(),
            inserted: 0,
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        self.count.expire(now);
        self.note.expire(now);
        self.total.expire(now);
        self.sums.expire(now);
        self.ids.retain(|id| id.until > now);
        self.seen.retain(|_, seen| seen.until > now);
    }

    pub(super) fn on_record(&mut self, event: &Event) -> u64 {
        self.expire();
        let (now, value) = (self.now, event.value);
        let Settings { value: rule, list, map, width, burst, note } = self.settings;
        self.count.set(self.count.get().map_or(1, |count| count + 1), rule, now);
        if value % 7 == 0 {
            self.note.set((0..value % note).collect(), rule, now);
        } else if value % 11 == 0 {
            self.note = Slot(None);
        }
        let until = fresh(list, now);
        self.ids.extend((0..burst).map(|_| Ending { it: event.id, until }));
        if value % 101 == 0 {
            self.ids.clear();
        } else if value % 103 == 0 {
            self.ids = (value..value + 3).map(|it| Ending { it, until }).collect();
        }
        for i in 0..burst {
            let key = mix(i, value) % width;
            let entry = self.seen.entry(key).or_insert(Ending { it: 0, until: fresh(map, now) });
            *entry = Ending { it: mix(entry.it, event.id), until: rewritten(map, now, entry.until) };
        }
        if value % 6 == 0 {
            self.seen.remove(&(mix(1, value) % width));
        } else if value % 307 == 0 {
            self.seen.clear();
        }
        self.total.set(self.total.get().map_or(value, |total| mix(*total, value)), rule, now);
        let mut sums = self.sums.get().copied().unwrap_or_default();
        Total.add(&mut sums, event);
        self.sums.set(sums, rule, now);
        for _ in 0..burst {
            self.line.insert((event.time, self.inserted), event.id);
            self.inserted += 1;
        }
        self.digest(event.time)
    }

    pub(super) fn on_timer(&mut self, at: i64) -> u64 {
        self.expire();
        self.line.retain(|(time, _), _| *time > at - 1000);
        if at.rem_euclid(8) == 0 {
            self.count = Slot(None);
            self.total = Slot(None);
        }
        self.digest(at)
    }

    /// As the process does: what is read may live on.
    fn digest(&mut self, at: i64) -> u64 {
        let line = |((time, _), id): (&(i64, u64), &u64)| mix(time.cast_unsigned(), *id);
        let inside = self.line.iter().filter(|((time, _), _)| (at - 100..=at).contains(time));
        let parts = [
            self.count.get().copied().unwrap_or(1),
            digest(self.note.get().cloned().unwrap_or_default()),
            digest(self.ids.iter().map(|id| id.it)),
            self.ids.len() as u64,
            digest(self.seen.iter().map(|(key, value)| mix(*key, value.it))),
            self.seen.len() as u64,
            self.total.get().copied().unwrap_or(2),
            self.sums.get().map_or(3, |sums| digest(Total.finish(sums))),
            digest(inside.map(line)),
            self.line.range(..=(at, u64::MAX)).next_back().map_or(4, line),
            self.line.first_key_value().map_or(5, line),
            self.line.last_key_value().map_or(6, line),
            self.line.len() as u64,
        ];
        let (now, Settings { value: rule, list, map, .. }) = (self.now, self.settings);
        self.count.touch(rule, now);
        self.note.touch(rule, now);
        self.total.touch(rule, now);
        self.sums.touch(rule, now);
        self.ids.iter_mut().for_each(|id| touch(list, now, &mut id.until));
        self.seen.values_mut().for_each(|seen| touch(map, now, &mut seen.until));
        digest(parts)
    }
}
