//! The usual aggregates of a table.

use std::marker::PhantomData;

use crate::key::Key;
use crate::operator::join::row::unknown_row;
use crate::operator::process::{Context, Declare, Process};
use crate::state::{StateValue, Value};
use crate::stream::changelog::TableAggregate;
use crate::stream::changelog::extreme::Extreme;

/// The number of rows; see [`count`].
///
/// ```
/// use millstream::table::{Avg, Count, Max, Min, Sum, TableAggregate};
///
/// type Of<T> = fn(&T) -> i64;
/// type Statistics<T> = (Count<T>, Sum<T, Of<T>>, Avg<T, Of<T>>, Min<T, Of<T>>, Max<T, Of<T>>);
/// fn is_aggregate<A: TableAggregate>() {}
/// is_aggregate::<Statistics<(char, i64)>>();
/// ```
pub struct Count<T>(PhantomData<fn() -> T>);

/// The number of rows.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::table::{TableAggregate, count};
/// assert_eq!(count().of(&[&'a', &'b']), 2);
/// ```
pub fn count<T>() -> Count<T> {
    Count(PhantomData)
}

impl<T> Clone for Count<T> {
    fn clone(&self) -> Count<T> {
        count()
    }
}

impl<T: Clone + Send + 'static> TableAggregate for Count<T> {
    type In = T;
    type Out = u64;
    type State = Value<u64>;

    fn declare(&self, name: &str, state: &mut Declare) -> Value<u64> {
        state.value(&format!("{name} count"))
    }
    fn change<P: Process>(&self, _: &T, weight: i64, rows: &Value<u64>, cx: &mut Context<'_, P>) {
        let now = rows.load(cx).unwrap_or(0).checked_add_signed(weight);
        match now {
            Some(now) => rows.set(cx, &now),
            None => unknown_row(cx),
        }
    }
    fn result<P: Process>(&self, rows: &Value<u64>, cx: &Context<'_, P>) -> u64 {
        rows.load(cx).unwrap_or(0)
    }
    fn clear<P: Process>(&self, rows: &Value<u64>, cx: &mut Context<'_, P>) {
        rows.clear(cx);
    }
    fn of(&self, rows: &[&T]) -> u64 {
        rows.len() as u64
    }
}

