//! One value per key.

use std::marker::PhantomData;

use rkyv::seal::Seal;

use crate::operator::process::{Context, Process};
use crate::state::codec::{self, StateValue};
use crate::state::handle::{Handle, change_flat};
use crate::state::spec::settings;

/// A value of type `T` for each key, kept in the step's log. Declared by
/// [`Declare::value`](crate::process::Declare::value).
///
/// ```
/// use millstream::prelude::*;
///
/// /// Passes on what is larger than everything before it of the same key.
/// #[derive(Clone)]
/// struct Records;
/// impl Process for Records {
///     type Key = char;
///     type In = (char, i64);
///     type Out = (char, i64);
///     type State = Value<i64>;
///     fn declare(&self, state: &mut Declare) -> Value<i64> {
///         state.value("largest")
///     }
///     fn on_record(&mut self, (key, n): (char, i64), largest: &Value<i64>, cx: &mut Context<'_, Self>) {
///         if largest.get(cx).is_none_or(|largest| *largest < n) {
///             largest.set(cx, &n);
///             cx.emit((key, n));
///         }
///     }
/// }
/// let job = Job::new("doc");
/// let (sink, records) = collect();
/// let numbers = vec![('a', 3), ('a', 2), ('b', 1), ('a', 4)];
/// job.source("numbers", from_vec(numbers)).key_by(|n| n.0).process("records", Records).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(records.take(), [('a', 3), ('b', 1), ('a', 4)]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Value<T> {
    pub(crate) at: Handle,
    of: PhantomData<fn() -> T>,
}

settings!(impl[T: StateValue] Value<T>, of T, expiring);

impl<T: StateValue> Value<T> {
    pub(crate) fn new(at: Handle) -> Value<T> {
        Value { at, of: PhantomData }
    }

    /// The current key's value, read where it lies.
    #[inline]
    pub fn get<'a, P: Process>(&self, cx: &'a Context<'_, P>) -> Option<&'a T::Archived> {
        cx.backend.value(self.at.of(cx)).map(codec::view::<T>)
    }

    /// A copy of the current key's value.
    #[inline]
    pub fn load<P: Process>(&self, cx: &Context<'_, P>) -> Option<T> {
        cx.backend.value(self.at.of(cx)).map(codec::decode::<T>)
    }

    /// Sets the current key's value.
    pub fn set<P: Process>(&self, cx: &mut Context<'_, P>, value: &T) {
        let at = self.at.of(cx);
        if codec::is_flat::<T>()
            && let Some(place) = cx.backend.value_mut(at)
        {
            return codec::write_flat(value, place);
        }
        let set = cx.with_archive(value, |backend, bytes| backend.set_value(at, bytes));
        cx.note(set);
    }

    /// Changes the current key's value; an absent one starts from the default. A value of fixed size, without `Option`s
    /// or enums, is changed where it lies.
    pub fn update<P: Process, R>(&self, cx: &mut Context<'_, P>, change: impl FnOnce(&mut T) -> R) -> R
    where
        T: Default,
    {
        self.update_or(cx, T::default, change)
    }

    /// As [`Value::update`]; an absent one starts from what `first` gives.
    pub fn update_or<P: Process, R>(
        &self,
        cx: &mut Context<'_, P>,
        first: impl FnOnce() -> T,
        change: impl FnOnce(&mut T) -> R,
    ) -> R {
        if codec::is_flat::<T>()
            && let Some(place) = cx.backend.value_mut(self.at.of(cx))
        {
            return change_flat(place, change);
        }
        let mut value = self.load(cx).unwrap_or_else(first);
        let result = change(&mut value);
        self.set(cx, &value);
        result
    }

    /// Changes the archive of the current key's value where it lies, of whatever type: nothing in it can become longer.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[derive(Clone)]
    /// # struct Doc;
    /// # impl Process for Doc {
    /// #     type Key = u8;
    /// #     type In = u8;
    /// #     type Out = u8;
    /// #     type State = Value<Option<u64>>;
    /// #     fn declare(&self, state: &mut Declare) -> Value<Option<u64>> { state.value("n") }
    /// fn on_record(&mut self, _: u8, n: &Value<Option<u64>>, cx: &mut Context<'_, Self>) {
    ///     use millstream::state::ArchivedOption;
    ///     n.edit(cx, |n| {
    ///         if let Some(n) = ArchivedOption::as_seal(n) {
    ///             *n.unseal() += 1;
    ///         }
    ///     });
    /// }
    /// # }
    /// ```
    pub fn edit<P: Process, R>(
        &self,
        cx: &mut Context<'_, P>,
        change: impl FnOnce(Seal<'_, T::Archived>) -> R,
    ) -> Option<R> {
        cx.backend.value_mut(self.at.of(cx)).map(|place| change(codec::view_mut::<T>(place)))
    }

    /// Removes the current key's value and returns it.
    pub fn take<P: Process>(&self, cx: &mut Context<'_, P>) -> Option<T> {
        let value = self.load(cx)?;
        self.clear(cx);
        Some(value)
    }

    /// Removes the current key's value.
    pub fn clear<P: Process>(&self, cx: &mut Context<'_, P>) {
        self.at.clear(cx);
    }
}
