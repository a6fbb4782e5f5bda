//! One value per key.

use std::marker::PhantomData;

use crate::operator::process::{Context, Process};
use crate::state::codec::{self, StateValue};

/// A value of type `T` for each key, kept in the step's log. Declared in
/// [`Process::declare`](crate::process::Process::declare).
pub struct Value<T> {
    state: u32,
    of: PhantomData<fn() -> T>,
}

impl<T: StateValue> Value<T> {
    pub(crate) fn new(state: u32) -> Value<T> {
        Value { state, of: PhantomData }
    }

    /// The current key's value, read where it lies.
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
