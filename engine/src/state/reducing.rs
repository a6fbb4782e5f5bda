//! Values that combine what is added to them.

use std::rc::Rc;

use crate::aggregate::Aggregate;
use crate::operator::process::{Context, Process};
use crate::state::codec::StateValue;
use crate::state::handle::Handle;
use crate::state::spec::settings;
use crate::state::value::Value;

/// Combines a value with one that is added.
type Combine<T> = dyn Fn(&mut T, &T);

/// A value of type `T` for each key that a function combines with each one added. Declared by
/// [`Declare::reducing`](crate::process::Declare::reducing).
///
/// ```
/// use millstream::prelude::*;
///
/// #[derive(Clone)]
/// struct Largest;
/// impl Process for Largest {
///     type Key = bool;
///     type In = i64;
///     type Out = i64;
///     type State = Reducing<i64>;
///     fn declare(&self, state: &mut Declare) -> Reducing<i64> {
///         state.reducing("largest", |largest: &mut i64, n| *largest = n.max(largest).to_owned())
///     }
///     fn on_record(&mut self, n: i64, largest: &Reducing<i64>, cx: &mut Context<'_, Self>) {
///         largest.add(cx, &n);
///         let largest = largest.load(cx).expect("one was added");
///         cx.emit(largest);
///     }
/// }
/// let job = Job::new("doc");
/// let (sink, largest) = collect();
/// job.source("numbers", from_vec(vec![2, 1, 3])).key_by(|n| *n > 0).process("largest", Largest).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(largest.take(), [2, 2, 3]);
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// It can begin anew:
/// ```
/// # use millstream::prelude::*;
/// fn begin_anew_above<P: Process>(limit: i64, largest: &Reducing<i64>, cx: &mut Context<'_, P>) {
///     if largest.get(cx).is_some_and(|largest| *largest > limit) {
///         largest.clear(cx);
///     }
///     assert!(largest.take(cx).is_none_or(|largest| largest <= limit));
/// }
/// ```
pub struct Reducing<T> {
    pub(crate) at: Handle,
    value: Value<T>,
    combine: Rc<Combine<T>>,
}

settings!(impl[T: StateValue] Reducing<T>, of T, expiring);

impl<T: StateValue> Reducing<T> {
    pub(crate) fn new(at: Handle, combine: impl Fn(&mut T, &T) + 'static) -> Reducing<T> {
        let value = Value::new(Handle { slot: at.slot, spec: at.spec.clone() });
        Reducing { at, value, combine: Rc::new(combine) }
    }

    /// Combines the current key's value with this; the first one is taken as it is.
    pub fn add<P: Process>(&self, cx: &mut Context<'_, P>, value: &T)
    where
        T: Clone,
    {
        match self.value.get(cx).is_some() {
            true => self.value.update_or(cx, || value.clone(), |to| (self.combine)(to, value)),
            false => self.value.set(cx, value),
        }
    }

    /// The current key's value, read where it lies.
    pub fn get<'a, P: Process>(&self, cx: &'a Context<'_, P>) -> Option<&'a T::Archived> {
        self.value.get(cx)
    }

    /// A copy of the current key's value.
    pub fn load<P: Process>(&self, cx: &Context<'_, P>) -> Option<T> {
        self.value.load(cx)
    }

    /// Removes the current key's value and returns it.
    pub fn take<P: Process>(&self, cx: &mut Context<'_, P>) -> Option<T> {
        self.value.take(cx)
    }

    /// Removes the current key's value.
    pub fn clear<P: Process>(&self, cx: &mut Context<'_, P>) {
        self.at.clear(cx);
    }
}

/// An accumulator for each key. Declared by [`Declare::aggregating`](crate::process::Declare::aggregating).
///
/// ```
/// use millstream::prelude::*;
/// # #[derive(Clone)]
/// # struct Mean;
/// # impl Aggregate for Mean {
/// #     type In = f64;
/// #     type Acc = [f64; 2];
/// #     type Out = f64;
/// #     fn add(&self, acc: &mut [f64; 2], n: &f64) { acc[0] += n; acc[1] += 1.0; }
/// #     fn finish(&self, acc: &[f64; 2]) -> f64 { acc[0] / acc[1] }
/// # }
///
/// #[derive(Clone)]
/// struct MeanSoFar;
/// impl Process for MeanSoFar {
///     type Key = u8;
///     type In = f64;
///     type Out = f64;
///     type State = Aggregating<Mean>;
///     fn declare(&self, state: &mut Declare) -> Aggregating<Mean> {
///         state.aggregating("mean", Mean)
///     }
///     fn on_record(&mut self, n: f64, mean: &Aggregating<Mean>, cx: &mut Context<'_, Self>) {
///         mean.add(cx, &n);
///         let mean = mean.result(cx).expect("one was added");
///         cx.emit(mean);
///     }
/// }
/// let job = Job::new("doc");
/// let (sink, means) = collect();
/// job.source("numbers", from_vec(vec![2.0, 4.0])).key_by(|_| 0u8).process("mean", MeanSoFar).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(means.take(), [2.0, 3.0]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Aggregating<A: Aggregate> {
    pub(crate) at: Handle,
    acc: Value<A::Acc>,
    aggregate: A,
}

settings!(impl[A: Aggregate] Aggregating<A>, of A::Acc, expiring);

impl<A: Aggregate> Aggregating<A> {
    pub(crate) fn new(at: Handle, aggregate: A) -> Aggregating<A> {
        let acc = Value::new(Handle { slot: at.slot, spec: at.spec.clone() });
        Aggregating { at, acc, aggregate }
    }

    /// Adds to the current key's accumulator.
    pub fn add<P: Process>(&self, cx: &mut Context<'_, P>, record: &A::In) {
        self.acc.update(cx, |acc| self.aggregate.add(acc, record));
    }

    /// The result of what was added for the current key, if anything was.
    pub fn result<P: Process>(&self, cx: &Context<'_, P>) -> Option<A::Out> {
        self.acc.load(cx).map(|acc| self.aggregate.finish(&acc))
    }

    /// Removes the current key's accumulator and returns its result.
    pub fn take<P: Process>(&self, cx: &mut Context<'_, P>) -> Option<A::Out> {
        let result = self.result(cx)?;
        self.clear(cx);
        Some(result)
    }

    /// Removes the current key's accumulator.
    pub fn clear<P: Process>(&self, cx: &mut Context<'_, P>) {
        self.at.clear(cx);
    }
}
