//! The join of windows: what the two sides have in each window of a key.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use millstream_storage::planted;

use crate::key::Key;
use crate::operator::join::late::Late;
use crate::operator::join::shape::Shape;
use crate::operator::process::{Context, Declare, Process};
use crate::operator::window::{Assign, Window, Windowed};
use crate::state::Timeline;
use crate::state::codec::StateValue;
use crate::stream::Either;
use crate::time::{MAX_TIME, MIN_TIME, Timestamp, as_millis};

/// What is made of the records that the two sides have in a window, each in the order of their times.
pub(crate) trait Together<L, R>: Clone + Send + 'static {
    type Out: Send + 'static;
    fn together(&self, window: Window, left: &[L], right: &[R], emit: &mut dyn FnMut(Self::Out));
}

/// Every pair of a window, and what a shape makes of those without any.
#[derive(Clone)]
pub(crate) struct Paired<S>(pub S);

impl<L, R, S: Shape<L, R>> Together<L, R> for Paired<S> {
    type Out = S::Out;
    fn together(&self, _: Window, left: &[L], right: &[R], emit: &mut dyn FnMut(S::Out)) {
        for l in left {
            right.iter().filter_map(|r| S::pair(l, r)).for_each(&mut *emit);
            S::left(l, !right.is_empty()).into_iter().for_each(&mut *emit);
        }
        let alone = right.iter().filter_map(|r| S::right(r, !left.is_empty()));
        alone.for_each(&mut *emit);
    }
}

/// Both groups of a window, through a function.
#[derive(Clone)]
pub(crate) struct Grouped<G>(pub G);

impl<L, R, I, G> Together<L, R> for Grouped<G>
where
    I: IntoIterator,
    I::Item: Send + 'static,
    G: Fn(Window, &[L], &[R]) -> I + Clone + Send + 'static,
{
    type Out = I::Item;
    fn together(&self, window: Window, left: &[L], right: &[R], emit: &mut dyn FnMut(I::Item)) {
        (self.0)(window, left, right).into_iter().for_each(emit);
    }
}

/// Keeps the records of both sides by time, once, so that a window is a span of them, of whatever windows there are. A
/// window has a timer for its end, at which it fires, and one for its clean-up, if that is later.
#[derive(Clone)]
pub(crate) struct WindowJoin<K, L, R, W, G> {
    windows: W,
    /// Milliseconds.
    lateness: i64,
    together: G,
    /// The windows of a record: kept for its memory only.
    of_record: Vec<Window>,
    of: PhantomData<(K, L, R)>,
}

impl<K, L, R, W: Assign<()>, G> WindowJoin<K, L, R, W, G> {
    /// # Panics
    /// If windows merge: what belongs to them is not known from a record's time.
    pub(crate) fn new(windows: W, together: G) -> Self {
        assert!(!windows.merges(), "{}: windows that merge cannot be joined", windows.describe());
        let lateness = as_millis(windows.allowed_lateness());
        WindowJoin { windows, lateness, together, of_record: Vec::new(), of: PhantomData }
    }

    /// When a window is cleaned up.
    fn cleanup(&self, window: &Window) -> Timestamp {
        window.max_timestamp().saturating_add(self.lateness)
    }

    fn windows_of(&self, at: Timestamp) -> Vec<Window> {
        let mut windows = Vec::new();
        self.windows.assign(at, &(), &mut windows);
        windows
    }

    /// The windows whose last timestamp is this.
    fn ending(&self, at: Timestamp) -> Vec<Window> {
        let mut windows = self.windows_of(at);
        if at == MAX_TIME - 1 {
            // Those that are cut off at the end of time: one of them may begin there.
            windows.extend(self.windows_of(MAX_TIME));
            windows.sort_unstable();
            windows.dedup();
        }
        windows.retain(|window| window.max_timestamp() == at);
        windows
    }

