//! A timeline per key.

use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use crate::operator::process::{Context, Process};
use crate::state::codec::{self, StateValue};
use crate::state::handle::Handle;
use crate::state::spec::settings;
use crate::time::{MAX_TIME, MIN_TIME, Timestamp};

/// Values of type `T` by time for each key, those of equal times in the order of their insertion. Inserting costs the
/// logarithm of the size, reading a span the logarithm and what is in it, and removing what is before the watermark
/// what is removed: as joins need it. It does not expire by itself. Declared by
/// [`Declare::timeline`](crate::process::Declare::timeline).
///
/// ```
/// use millstream::prelude::*;
///
/// enum Row { Rate(Timestamp, f64), Order(Timestamp, f64) }
///
/// /// Converts each order by the newest rate at its time.
/// #[derive(Clone)]
/// struct Convert;
/// impl Process for Convert {
///     type Key = String;
///     type In = (String, Row);
///     type Out = f64;
///     type State = Timeline<f64>;
///     fn declare(&self, state: &mut Declare) -> Timeline<f64> {
///         state.timeline("rates")
///     }
///     fn on_record(&mut self, (_, row): (String, Row), rates: &Timeline<f64>, cx: &mut Context<'_, Self>) {
///         match row {
///             Row::Rate(at, rate) => rates.insert(cx, at, &rate),
///             Row::Order(at, amount) => {
///                 let rate = rates.floor(cx, at).map_or(1.0, |(_, rate)| rate.to_native());
///                 cx.emit(amount * rate);
///             }
///         }
///     }
/// }
/// let job = Job::new("doc");
/// let (sink, amounts) = collect();
/// let rows = || vec![Row::Rate(10, 1.5), Row::Rate(20, 2.0), Row::Order(15, 100.0), Row::Order(5, 100.0)];
/// job.source("rows", generator(4, move |i| ("EUR".to_owned(), rows().remove(i as usize))))
///     .key_by(|row| row.0.clone())
///     .process("convert", Convert)
///     .sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(amounts.take(), [150.0, 100.0]);
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// What is before the watermark goes, but for the newest, which is still in force:
/// ```
/// # use millstream::prelude::*;
/// fn clean_up<P: Process>(rates: &Timeline<f64>, cx: &mut Context<'_, P>) {
///     if let Some((in_force, _)) = rates.floor(cx, cx.watermark()) {
///         rates.remove(cx, ..in_force);
///         assert_eq!(rates.first(cx).map(|(time, _)| time), Some(in_force));
///     }
///     if rates.last(cx).is_some_and(|(time, _)| time < cx.watermark() - 86_400_000) {
///         rates.clear(cx);
///     }
///     let ahead = rates.range(cx, cx.watermark() + 1..).count() as u64;
///     assert!(rates.is_empty(cx) || ahead < rates.len(cx));
/// }
/// ```
pub struct Timeline<T> {
    pub(crate) at: Handle,
    of: PhantomData<fn() -> T>,
}

settings!(impl[T: StateValue] Timeline<T>, of T);

impl<T: StateValue> Timeline<T> {
    pub(crate) fn new(at: Handle) -> Timeline<T> {
        Timeline { at, of: PhantomData }
    }

    /// Inserts into the current key's timeline, behind what has the same time.
    pub fn insert<P: Process>(&self, cx: &mut Context<'_, P>, time: Timestamp, value: &T) {
        let at = self.at.of(cx);
        let inserted = cx.with_archive(value, |backend, bytes| backend.insert_moment(at, time, bytes));
        cx.note(inserted);
    }

    /// What the current key has in a span of time, in order, read where it lies.
    pub fn range<'a, P: Process>(
        &self,
        cx: &'a Context<'_, P>,
        span: impl RangeBounds<Timestamp>,
    ) -> impl Iterator<Item = (Timestamp, &'a T::Archived)> {
        let (from, to) = inclusive(span).unwrap_or((MAX_TIME, MIN_TIME));
        let moments = cx.backend.moments(self.at.of(cx), from, to);
        moments.map(|(time, value)| (time, codec::view::<T>(value)))
    }

    /// The earliest.
    pub fn first<'a, P: Process>(&self, cx: &'a Context<'_, P>) -> Option<(Timestamp, &'a T::Archived)> {
        let (time, value) = cx.backend.moments(self.at.of(cx), MIN_TIME, MAX_TIME).next()?;
        Some((time, codec::view::<T>(value)))
    }

    /// The latest.
    pub fn last<'a, P: Process>(&self, cx: &'a Context<'_, P>) -> Option<(Timestamp, &'a T::Archived)> {
        self.floor(cx, MAX_TIME)
    }

    /// The latest that is not after `time`, the last inserted of those of its time.
    pub fn floor<'a, P: Process>(
        &self,
        cx: &'a Context<'_, P>,
        time: Timestamp,
    ) -> Option<(Timestamp, &'a T::Archived)> {
        let (time, value) = cx.backend.moment(self.at.of(cx), time)?;
        Some((time, codec::view::<T>(value)))
    }

    /// How much there is, at a cost that does not depend on it.
    pub fn len<P: Process>(&self, cx: &Context<'_, P>) -> u64 {
        cx.backend.moments_len(self.at.of(cx))
    }

    /// Whether there is nothing.
    pub fn is_empty<P: Process>(&self, cx: &Context<'_, P>) -> bool {
        self.len(cx) == 0
    }

    /// Removes what the current key has in a span of time. Returns how much that was.
    pub fn remove<P: Process>(&self, cx: &mut Context<'_, P>, span: impl RangeBounds<Timestamp>) -> u64 {
        let Some((from, to)) = inclusive(span) else { return 0 };
        cx.backend.remove_moments(self.at.of(cx), from, to)
    }

    /// Removes the current key's timeline.
    pub fn clear<P: Process>(&self, cx: &mut Context<'_, P>) {
        self.at.clear(cx);
    }
}

/// The first and the last time of a span, if there is any in it.
fn inclusive(span: impl RangeBounds<Timestamp>) -> Option<(Timestamp, Timestamp)> {
    let from = match span.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before.checked_add(1)?,
        Bound::Unbounded => MIN_TIME,
    };
    let to = match span.end_bound() {
        Bound::Included(to) => *to,
        Bound::Excluded(after) => after.checked_sub(1)?,
        Bound::Unbounded => MAX_TIME,
    };
    (from <= to).then_some((from, to))
}
