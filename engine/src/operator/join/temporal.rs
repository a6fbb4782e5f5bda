//! The temporal join: each left row with the version of the right table that was in force at its time.

use std::marker::PhantomData;

use millstream_storage::planted;

use crate::key::Key;
use crate::operator::join::late::Late;
use crate::operator::join::shape::Shape;
use crate::operator::process::{Context, Declare, Process};
use crate::state::Timeline;
use crate::state::codec::StateValue;
use crate::stream::{Change, Either};
use crate::time::{MIN_TIME, Timestamp};

/// Keeps left rows until the watermark has passed their time, and of the versions of the right table the newest one that
/// the watermark has passed, and all that are newer.
///
/// A key with left rows that wait has a timer for the first of them.
#[derive(Clone)]
pub(crate) struct TemporalJoin<K, L, R, S> {
    of: PhantomData<(K, L, R, S)>,
}

impl<K, L, R, S> TemporalJoin<K, L, R, S> {
    pub(crate) fn new() -> Self {
        TemporalJoin { of: PhantomData }
    }
}

pub(crate) struct States<L, R>
where
    Option<R>: StateValue,
{
    waiting: Timeline<L>,
    /// `None` is a delete.
    versions: Timeline<Option<R>>,
    late: Late<L, Change<R>>,
}

impl<K, L, R, S> TemporalJoin<K, L, R, S>
where
    K: Key,
    L: StateValue + Clone + Send,
    R: Clone + Send + 'static,
    Option<R>: StateValue,
    S: Shape<L, R>,
{
    /// A left row with the version in force at its time, as far as the versions that are kept tell.
    fn join(left: &L, version: Option<R>) -> Option<S::Out> {
        match version {
            Some(right) => S::pair(left, &right).or_else(|| S::left(left, true)),
            None => S::left(left, false),
        }
    }

    fn emit(at: Timestamp, left: &L, state: &States<L, R>, cx: &mut Context<'_, Self>) {
        let version = state.versions.floor(cx, at).and_then(|(_, version)| Option::<R>::thaw(version));
        if let Some(row) = Self::join(left, version) {
            cx.out.push(at, row);
        }
    }

    fn on_left(left: L, state: &States<L, R>, cx: &mut Context<'_, Self>) {
        let (at, watermark) = (cx.time(), cx.watermark());
        if at > watermark || watermark == MIN_TIME {
            if state.waiting.first(cx).is_none_or(|(first, _)| at < first) {
                cx.timer_at(at);
            }
            return state.waiting.insert(cx, at, &left);
        }
        // The watermark has passed it. Which version was in force is known unless it may have been dropped: then one that
        // the watermark has passed, too, is kept instead.
        let known = state.versions.floor(cx, at).is_some() || state.versions.floor(cx, watermark).is_none();
        match known {
            true => Self::emit(at, &left, state, cx),
            false => cx.emit_late(&state.late.left, left),
        }
    }

    fn on_version(change: Change<R>, state: &States<L, R>, cx: &mut Context<'_, Self>) {
        let (at, watermark) = (cx.time(), cx.watermark());
        let in_force = state.versions.floor(cx, watermark).map(|(since, _)| since);
        if watermark > MIN_TIME && in_force.is_some_and(|since| at < since) {
            return cx.emit_late(&state.late.right, change);
        }
        let version = change.is_addition().then_some(change.row);
        // The last of one time counts: also of an update's two, whose second may have gone to another key.
        state.versions.remove(cx, at..=at);
        state.versions.insert(cx, at, &version);
        Self::drop_versions(state, cx);
    }

    /// Drops the versions that no row can need any more: those before the newest that the watermark has passed.
    fn drop_versions(state: &States<L, R>, cx: &mut Context<'_, Self>) {
        let watermark = cx.watermark();
        if watermark == MIN_TIME {
            return;
        }
        if planted!(newest_version_dropped) {
            state.versions.remove(cx, ..=watermark);
            return;
        }
        let Some((since, _)) = state.versions.floor(cx, watermark) else { return };
        if state.versions.first(cx).is_some_and(|(first, _)| first < since) {
            state.versions.remove(cx, ..since);
        }
    }
}

impl<K, L, R, S> Process for TemporalJoin<K, L, R, S>
where
    K: Key,
    L: StateValue + Clone + Send,
    R: Clone + Send + 'static,
    Option<R>: StateValue,
    S: Shape<L, R>,
{
    type Key = K;
    type In = Either<L, Change<R>>;
    type Out = S::Out;
    type State = States<L, R>;

    fn declare(&self, state: &mut Declare) -> States<L, R> {
        States {
            waiting: state.timeline("waiting"),
            versions: state.timeline("versions"),
            late: Late::declare(state),
        }
    }

    fn on_record(&mut self, record: Either<L, Change<R>>, state: &States<L, R>, cx: &mut Context<'_, Self>) {
        match record {
            Either::Left(left) => Self::on_left(left, state, cx),
            Either::Right(change) => Self::on_version(change, state, cx),
        }
    }

    fn on_timer(&mut self, _: Timestamp, state: &States<L, R>, cx: &mut Context<'_, Self>) {
        let watermark = cx.watermark();
        let due = state.waiting.range(cx, ..=watermark).map(|(at, left)| (at, L::thaw(left)));
        for (at, left) in due.collect::<Vec<_>>() {
            Self::emit(at, &left, state, cx);
        }
        state.waiting.remove(cx, ..=watermark);
        Self::drop_versions(state, cx);
        if let Some((first, _)) = state.waiting.first(cx) {
            cx.timer_at(first);
        }
    }
}

#[cfg(test)]
mod tests;