    /// Until when nothing is needed any more, if at all, once the watermark has reached `at`.
    ///
    /// Windows whose last timestamp lies by the lateness before it are cleaned up. The first of the others begins where the
    /// first does that holds the next timestamp: what comes before it is in none of them.
    fn unneeded(&self, at: Timestamp) -> Option<Timestamp> {
        let gone = if at == MAX_TIME { at } else { at.checked_sub(self.lateness)? };
        if gone >= MAX_TIME - 1 {
            // No window has a later one.
            return Some(MAX_TIME);
        }
        if planted!(window_join_cleaned_early) {
            return Some(gone);
        }
        let first = self.windows_of(gone + 1).into_iter().map(|window| window.start).min();
        match first {
            // Nothing lies before the first of all times.
            Some(start) => start.checked_sub(1).map(|before| before.min(gone)),
            None => Some(gone),
        }
    }
}

/// The times of the records in a window. Ends are exclusive, but no time lies beyond that of one that is cut off.
fn span(window: &Window) -> RangeInclusive<Timestamp> {
    match window.end {
        MAX_TIME => window.start..=MAX_TIME,
        _ => window.start..=window.max_timestamp(),
    }
}

pub(crate) struct Sides<L, R> {
    left: Timeline<L>,
    right: Timeline<R>,
    late: Late<L, R>,
}

impl<K, L, R, W, G> WindowJoin<K, L, R, W, G>
where
    K: Key,
    L: StateValue + Clone + Send,
    R: StateValue + Clone + Send,
    W: Assign<()>,
    G: Together<L, R>,
{
    fn fire(&self, window: Window, state: &Sides<L, R>, cx: &mut Context<'_, Self>) {
        let span = span(&window);
        let left: Vec<L> = state.left.range(cx, span.clone()).map(|(_, left)| L::thaw(left)).collect();
        let right: Vec<R> = state.right.range(cx, span).map(|(_, right)| R::thaw(right)).collect();
        if left.is_empty() && right.is_empty() {
            return;
        }
        let (key, out) = (cx.key, &mut *cx.out);
        self.together.together(window, &left, &right, &mut |value| {
            out.push(window.max_timestamp(), Windowed { key: key.clone(), window, value });
        });
    }
}

impl<K, L, R, W, G> Process for WindowJoin<K, L, R, W, G>
where
    K: Key,
    L: StateValue + Clone + Send,
    R: StateValue + Clone + Send,
    W: Assign<()>,
    G: Together<L, R>,
{
    type Key = K;
    type In = Either<L, R>;
    type Out = Windowed<K, G::Out>;
    type State = Sides<L, R>;

    fn declare(&self, state: &mut Declare) -> Sides<L, R> {
        Sides { left: state.timeline("left"), right: state.timeline("right"), late: Late::declare(state) }
    }

    fn on_record(&mut self, record: Either<L, R>, state: &Sides<L, R>, cx: &mut Context<'_, Self>) {
        let (at, watermark) = (cx.time(), cx.watermark());
        let begun = watermark > MIN_TIME;
        let mut windows = std::mem::take(&mut self.of_record);
        self.windows.assign(at, &(), &mut windows);
        windows.retain(|window| !begun || self.cleanup(window) > watermark);
        if windows.is_empty() && !(begun && at.saturating_add(self.lateness) <= watermark) {
            // It is in none of them, early or late.
            self.of_record = windows;
            return;
        }
        match record {
            Either::Left(left) if windows.is_empty() => cx.emit_late(&state.late.left, left),
            Either::Right(right) if windows.is_empty() => cx.emit_late(&state.late.right, right),
            Either::Left(left) => state.left.insert(cx, at, &left),
            Either::Right(right) => state.right.insert(cx, at, &right),
        }
        for window in windows.drain(..) {
            let (end, cleanup) = (window.max_timestamp(), self.cleanup(&window));
            if begun && end <= watermark {
                // Within the allowed lateness: what has changed comes out again.
                self.fire(window, state, cx);
            } else {
                cx.timer_at(end);
            }
            if cleanup > end {
                cx.timer_at(cleanup);
            }
        }
        self.of_record = windows;
    }

    fn on_timer(&mut self, at: Timestamp, state: &Sides<L, R>, cx: &mut Context<'_, Self>) {
        for window in self.ending(at) {
            self.fire(window, state, cx);
        }
        if let Some(upto) = self.unneeded(at) {
            state.left.remove(cx, ..=upto);
            state.right.remove(cx, ..=upto);
        }
    }
}

#[cfg(test)]
mod tests;
