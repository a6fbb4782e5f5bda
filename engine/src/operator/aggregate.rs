//! Incremental aggregation.

use std::marker::PhantomData;

use crate::state::StateValue;

/// An aggregate: an accumulator per key and window, updated record by record where it lies in the state store.
///
/// ```
/// use millstream::prelude::*;
///
/// #[derive(Clone)]
/// struct Mean;
///
/// #[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
/// struct SumCount { sum: i64, count: i64 }
///
/// impl Aggregate for Mean {
///     type In = i64;
///     type Acc = SumCount;
///     type Out = f64;
///     fn add(&self, acc: &mut SumCount, value: &i64) {
///         acc.sum += value;
///         acc.count += 1;
///     }
///     fn finish(&self, acc: &SumCount) -> f64 {
///         acc.sum as f64 / acc.count as f64
///     }
/// }
/// # let mut acc = SumCount::default();
/// # Mean.add(&mut acc, &4);
/// # Mean.add(&mut acc, &5);
/// # assert_eq!(Mean.finish(&acc), 4.5);
/// ```
pub trait Aggregate: Clone + Send + 'static {
    /// What is aggregated.
    type In: Send + 'static;
    /// The accumulator. Its default is that of no records. One of fixed size without `Option`s or enums is updated
    /// in place at the least cost.
    type Acc: StateValue + Default;
    /// The result.
    type Out: Send + 'static;

    /// Adds a record.
    fn add(&self, acc: &mut Self::Acc, record: &Self::In);

    /// The result so far.
    fn finish(&self, acc: &Self::Acc) -> Self::Out;
}

/// An aggregate whose accumulators can be merged: for windows that share slices, and for sessions, which grow together.
///
/// Tumbling windows do without it.
///
/// ```
/// use millstream::prelude::*;
///
/// #[derive(Clone)]
/// struct Sum;
/// impl Aggregate for Sum {
///     type In = i64;
///     type Acc = i64;
///     type Out = i64;
///     fn add(&self, sum: &mut i64, n: &i64) {
///         *sum += n;
///     }
///     fn finish(&self, sum: &i64) -> i64 {
///         *sum
///     }
/// }
/// impl Merge for Sum {
///     fn merge(&self, sum: &mut i64, other: &i64) {
///         *sum += other;
///     }
/// }
/// # let mut sum = 1;
/// # Sum.merge(&mut sum, &2);
/// # assert_eq!(sum, 3);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot merge its accumulators",
    label = "`Merge` is not implemented",
    note = "sliding, cumulative and session windows merge accumulators: implement `Merge` beside `Aggregate`; tumbling windows do not"
)]
pub trait Merge: Aggregate {
    /// Adds all records of `from` to `into`. Those of `into` came earlier in event time, or belong to an earlier part
    /// of the window.
    fn merge(&self, into: &mut Self::Acc, from: &Self::Acc);
}

/// An aggregate that combines records of one type by a function; see `reduce`.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::aggregate::Reduce;
///
/// fn is_aggregate<A: Aggregate>() {}
/// is_aggregate::<Reduce<u64, fn(&mut u64, &u64)>>();
/// ```
pub struct Reduce<T, F> {
    function: F,
    of: PhantomData<fn() -> T>,
}

impl<T, F> Reduce<T, F> {
    pub(crate) fn new(function: F) -> Reduce<T, F> {
        Reduce { function, of: PhantomData }
    }
}

impl<T, F: Clone> Clone for Reduce<T, F> {
    fn clone(&self) -> Self {
        Reduce::new(self.function.clone())
    }
}

impl<T, F> Aggregate for Reduce<T, F>
where
    T: Clone + Send + StateValue,
    Option<T>: StateValue,
    F: Fn(&mut T, &T) + Clone + Send + 'static,
{
    type In = T;
    type Acc = Option<T>;
    type Out = T;

    fn add(&self, acc: &mut Option<T>, record: &T) {
        match acc {
            Some(value) => (self.function)(value, record),
            None => *acc = Some(record.clone()),
        }
    }

    fn finish(&self, acc: &Option<T>) -> T {
        acc.clone().expect("an accumulator exists from its first record")
    }
}

impl<T, F> Merge for Reduce<T, F>
where
    T: Clone + Send + StateValue,
    Option<T>: StateValue,
    F: Fn(&mut T, &T) + Clone + Send + 'static,
{
    fn merge(&self, into: &mut Option<T>, from: &Option<T>) {
        if let Some(value) = from {
            self.add(into, value);
        }
    }
}