/// Declares an aggregate of what a function gives for each row, and the function that makes it.
macro_rules! of_rows {
    ($(#[$about:meta])* $name:ident, $(#[$make:meta])* $function:ident) => {
        $(#[$about])*
        pub struct $name<T, F> {
            function: F,
            of: PhantomData<fn() -> T>,
        }

        $(#[$make])*
        pub fn $function<T, V, F>(function: F) -> $name<T, F>
        where
            F: Fn(&T) -> V + Clone + Send + 'static,
        {
            $name { function, of: PhantomData }
        }

        impl<T, F: Clone> Clone for $name<T, F> {
            fn clone(&self) -> Self {
                $name { function: self.function.clone(), of: PhantomData }
            }
        }
    };
}

of_rows! {
    /// A sum; see [`sum`].
    Sum,
    /// The sum of a number in each row. It must fit an `i64`: beyond that it wraps around.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::table::{TableAggregate, sum};
    /// assert_eq!(sum(|row: &(char, i64)| row.1).of(&[&('a', 2), &('b', 3)]), 5);
    /// ```
    sum
}

impl<T, F> TableAggregate for Sum<T, F>
where
    T: Clone + Send + 'static,
    F: Fn(&T) -> i64 + Clone + Send + 'static,
{
    type In = T;
    type Out = i64;
    type State = Value<i64>;

    fn declare(&self, name: &str, state: &mut Declare) -> Value<i64> {
        state.value(&format!("{name} sum"))
    }
    fn change<P: Process>(&self, row: &T, weight: i64, sum: &Value<i64>, cx: &mut Context<'_, P>) {
        let by = (self.function)(row).wrapping_mul(weight);
        sum.update(cx, |sum| *sum = sum.wrapping_add(by));
    }
    fn result<P: Process>(&self, sum: &Value<i64>, cx: &Context<'_, P>) -> i64 {
        sum.load(cx).unwrap_or(0)
    }
    fn clear<P: Process>(&self, sum: &Value<i64>, cx: &mut Context<'_, P>) {
        sum.clear(cx);
    }
    fn of(&self, rows: &[&T]) -> i64 {
        rows.iter().fold(0, |sum: i64, row| sum.wrapping_add((self.function)(row)))
    }
}

/// A sum and how many it is of.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct SumCount {
    sum: i64,
    count: i64,
}

of_rows! {
    /// A mean; see [`avg`].
    Avg,
    /// The mean of a whole number in each row, towards zero. Their sum must fit an `i64`.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::table::{TableAggregate, avg};
    /// assert_eq!(avg(|row: &i64| *row).of(&[&-2, &-3]), -2);
    /// ```
    avg
}

impl<T, F> TableAggregate for Avg<T, F>
where
    T: Clone + Send + 'static,
    F: Fn(&T) -> i64 + Clone + Send + 'static,
{
    type In = T;
    type Out = i64;
    type State = Value<SumCount>;

    fn declare(&self, name: &str, state: &mut Declare) -> Value<SumCount> {
        state.value(&format!("{name} avg"))
    }
    fn change<P: Process>(&self, row: &T, weight: i64, acc: &Value<SumCount>, cx: &mut Context<'_, P>) {
        let by = (self.function)(row).wrapping_mul(weight);
        acc.update(cx, |acc| {
            acc.sum = acc.sum.wrapping_add(by);
            acc.count += weight;
        });
    }
    fn result<P: Process>(&self, acc: &Value<SumCount>, cx: &Context<'_, P>) -> i64 {
        acc.load(cx).map_or(0, |acc| acc.sum / acc.count.max(1))
    }
    fn clear<P: Process>(&self, acc: &Value<SumCount>, cx: &mut Context<'_, P>) {
        acc.clear(cx);
    }
    fn of(&self, rows: &[&T]) -> i64 {
        let sum = rows.iter().fold(0, |sum: i64, row| sum.wrapping_add((self.function)(row)));
        sum / rows.len() as i64
    }
}

/// Implements an extreme, given when a value is better than another.
macro_rules! extreme {
    ($name:ident, $better:expr, $of:ident) => {
        impl<T, V, F> TableAggregate for $name<T, F>
        where
            T: Clone + Send + 'static,
            V: Key + Ord + StateValue,
            F: Fn(&T) -> V + Clone + Send + 'static,
        {
            type In = T;
            type Out = V;
            type State = Extreme<V>;

            fn declare(&self, name: &str, state: &mut Declare) -> Extreme<V> {
                Extreme::new(name, state)
            }
            fn change<P: Process>(&self, row: &T, weight: i64, state: &Extreme<V>, cx: &mut Context<'_, P>) {
                state.change((self.function)(row), weight, $better, cx);
            }
            fn result<P: Process>(&self, state: &Extreme<V>, cx: &Context<'_, P>) -> V {
                state.best(cx).expect("there is at least one row, and with it a best")
            }
            fn clear<P: Process>(&self, state: &Extreme<V>, cx: &mut Context<'_, P>) {
                state.clear(cx);
            }
            fn of(&self, rows: &[&T]) -> V {
                let values = rows.iter().map(|row| (self.function)(row));
                values.$of().expect("there is at least one row")
            }
        }
    };
}

of_rows! {
    /// A least value; see [`min`].
    Min,
    /// The least of a value in each row. A row that comes or goes costs what grows with the logarithm of how many
    /// different values there are.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::table::{TableAggregate, min};
    /// assert_eq!(min(|row: &i64| *row).of(&[&3, &2]), 2);
    /// ```
    min
}
extreme!(Min, |value, best| value < best, min);

of_rows! {
    /// A greatest value; see [`max`].
    Max,
    /// The greatest of a value in each row; see [`min`].
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::table::{TableAggregate, max};
    /// assert_eq!(max(|row: &i64| *row).of(&[&3, &2]), 3);
    /// ```
    max
}
extreme!(Max, |value, best| value > best, max);

macro_rules! tuples {
    ($($name:ident $place:tt)*) => {
        impl<T: Clone + Send + 'static, $($name: TableAggregate<In = T>),*> TableAggregate for ($($name,)*) {
            type In = T;
            type Out = ($($name::Out,)*);
            type State = ($($name::State,)*);

            fn declare(&self, name: &str, state: &mut Declare) -> Self::State {
                ($(self.$place.declare(&format!("{name}.{}", $place), state),)*)
            }
            fn change<P: Process>(&self, row: &T, weight: i64, state: &Self::State, cx: &mut Context<'_, P>) {
                $(self.$place.change(row, weight, &state.$place, cx);)*
            }
            fn result<P: Process>(&self, state: &Self::State, cx: &Context<'_, P>) -> Self::Out {
                ($(self.$place.result(&state.$place, cx),)*)
            }
            fn clear<P: Process>(&self, state: &Self::State, cx: &mut Context<'_, P>) {
                $(self.$place.clear(&state.$place, cx);)*
            }
            fn of(&self, rows: &[&T]) -> Self::Out {
                ($(self.$place.of(rows),)*)
            }
        }
    };
}
tuples!(A 0 B 1);
tuples!(A 0 B 1 C 2);
tuples!(A 0 B 1 C 2 D 3);
tuples!(A 0 B 1 C 2 D 3 E 4);
