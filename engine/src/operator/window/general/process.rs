//! The general operator of windows, as a process function: panes per key, by their windows.
//!
//! A timer belongs to a key, whichever of its panes has asked for it; each pane knows what it waits for. A window is
//! cleaned up by a timer too.

use std::marker::PhantomData;

use millstream_storage::planted;

use super::Pane;
use super::content::Content;
use super::trigger::{Action, Trigger, TriggerContext};
use crate::key::Key;
use crate::operator::process::{Context, Declare, OutputTag, Process, Side};
use crate::operator::window::Window;
use crate::operator::window::assign::Assign;
use crate::state::{Map, Value};
use crate::time::{MAX_TIME, Timestamp, as_millis};

/// The name of the side output for late records.
pub(crate) const LATE: &str = "late";

pub(crate) struct Triggered<K, T, W, Tr, Co> {
    pub windows: W,
    pub trigger: Tr,
    pub content: Co,
    of: PhantomData<fn() -> (K, T)>,
}

impl<K, T, W, Tr, Co> Triggered<K, T, W, Tr, Co> {
    pub(crate) fn new(windows: W, trigger: Tr, content: Co) -> Self {
        Triggered { windows, trigger, content, of: PhantomData }
    }
}

impl<K, T, W: Clone, Tr: Clone, Co: Clone> Clone for Triggered<K, T, W, Tr, Co> {
    fn clone(&self) -> Self {
        Triggered::new(self.windows.clone(), self.trigger.clone(), self.content.clone())
    }
}

/// A window as a key of a map: start and end.
type Place = (Timestamp, Timestamp);

pub(crate) struct States<T, S, C> {
    panes: Map<Place, Pane>,
    triggers: Map<Place, S>,
    next_id: Value<u64>,
    content: C,
    late: Side<T>,
}

type StatesOf<K, T, Tr, Co> = States<T, <Tr as Trigger<T>>::State, <Co as Content<K, T>>::State>;

/// A pane that is being worked on, with what its trigger keeps.
struct Open<S> {
    window: Window,
    pane: Pane,
    state: S,
}

fn place(window: Window) -> Place {
    (window.start, window.end)
}

