//! The join of windows: what the two sides have in each window of a key.

use std::marker::PhantomData;

use crate::key::Key;
use crate::operator::join::late::Late;
use crate::operator::join::shape::Shape;
use crate::operator::process::{Context, Declare, Process};
use crate::operator::window::{Spans, Tumbling, Window, Windowed};
use crate::state::Timeline;
use crate::state::codec::StateValue;
use crate::stream::Either;
use crate::time::{MIN_TIME, Timestamp};

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

/// Keeps the records of both sides by time, so that a window is a span of them. A window has a timer for its end, at which
/// it fires, and one for its clean-up, if that is later.
#[derive(Clone)]
pub(crate) struct WindowJoin<K, L, R, G> {
    windows: Tumbling,
    together: G,
    of: PhantomData<fn() -> (K, L, R)>,
}

impl<K, L, R, G> WindowJoin<K, L, R, G> {
    pub(crate) fn new(windows: Tumbling, together: G) -> Self {
        WindowJoin { windows, together, of: PhantomData }
    }
}

pub(crate) struct Sides<L, R> {
    left: Timeline<L>,
    right: Timeline<R>,
    late: Late<L, R>,
}

impl<K, L, R, G> WindowJoin<K, L, R, G>
where
    K: Key,
    L: StateValue + Clone + Send,
    R: StateValue + Clone + Send,
    G: Together<L, R>,
{
    fn fire(&self, window: Window, state: &Sides<L, R>, cx: &mut Context<'_, Self>) {
        let span = window.start..=window.max_timestamp();
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

impl<K, L, R, G> Process for WindowJoin<K, L, R, G>
where
    K: Key,
    L: StateValue + Clone + Send,
    R: StateValue + Clone + Send,
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
        let window = self.windows.window_of(at);
        let (end, cleanup) = (window.max_timestamp(), self.windows.cleanup(window.end));
        let begun = watermark > MIN_TIME;
        match record {
            Either::Left(left) if begun && cleanup <= watermark => {
                return cx.emit_late(&state.late.left, left);
            }
            Either::Right(right) if begun && cleanup <= watermark => {
                return cx.emit_late(&state.late.right, right);
            }
            Either::Left(left) => state.left.insert(cx, at, &left),
            Either::Right(right) => state.right.insert(cx, at, &right),
        }
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

    fn on_timer(&mut self, at: Timestamp, state: &Sides<L, R>, cx: &mut Context<'_, Self>) {
        let window = self.windows.window_of(at);
        if window.max_timestamp() == at {
            self.fire(window, state, cx);
        }
        // The windows whose clean-up has come end up to this long ago.
        let (_, _, lateness) = self.windows.parameters();
        let Some(gone) = at.checked_sub(lateness) else { return };
        let last = self.windows.window_of(gone);
        let upto = if last.max_timestamp() <= gone { gone } else { last.start.saturating_sub(1) };
        state.left.remove(cx, ..=upto);
        state.right.remove(cx, ..=upto);
    }
}

#[cfg(test)]
mod tests;
