//! One value per key.

use std::marker::PhantomData;

use crate::operator::process::{Context, Process};
use crate::state::codec::{self, StateValue};

/// A value of type `T` for each key, kept in the step's log. Declared in
/// [`Process::declare`](crate::process::Process::declare).
///
/// ```
/// # use millstream::prelude::*;
/// /// Emits by how much each reading of a meter exceeds the one before; a reading of 0 resets it.
/// #[derive(Clone)]
/// struct Increase;
/// impl Process for Increase {
///     type Key = char;
///     type In = (char, u64);
///     type Out = (char, u64);
///     type State = Value<u64>;
///     fn declare(&self, state: &mut Declare) -> Value<u64> {
///         state.value("last")
///     }
///     fn on_record(&mut self, (meter, reading): (char, u64), last: &Value<u64>, cx: &mut Context<'_, Self>) {
///         if reading == 0 {
///             return last.clear(cx);
///         }
///         if let Some(before) = last.load(cx) {
///             cx.emit((meter, reading - before));
///         }
///         last.set(cx, &reading);
///     }
/// }
///
/// let job = Job::new("doc");
/// let (sink, increases) = collect();
/// let readings = vec![('a', 10), ('b', 7), ('a', 15), ('a', 0), ('a', 3), ('b', 8)];
/// job.source("readings", from_vec(readings))
///     .key_by(|reading| reading.0)
///     .process("increase", Increase)
///     .sink("increases", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(increases.take(), [('a', 5), ('b', 1)]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Value<T> {
    state: u32,
    of: PhantomData<fn() -> T>,
}

impl<T: StateValue> Value<T> {
    pub(crate) fn new(state: u32) -> Value<T> {
        Value { state, of: PhantomData }
    }

    /// The current key's value, read where it lies.
    ///
    /// The archive of a type has fields and methods like the type's; numbers in it are made plain by `to_native`.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[derive(Clone)]
    /// # struct Doc;
    /// # impl Process for Doc {
    /// #     type Key = char;
    /// #     type In = char;
    /// #     type Out = u64;
    /// #     type State = Value<u64>;
    /// #     fn declare(&self, state: &mut Declare) -> Value<u64> {
    /// #         state.value("count")
    /// #     }
    /// fn on_record(&mut self, _: char, count: &Value<u64>, cx: &mut Context<'_, Self>) {
    ///     let before = count.get(cx).map_or(0, |count| count.to_native());
    ///     count.set(cx, &(before + 1));
    ///     cx.emit(before);
    /// }
    /// # }
    /// # let job = Job::new("doc");
    /// # let (sink, out) = collect();
    /// # job.source("letters", from_vec(vec!['a', 'b', 'a']))
    /// #     .key_by(|letter| *letter)
    /// #     .process("step", Doc)
    /// #     .sink("out", sink);
    /// # job.run(Config::new().cores(1))?;
    /// assert_eq!(out.take(), [0, 0, 1]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn get<'a, P: Process>(&self, cx: &'a Context<'_, P>) -> Option<&'a T::Archived> {
        cx.backend.get(self.state, cx.hash, cx.key_bytes).map(codec::view::<T>)
    }

    /// A copy of the current key's value.
    pub fn load<P: Process>(&self, cx: &Context<'_, P>) -> Option<T> {
        cx.backend.get(self.state, cx.hash, cx.key_bytes).map(codec::decode::<T>)
    }

    /// Sets the current key's value.
    pub fn set<P: Process>(&self, cx: &mut Context<'_, P>, value: &T) {
        if codec::is_flat::<T>()
            && let Some(place) = cx.backend.get_mut(self.state, cx.hash, cx.key_bytes)
        {
            return codec::write_flat(value, place);
        }
        let mut scratch = std::mem::take(cx.scratch);
        codec::encode(value, &mut scratch);
        let put = cx.backend.put(self.state, cx.hash, cx.key_bytes, &scratch);
        *cx.scratch = scratch;
        cx.note(put);
    }

    /// Changes the current key's value; an absent one starts from the default.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[derive(Clone)]
    /// # struct Doc;
    /// # impl Process for Doc {
    /// #     type Key = char;
    /// #     type In = char;
    /// #     type Out = u64;
    /// #     type State = Value<u64>;
    /// #     fn declare(&self, state: &mut Declare) -> Value<u64> {
    /// #         state.value("count")
    /// #     }
    /// fn on_record(&mut self, _: char, count: &Value<u64>, cx: &mut Context<'_, Self>) {
    ///     let now = count.update(cx, |count| {
    ///         *count += 1;
    ///         *count
    ///     });
    ///     cx.emit(now);
    /// }
    /// # }
    /// # let job = Job::new("doc");
    /// # let (sink, out) = collect();
    /// # job.source("letters", from_vec(vec!['a', 'b', 'a']))
    /// #     .key_by(|letter| *letter)
    /// #     .process("step", Doc)
    /// #     .sink("out", sink);
    /// # job.run(Config::new().cores(1))?;
    /// assert_eq!(out.take(), [1, 1, 2]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn update<P: Process, R>(&self, cx: &mut Context<'_, P>, change: impl FnOnce(&mut T) -> R) -> R
    where
        T: Default,
    {
        if codec::is_flat::<T>()
            && let Some(place) = cx.backend.get_mut(self.state, cx.hash, cx.key_bytes)
        {
            let mut value = codec::decode::<T>(place);
            let result = change(&mut value);
            codec::write_flat(&value, place);
            return result;
        }
        let mut value = self.load(cx).unwrap_or_default();
        let result = change(&mut value);
        self.set(cx, &value);
        result
    }

    /// Removes the current key's value and returns it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[derive(Clone)]
    /// # struct Doc;
    /// # impl Process for Doc {
    /// #     type Key = char;
    /// #     type In = char;
    /// #     type Out = u64;
    /// #     type State = Value<u64>;
    /// #     fn declare(&self, state: &mut Declare) -> Value<u64> {
    /// #         state.value("count")
    /// #     }
    /// fn on_record(&mut self, _: char, count: &Value<u64>, cx: &mut Context<'_, Self>) {
    ///     count.update(cx, |count| *count += 1);
    ///     if count.load(cx) == Some(2) {
    ///         let two = count.take(cx).expect("it was just read");
    ///         cx.emit(two);
    ///     }
    /// }
    /// # }
    /// # let job = Job::new("doc");
    /// # let (sink, out) = collect();
    /// # job.source("letters", from_vec(vec!['a', 'a', 'b', 'a', 'a']))
    /// #     .key_by(|letter| *letter)
    /// #     .process("step", Doc)
    /// #     .sink("out", sink);
    /// # job.run(Config::new().cores(1))?;
    /// assert_eq!(out.take(), [2, 2]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn take<P: Process>(&self, cx: &mut Context<'_, P>) -> Option<T> {
        let value = self.load(cx)?;
        self.clear(cx);
        Some(value)
    }

    /// Removes the current key's value.
    pub fn clear<P: Process>(&self, cx: &mut Context<'_, P>) {
        cx.backend.remove(self.state, cx.hash, cx.key_bytes);
    }
}