impl<K, T, W, Tr, Co> Triggered<K, T, W, Tr, Co>
where
    K: Key,
    T: Clone + Send + 'static,
    W: Assign<T>,
    Tr: Trigger<T>,
    Co: Content<K, T>,
{
    /// When a window is over: once the watermark has reached this.
    fn cleanup(&self, window: Window) -> Timestamp {
        window.max_timestamp().saturating_add(as_millis(self.windows.allowed_lateness()))
    }

    fn load(
        &self,
        states: &StatesOf<K, T, Tr, Co>,
        cx: &Context<'_, Self>,
        window: Window,
    ) -> Option<Open<Tr::State>> {
        let pane = states.panes.load(cx, &place(window))?;
        let state = states.triggers.load(cx, &place(window)).unwrap_or_default();
        Some(Open { window, pane, state })
    }

    fn keep(&self, states: &StatesOf<K, T, Tr, Co>, cx: &mut Context<'_, Self>, open: &Open<Tr::State>) {
        states.panes.put(cx, &place(open.window), &open.pane);
        states.triggers.put(cx, &place(open.window), &open.state);
    }

    fn create(
        &self,
        states: &StatesOf<K, T, Tr, Co>,
        cx: &mut Context<'_, Self>,
        window: Window,
    ) -> Open<Tr::State> {
        let id = states.next_id.update(cx, |next| {
            *next += 1;
            *next
        });
        if window.end < MAX_TIME {
            cx.timer_at(self.cleanup(window));
        }
        Open { window, pane: Pane { id, ..Pane::default() }, state: Tr::State::default() }
    }

    /// Asks the trigger, sets the timers that it asks for, and does what it says.
    fn ask(
        &self,
        states: &StatesOf<K, T, Tr, Co>,
        cx: &mut Context<'_, Self>,
        open: &mut Open<Tr::State>,
        ask: impl FnOnce(&mut Tr::State, &mut TriggerContext<'_>) -> Action,
    ) {
        let before = (open.pane.event.len(), open.pane.processing.len());
        let mut of_trigger = TriggerContext {
            window: open.window,
            watermark: cx.watermark(),
            now: cx.processing_time(),
            event: &mut open.pane.event,
            processing: &mut open.pane.processing,
        };
        let action = ask(&mut open.state, &mut of_trigger);
        open.pane.event[before.0..].iter().for_each(|at| cx.timer_at(*at));
        open.pane.processing[before.1..].iter().for_each(|at| cx.processing_timer_at(*at));
        if action.fires() && open.pane.len > 0 {
            let results = self.content.fire(&states.content, cx, &mut open.pane, open.window);
            let time = std::mem::replace(&mut cx.time, open.window.max_timestamp());
            results.into_iter().for_each(|result| cx.emit(result));
            cx.time = time;
        }
        if action.purges() && !planted!(purge_forgotten) {
            self.content.clear(&states.content, cx, &mut open.pane);
        }
    }

    /// The windows of a record that are not over, each with its pane.
    fn panes_of(
        &self,
        states: &StatesOf<K, T, Tr, Co>,
        cx: &mut Context<'_, Self>,
        record: &T,
    ) -> Vec<Open<Tr::State>> {
        let mut windows = Vec::new();
        self.windows.assign(cx.time(), record, &mut windows);
        windows.sort_unstable_by_key(|window| (window.end, window.start));
        let mut open = Vec::new();
        for window in windows {
            if self.windows.merges() {
                open.extend(self.grow(states, cx, window));
            } else if self.cleanup(window) > cx.watermark() {
                let pane = self.load(states, cx, window);
                open.push(pane.unwrap_or_else(|| self.create(states, cx, window)));
            }
        }
        open
    }

    /// A window of a kind that merges: joined with all that it touches, unless that is over.
    fn grow(
        &self,
        states: &StatesOf<K, T, Tr, Co>,
        cx: &mut Context<'_, Self>,
        window: Window,
    ) -> Option<Open<Tr::State>> {
        let all = states.panes.iter(cx).map(|((start, end), _)| Window { start, end });
        let mut touched: Vec<Window> =
            all.filter(|of| of.start <= window.end && window.start <= of.end).collect();
        touched.sort_unstable();
        let start = touched.iter().map(|of| of.start).fold(window.start, Timestamp::min);
        let end = touched.iter().map(|of| of.end).fold(window.end, Timestamp::max);
        let merged = Window { start, end };
        if self.cleanup(merged) <= cx.watermark() {
            return None;
        }
        match touched[..] {
            [] => return Some(self.create(states, cx, merged)),
            [only] if only == merged => return self.load(states, cx, merged),
            _ => {}
        }
        let mut panes = touched.into_iter().filter_map(|window| self.load(states, cx, window));
        let panes: Vec<_> = panes.by_ref().collect();
        panes.iter().for_each(|open| self.forget(states, cx, open));
        let mut panes = panes.into_iter();
        let mut into = panes.next().expect("at least one is touched");
        for mut other in panes {
            self.content.merge(&states.content, cx, &mut into.pane, &mut other.pane);
            self.trigger.merge(&mut into.state, &other.state);
        }
        into.window = merged;
        (into.pane.event, into.pane.processing) = (Vec::new(), Vec::new());
        cx.timer_at(self.cleanup(merged));
        self.ask(states, cx, &mut into, |state, cx| {
            self.trigger.on_merge(state, cx);
            Action::Continue
        });
        Some(into)
    }

    /// Forgets a pane, but for its content, and takes back the timers that no other pane of the key waits for.
    fn forget(&self, states: &StatesOf<K, T, Tr, Co>, cx: &mut Context<'_, Self>, open: &Open<Tr::State>) {
        states.panes.remove(cx, &place(open.window));
        states.triggers.remove(cx, &place(open.window));
        let others: Vec<(Window, Pane)> = states
            .panes
            .iter(cx)
            .filter_map(|((start, end), _)| {
                let window = Window { start, end };
                Some((window, states.panes.load(cx, &(start, end))?))
            })
            .collect();
        let of_event = open.pane.event.iter().copied().chain([self.cleanup(open.window)]);
        for at in of_event {
            let is_other =
                |(window, pane): &(Window, Pane)| pane.event.contains(&at) || self.cleanup(*window) == at;
            if !others.iter().any(is_other) {
                cx.delete_timer_at(at);
            }
        }
        for at in &open.pane.processing {
            if !others.iter().any(|(_, pane)| pane.processing.contains(at)) {
                cx.delete_processing_timer_at(*at);
            }
        }
    }

    /// The panes of the key, the earliest end first.
    fn panes(&self, states: &StatesOf<K, T, Tr, Co>, cx: &Context<'_, Self>) -> Vec<Open<Tr::State>> {
        let mut windows: Vec<Window> =
            states.panes.iter(cx).map(|((start, end), _)| Window { start, end }).collect();
        windows.sort_unstable_by_key(|window| (window.end, window.start));
        windows.into_iter().filter_map(|window| self.load(states, cx, window)).collect()
    }
}

impl<K, T, W, Tr, Co> Process for Triggered<K, T, W, Tr, Co>
where
    K: Key,
    T: Clone + Send + 'static,
    W: Assign<T>,
    Tr: Trigger<T>,
    Co: Content<K, T>,
{
    type Key = K;
    type In = T;
    type Out = Co::Out;
    type State = StatesOf<K, T, Tr, Co>;

    fn declare(&self, state: &mut Declare) -> Self::State {
        States {
            panes: state.map("panes"),
            triggers: state.map("triggers"),
            next_id: state.value("next"),
            content: self.content.declare(state),
            late: state.side(OutputTag::new(LATE)),
        }
    }

    fn on_record(&mut self, record: T, states: &Self::State, cx: &mut Context<'_, Self>) {
        let time = cx.time();
        let open = self.panes_of(states, cx, &record);
        if open.is_empty()
            && time.saturating_add(as_millis(self.windows.allowed_lateness())) <= cx.watermark()
        {
            cx.count_late();
            return cx.emit_to(&states.late, record);
        }
        for mut open in open {
            self.content.add(&states.content, cx, &mut open.pane, (time, record.clone()));
            self.ask(states, cx, &mut open, |state, cx| self.trigger.on_record(&record, time, state, cx));
            self.keep(states, cx, &open);
        }
    }

    fn on_timer(&mut self, at: Timestamp, states: &Self::State, cx: &mut Context<'_, Self>) {
        let mut looked_at = 0;
        for mut open in self.panes(states, cx) {
            let asked = open.pane.event.iter().position(|asked| *asked == at);
            let over = open.window.end < MAX_TIME && self.cleanup(open.window) <= at;
            if planted!(timer_of_one_pane) && looked_at > 0 {
                continue;
            }
            looked_at += usize::from(asked.is_some());
            if let Some(asked) = asked {
                open.pane.event.remove(asked);
                self.ask(states, cx, &mut open, |state, cx| self.trigger.on_event_time(at, state, cx));
            }
            if over {
                self.content.clear(&states.content, cx, &mut open.pane);
                self.forget(states, cx, &open);
                if states.panes.is_empty(cx) {
                    // Nothing has a number any more.
                    states.next_id.clear(cx);
                }
            } else if asked.is_some() {
                self.keep(states, cx, &open);
            }
        }
    }

    fn on_processing_timer(&mut self, at: Timestamp, states: &Self::State, cx: &mut Context<'_, Self>) {
        for mut open in self.panes(states, cx) {
            if let Some(asked) = open.pane.processing.iter().position(|asked| *asked == at) {
                open.pane.processing.remove(asked);
                self.ask(states, cx, &mut open, |state, cx| self.trigger.on_processing_time(at, state, cx));
                self.keep(states, cx, &open);
            }
        }
    }
}
