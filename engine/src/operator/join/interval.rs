//! The interval join: each left record with the right ones whose time is close to its own.

use std::iter::repeat_n;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use millstream_storage::planted;

use crate::key::Key;
use crate::operator::join::late::Late;
use crate::operator::process::{Context, Declare, Process};
use crate::state::Timeline;
use crate::state::codec::StateValue;
use crate::stream::Either;
use crate::time::{MAX_TIME, MIN_TIME, Timestamp};

/// How far the time of a right record may lie from that of a left one, for the two to meet: both ends included, and a
/// negative number is before.
///
/// ```
/// use millstream::prelude::*;
///
/// // The answer comes within a minute after the question.
/// let answers = Within::minutes(0..=1);
/// assert_eq!(answers, Within::secs(0..=60));
/// // At most a second before or after.
/// assert_eq!(Within::secs(-1..=1), Within::millis(-1_000..=1_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// Milliseconds.
    lo: i64,
    hi: i64,
}

impl Within {
    /// A span of milliseconds.
    ///
    /// # Panics
    /// If it ends before it begins; so do all of these.
    pub fn millis(span: RangeInclusive<i64>) -> Within {
        let (lo, hi) = span.into_inner();
        assert!(lo <= hi, "an interval from {lo} ms to {hi} ms is empty: give the lesser bound first");
        Within { lo, hi }
    }

    /// A span of seconds.
    pub fn secs(span: RangeInclusive<i64>) -> Within {
        Within::times(span, 1_000)
    }

    /// A span of minutes.
    pub fn minutes(span: RangeInclusive<i64>) -> Within {
        Within::times(span, 60_000)
    }

    /// A span of hours.
    pub fn hours(span: RangeInclusive<i64>) -> Within {
        Within::times(span, 3_600_000)
    }

    fn times(span: RangeInclusive<i64>, unit: i64) -> Within {
        Within::millis(span.start().saturating_mul(unit)..=span.end().saturating_mul(unit))
    }

    /// The bounds, in milliseconds.
    pub(crate) fn bounds(self) -> (i64, i64) {
        (self.lo, self.hi)
    }

    /// When a left record that happened at `at` is cleaned up: no right one that is in time can meet it any more.
    fn left_ends(self, at: Timestamp) -> Timestamp {
        at.saturating_add(self.hi.max(0))
    }

    /// As `left_ends`, of a right record.
    fn right_ends(self, at: Timestamp) -> Timestamp {
        at.saturating_add(self.lo.saturating_neg().max(0))
    }

    /// The latest left records that are cleaned up by now.
    fn left_gone(self, watermark: Timestamp) -> Option<Timestamp> {
        gone(watermark, self.hi.max(0))
    }

    fn right_gone(self, watermark: Timestamp) -> Option<Timestamp> {
        gone(watermark, self.lo.saturating_neg().max(0))
    }
}

/// The latest time after which `keep` ms have passed.
fn gone(watermark: Timestamp, keep: i64) -> Option<Timestamp> {
    if planted!(interval_cleaned_early) {
        return Some(watermark);
    }
    match watermark {
        // Before the first watermark no time has passed, not even for records that have none.
        MIN_TIME => None,
        // Nothing comes after the last one: what would be kept beyond the end of time is gone, too.
        MAX_TIME => Some(MAX_TIME),
        _ => watermark.checked_sub(keep),
    }
}

/// The times from one to another that are not gone.
fn still(gone: Option<Timestamp>, from: Timestamp, to: Timestamp) -> RangeInclusive<Timestamp> {
    match gone {
        Some(MAX_TIME) => to.saturating_add(1)..=to,
        Some(gone) => from.max(gone + 1)..=to,
        None => from..=to,
    }
}

/// Keeps the records of both sides by time until nothing that is in time can meet them.
///
/// What is cleaned up is out of sight at once, whenever it is removed. That is seldom: a key with records has one timer,
/// at which all is removed that is gone, and the next one is set for the last of the rest.
#[derive(Clone)]
pub(crate) struct IntervalJoin<K, L, R> {
    within: Within,
    /// What a record has met: kept for its memory only.
    lefts: Vec<(Timestamp, L)>,
    rights: Vec<(Timestamp, R)>,
    of: PhantomData<K>,
}

impl<K, L, R> IntervalJoin<K, L, R> {
    pub(crate) fn new(within: Within) -> Self {
        IntervalJoin { within, lefts: Vec::new(), rights: Vec::new(), of: PhantomData }
    }
}

