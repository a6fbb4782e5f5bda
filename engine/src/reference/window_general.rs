//! Windows with triggers, the plainest way: all records of each window and key in a vector, and a list of the times that
//! its trigger has asked for. The clock does not move here.

use std::collections::BTreeMap;

use crate::key::Key;
use crate::operator::sides::Sides;
use crate::operator::window::Window;
use crate::operator::window::assign::Assign;
use crate::operator::window::general::content::{Content, WindowContext};
use crate::operator::window::general::trigger::{Action, Trigger, TriggerContext};
use crate::record::MarkKind;
use crate::reference::{Event, Processed};
use crate::time::{MAX_TIME, MIN_TIME, Timestamp, as_millis};

/// A window of a key.
struct Pane<T, S> {
    window: Window,
    records: Vec<(Timestamp, T)>,
    state: S,
    asked: Vec<Timestamp>,
}

struct Run<'a, T, W, Tr, Co> {
    windows: &'a W,
    trigger: &'a Tr,
    content: &'a Co,
    watermark: Timestamp,
    of: std::marker::PhantomData<T>,
}

impl<T: Clone, W: Assign<T>, Tr: Trigger<T>, Co> Run<'_, T, W, Tr, Co> {
    fn over_at(&self, window: Window) -> Timestamp {
        window.max_timestamp().saturating_add(as_millis(self.windows.allowed_lateness()))
    }

    fn ask<K: Key>(
        &self,
        key: &K,
        pane: &mut Pane<T, Tr::State>,
        results: &mut Vec<Event<Co::Out>>,
        ask: impl FnOnce(&Tr, &mut Tr::State, &mut TriggerContext<'_>) -> Action,
    ) where
        Co: Content<K, T>,
    {
        let (window, watermark) = (pane.window, self.watermark);
        let mut never = Vec::new();
        let mut cx = TriggerContext {
            window,
            watermark,
            now: MIN_TIME,
            event: &mut pane.asked,
            processing: &mut never,
        };
        let action = ask(self.trigger, &mut pane.state, &mut cx);
        if action.fires() && !pane.records.is_empty() {
            let cx = WindowContext { key, window, watermark, processing_time: MIN_TIME };
            let fired = self.content.plain(&cx, &mut pane.records);
            results.extend(fired.into_iter().map(|result| Event::Record(window.max_timestamp(), result)));
        }
        if action.purges() {
            pane.records.clear();
        }
    }

    /// Merges what touches a window. Returns the window that comes of it, or nothing if that is over.
    fn grow<K: Key>(
        &self,
        key: &K,
        alone: Window,
        panes: &mut Vec<Pane<T, Tr::State>>,
        results: &mut Vec<Event<Co::Out>>,
    ) -> Option<Window>
    where
        Co: Content<K, T>,
    {
        panes.sort_by_key(|pane| pane.window);
        let touches =
            |pane: &Pane<T, Tr::State>| pane.window.start <= alone.end && alone.start <= pane.window.end;
        let mut merged = alone;
        for pane in panes.iter().filter(|pane| touches(pane)) {
            merged.start = merged.start.min(pane.window.start);
            merged.end = merged.end.max(pane.window.end);
        }
        if self.over_at(merged) <= self.watermark {
            return None;
        }
        if panes.iter().any(|pane| pane.window == merged) || !panes.iter().any(touches) {
            return Some(merged);
        }
        let (mut together, apart): (Vec<_>, Vec<_>) = panes.drain(..).partition(touches);
        *panes = apart;
        let mut into = together.remove(0);
        for mut other in together {
            into.records.append(&mut other.records);
            self.trigger.merge(&mut into.state, &other.state);
        }
        into.window = merged;
        into.asked.clear();
        self.ask(key, &mut into, results, |trigger, state, cx| {
            trigger.on_merge(state, cx);
            Action::Continue
        });
        panes.push(into);
        Some(merged)
    }
}

pub(crate) fn triggered<K, T, W, Tr, Co>(
    events: Vec<Event<T>>,
    key: &dyn Fn(&T) -> K,
    windows: &W,
    trigger: &Tr,
    content: &Co,
) -> Processed<Co::Out>
where
    K: Key,
    T: Clone + Send + 'static,
    W: Assign<T>,
    Tr: Trigger<T>,
    Co: Content<K, T>,
{
    let mut run = Run { windows, trigger, content, watermark: MIN_TIME, of: std::marker::PhantomData };
    let (mut results, mut sides) = (Vec::new(), Sides::default());
    let late = sides.add::<T>(true);
    let mut all: BTreeMap<Vec<u8>, Vec<Pane<T, Tr::State>>> = BTreeMap::new();
    for event in events {
        match event {
            Event::Record(at, record) => {
                let of = key(&record);
                let panes = all.entry(of.encoded(<[u8]>::to_vec)).or_default();
                let mut assigned = Vec::new();
                windows.assign(at, &record, &mut assigned);
                assigned.sort_by_key(|window| (window.end, window.start));
                let mut accepted = false;
                for window in assigned {
                    let window = match windows.merges() {
                        true => run.grow(&of, window, panes, &mut results),
                        false => Some(window).filter(|window| run.over_at(*window) > run.watermark),
                    };
                    let Some(window) = window else { continue };
                    accepted = true;
                    if !panes.iter().any(|pane| pane.window == window) {
                        let (records, state, asked) = (Vec::new(), Tr::State::default(), Vec::new());
                        panes.push(Pane { window, records, state, asked });
                    }
                    let pane = panes.iter_mut().find(|pane| pane.window == window);
                    let pane = pane.expect("it has just been made");
                    pane.records.push((at, record.clone()));
                    run.ask(&of, pane, &mut results, |tr, state, cx| tr.on_record(&record, at, state, cx));
                }
                if !accepted && at.saturating_add(as_millis(windows.allowed_lateness())) <= run.watermark {
                    sides.push(late, at, record);
                }
            }
            Event::Watermark(now) => {
                run.watermark = now;
                for (key, panes) in &mut all {
                    let key = K::decode(key).expect("it was encoded from a key");
                    advance(&run, &key, panes, &mut results);
                }
                results.push(Event::Watermark(now));
                sides.mark(MarkKind::Watermark(now));
            }
        }
    }
    Processed { results, sides }
}

/// What is due for a key, in the order of time, then of the windows' ends.
fn advance<K, T, W, Tr, Co>(
    run: &Run<'_, T, W, Tr, Co>,
    key: &K,
    panes: &mut Vec<Pane<T, Tr::State>>,
    results: &mut Vec<Event<Co::Out>>,
) where
    K: Key,
    T: Clone,
    W: Assign<T>,
    Tr: Trigger<T>,
    Co: Content<K, T>,
{
    loop {
        let over =
            |pane: &Pane<T, Tr::State>| Some(run.over_at(pane.window)).filter(|_| pane.window.end < MAX_TIME);
        let times = panes.iter().flat_map(|pane| pane.asked.iter().copied().chain(over(pane)));
        let Some(at) = times.min().filter(|at| *at <= run.watermark) else { return };
        panes.sort_by_key(|pane| (pane.window.end, pane.window.start));
        for pane in panes.iter_mut() {
            if let Some(place) = pane.asked.iter().position(|asked| *asked == at) {
                pane.asked.remove(place);
                run.ask(key, pane, results, |trigger, state, cx| trigger.on_event_time(at, state, cx));
            }
        }
        panes.retain(|pane| over(pane).is_none_or(|over| over > at));
    }
}
