//! The general operator of windows, as a process function: panes per key, by their windows.
//!
//! A timer belongs to a key, whichever of its panes has asked for it. Each pane knows what it waits for, and timelines
//! which panes wait for a time, so that a timer looks at no others. A window is cleaned up by a timer too.

use std::marker::PhantomData;

use millstream_storage::planted;

use super::Pane;
use super::content::Content;
use super::trigger::{Action, Trigger, TriggerContext};
use crate::key::Key;
use crate::operator::process::{Context, Declare, OutputTag, Process, Side};
use crate::operator::window::Window;
use crate::operator::window::assign::Assign;
use crate::state::{Map, StateValue, Timeline, Value};
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
    /// Which panes wait for a time. What a forgotten pane has waited for may stay while others wait for the same.
    event: Timeline<Place>,
    processing: Timeline<Place>,
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

/// The windows that wait for a time, the earliest end first.
fn waiting<P: Process>(timeline: &Timeline<Place>, cx: &Context<'_, P>, at: Timestamp) -> Vec<Window> {
    let places = timeline.range(cx, at..=at).map(|(_, place)| Place::thaw(place));
    let mut windows: Vec<Window> = places.map(|(start, end)| Window { start, end }).collect();
    windows.sort_unstable_by_key(|window| (window.end, window.start));
    windows.dedup();
    windows
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
        if size_of::<Tr::State>() > 0 {
            states.triggers.put(cx, &place(open.window), &open.state);
        }
    }

    /// Whether the operator itself waits until a window is over.
    fn ends(&self, window: Window) -> bool {
        window.end < MAX_TIME
    }

    fn wait_for_cleanup(&self, states: &StatesOf<K, T, Tr, Co>, cx: &mut Context<'_, Self>, window: Window) {
        if self.ends(window) {
            let at = self.cleanup(window);
            states.event.insert(cx, at, &place(window));
            cx.timer_at(at);
        }
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
        self.wait_for_cleanup(states, cx, window);
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
        for at in &open.pane.event[before.0..] {
            if !self.ends(open.window) || *at != self.cleanup(open.window) {
                states.event.insert(cx, *at, &place(open.window));
                cx.timer_at(*at);
            }
        }
        for at in &open.pane.processing[before.1..] {
            states.processing.insert(cx, *at, &place(open.window));
            cx.processing_timer_at(*at);
        }
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
        self.wait_for_cleanup(states, cx, merged);
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
        for at in open.pane.event.iter().copied().chain([self.cleanup(open.window)]) {
            let waits = |window, pane: &Pane| {
                pane.event.contains(&at) || (self.ends(window) && self.cleanup(window) == at)
            };
            if !self.is_awaited(states, cx, &states.event, at, waits) {
                states.event.remove(cx, at..=at);
                cx.delete_timer_at(at);
            }
        }
        for at in open.pane.processing.iter().copied() {
            let waits = |_, pane: &Pane| pane.processing.contains(&at);
            if !self.is_awaited(states, cx, &states.processing, at, waits) {
                states.processing.remove(cx, at..=at);
                cx.delete_processing_timer_at(at);
            }
        }
    }

    /// Whether one of the panes that may wait for a time still does.
    fn is_awaited(
        &self,
        states: &StatesOf<K, T, Tr, Co>,
        cx: &Context<'_, Self>,
        timeline: &Timeline<Place>,
        at: Timestamp,
        waits: impl Fn(Window, &Pane) -> bool,
    ) -> bool {
        timeline.range(cx, at..=at).any(|(_, found)| {
            let (start, end) = Place::thaw(found);
            states.panes.load(cx, &(start, end)).is_some_and(|pane| waits(Window { start, end }, &pane))
        })
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
            event: state.timeline("waiting"),
            processing: state.timeline("waiting for the clock"),
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
        let timed = (time, record);
        for mut open in open {
            self.content.add(&states.content, cx, &mut open.pane, &timed);
            self.ask(states, cx, &mut open, |state, cx| self.trigger.on_record(&timed.1, time, state, cx));
            self.keep(states, cx, &open);
        }
    }

    fn on_timer(&mut self, at: Timestamp, states: &Self::State, cx: &mut Context<'_, Self>) {
        let windows = waiting(&states.event, cx, at);
        states.event.remove(cx, at..=at);
        let mut looked_at = 0;
        for window in windows {
            let Some(mut open) = self.load(states, cx, window) else { continue };
            let asked = open.pane.event.iter().position(|asked| *asked == at);
            let over = self.ends(window) && self.cleanup(window) <= at;
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
        let windows = waiting(&states.processing, cx, at);
        states.processing.remove(cx, at..=at);
        for window in windows {
            let Some(mut open) = self.load(states, cx, window) else { continue };
            if let Some(asked) = open.pane.processing.iter().position(|asked| *asked == at) {
                open.pane.processing.remove(asked);
                self.ask(states, cx, &mut open, |state, cx| self.trigger.on_processing_time(at, state, cx));
                self.keep(states, cx, &open);
            }
        }
    }
}
