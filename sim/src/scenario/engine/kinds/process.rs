//! The process function: a bit of everything that a state can do, and a digest of all that it returns.

use std::time::Duration;

use millstream::prelude::*;

use super::super::data::{Event, Total};
use super::{Prolonged, Settings, Told, What, digest};
use crate::trace::mix;

#[derive(Clone)]
pub(super) struct Everything {
    pub settings: Settings,
}

pub(super) struct States {
    count: Value<u64>,
    note: Value<Vec<u64>>,
    ids: List<u64>,
    seen: Map<u64, u64>,
    total: Reducing<u64>,
    sums: Aggregating<Total>,
    line: Timeline<u64>,
}

fn ttl((millis, prolonged): (i64, Prolonged)) -> Ttl {
    let ttl = Ttl::after(Duration::from_millis(millis.unsigned_abs()));
    match prolonged {
        Prolonged::Never => ttl.on_create(),
        Prolonged::ByWrites => ttl.on_write(),
        Prolonged::ByReads => ttl.on_read(),
    }
}

impl Everything {
    /// Everything is read in every call.
    fn digest(&self, at: i64, state: &States, cx: &Context<'_, Self>) -> u64 {
        let mut seen: Vec<_> = state.seen.iter(cx).map(|(key, value)| (key, value.to_native())).collect();
        seen.sort_unstable();
        let line =
            |(time, id): (i64, &<u64 as rkyv::Archive>::Archived)| mix(time.cast_unsigned(), id.to_native());
        let parts = [
            state.count.load(cx).unwrap_or(1),
            digest(state.note.load(cx).unwrap_or_default()),
            digest(state.ids.iter(cx).map(|id| id.to_native())),
            state.ids.len(cx),
            digest(seen.into_iter().map(|(key, value)| mix(key, value))),
            state.seen.len(cx),
            state.total.load(cx).unwrap_or(2),
            state.sums.result(cx).map_or(3, digest),
            digest(state.line.range(cx, at - 100..=at).map(line)),
            state.line.floor(cx, at).map_or(4, line),
            state.line.first(cx).map_or(5, line),
            state.line.last(cx).map_or(6, line),
            state.line.len(cx),
        ];
        digest(parts)
    }

    fn tell(&self, what: What, at: i64, state: &States, cx: &mut Context<'_, Self>) {
        let digest = self.digest(at, state, cx);
        cx.emit(Told { key: cx.key().clone(), what, now: cx.state_time(), digest });
    }
}

impl Process for Everything {
    type Key = String;
    type In = Event;
    type Out = Told;
    type State = States;

    fn declare(&self, state: &mut Declare) -> States {
        let Settings { value, list, map, .. } = self.settings;
        let mut states = States {
            count: state.value("count"),
            note: state.value("note"),
            ids: state.list("ids"),
            seen: state.map("seen"),
            total: state.reducing("total", |total: &mut u64, value| *total = mix(*total, *value)),
            sums: state.aggregating("sums", Total),
            line: state.timeline("line"),
        };
        if let Some(value) = value.map(ttl) {
            states.count = states.count.ttl(value);
            states.note = states.note.ttl(value);
            states.total = states.total.ttl(value);
            states.sums = states.sums.ttl(value);
        }
        if let Some(list) = list.map(ttl) {
            states.ids = states.ids.ttl(list);
        }
        if let Some(map) = map.map(ttl) {
            states.seen = states.seen.ttl(map);
        }
        states
    }

    fn on_record(&mut self, event: Event, state: &States, cx: &mut Context<'_, Self>) {
        let (value, Settings { width, burst, note, .. }) = (event.value, self.settings);
        state.count.update(cx, |count| *count += 1);
        match value {
            n if n.is_multiple_of(7) => state.note.set(cx, &(0..n % note).collect()),
            n if n.is_multiple_of(11) => state.note.clear(cx),
            _ => {}
        }
        (0..burst).for_each(|_| state.ids.push(cx, &event.id));
        match value {
            n if n.is_multiple_of(101) => state.ids.clear(cx),
            n if n.is_multiple_of(103) => state.ids.replace(cx, &[n, n + 1, n + 2]),
            _ => {}
        }
        (0..burst).for_each(|i| state.seen.update(cx, &(mix(i, value) % width), |n| *n = mix(*n, event.id)));
        match value {
            n if n.is_multiple_of(6) => _ = state.seen.remove(cx, &(mix(1, value) % width)),
            n if n.is_multiple_of(307) => state.seen.clear(cx),
            _ => {}
        }
        state.total.add(cx, &value);
        state.sums.add(cx, &event);
        (0..burst).for_each(|_| state.line.insert(cx, event.time, &event.id));
        if value.is_multiple_of(4) {
            cx.timer_at(event.time + (value % 500) as i64);
        }
        self.tell(What::Record(event.id), event.time, state, cx);
    }

    fn on_timer(&mut self, at: Timestamp, state: &States, cx: &mut Context<'_, Self>) {
        state.line.remove(cx, ..=at - 1000);
        if at.rem_euclid(8) == 0 {
            state.count.take(cx);
            state.total.clear(cx);
        }
        self.tell(What::Timer(at), at, state, cx);
    }
}