pub(crate) struct Sides<L, R> {
    left: Timeline<L>,
    right: Timeline<R>,
    late: Late<L, R>,
}

/// Between two visits of a side at least so much time passes, or as much as its records are kept: what is dead hides
/// until then.
const SELDOM: i64 = 1_000;

/// When to come back to a side because of a record at `at`, unless it is looked after already; `first` is what it has.
fn visit(
    first: Option<Timestamp>,
    at: Timestamp,
    ends: impl Fn(Timestamp) -> Timestamp,
) -> Option<Timestamp> {
    match first {
        None => Some(ends(at)),
        Some(first) => (at < first).then(|| later(at, ends)),
    }
}

/// When to come back to a side whose first and last records are these.
fn next_visit(first: Timestamp, last: Timestamp, ends: impl Fn(Timestamp) -> Timestamp) -> Timestamp {
    ends(last).min(later(first, &ends))
}

fn later(at: Timestamp, ends: impl Fn(Timestamp) -> Timestamp) -> Timestamp {
    let end = ends(at);
    end.saturating_add(end.saturating_sub(at).max(SELDOM))
}

impl<K, L, R> Process for IntervalJoin<K, L, R>
where
    K: Key,
    L: StateValue + Clone + Send,
    R: StateValue + Clone + Send,
{
    type Key = K;
    type In = Either<L, R>;
    type Out = (L, R);
    type State = Sides<L, R>;

    fn declare(&self, state: &mut Declare) -> Sides<L, R> {
        Sides { left: state.timeline("left"), right: state.timeline("right"), late: Late::declare(state) }
    }

    fn on_record(&mut self, record: Either<L, R>, state: &Sides<L, R>, cx: &mut Context<'_, Self>) {
        let IntervalJoin { within, lefts, rights, .. } = self;
        let (at, watermark) = (cx.time(), cx.watermark());
        match record {
            Either::Left(left) if at < watermark => cx.emit_late(&state.late.left, left),
            Either::Right(right) if at < watermark => cx.emit_late(&state.late.right, right),
            Either::Left(left) => {
                let (from, to) = (at.saturating_add(within.lo), at.saturating_add(within.hi));
                let near = state.right.range(cx, still(within.right_gone(watermark), from, to));
                rights.extend(near.map(|(time, right)| (time, R::thaw(right))));
                let first = state.left.first(cx).map(|(first, _)| first);
                if let Some(at) = visit(first, at, |at| within.left_ends(at)) {
                    cx.timer_at(at);
                }
                state.left.insert(cx, at, &left);
                for (left, (time, right)) in repeat_n(left, rights.len()).zip(rights.drain(..)) {
                    cx.out.push(at.max(time), (left, right));
                }
            }
            Either::Right(right) => {
                let (from, to) = (at.saturating_sub(within.hi), at.saturating_sub(within.lo));
                let near = state.left.range(cx, still(within.left_gone(watermark), from, to));
                lefts.extend(near.map(|(time, left)| (time, L::thaw(left))));
                let first = state.right.first(cx).map(|(first, _)| first);
                if let Some(at) = visit(first, at, |at| within.right_ends(at)) {
                    cx.timer_at(at);
                }
                state.right.insert(cx, at, &right);
                for (right, (time, left)) in repeat_n(right, lefts.len()).zip(lefts.drain(..)) {
                    cx.out.push(at.max(time), (left, right));
                }
            }
        }
    }

    fn on_timer(&mut self, _: Timestamp, state: &Sides<L, R>, cx: &mut Context<'_, Self>) {
        let (within, watermark) = (self.within, cx.watermark());
        if let Some(gone) = within.left_gone(watermark) {
            state.left.remove(cx, ..=gone);
        }
        if let Some(gone) = within.right_gone(watermark) {
            state.right.remove(cx, ..=gone);
        }
        let left = state.left.first(cx).zip(state.left.last(cx));
        let left = left.map(|(first, last)| next_visit(first.0, last.0, |at| within.left_ends(at)));
        let right = state.right.first(cx).zip(state.right.last(cx));
        let right = right.map(|(first, last)| next_visit(first.0, last.0, |at| within.right_ends(at)));
        if let Some(at) = left.into_iter().chain(right).min() {
            cx.timer_at(at);
        }
    }
}

#[cfg(test)]
mod tests;
