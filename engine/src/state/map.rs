//! A map per key.

use std::marker::PhantomData;

use crate::key::Key;
use crate::operator::process::{Context, Process};
use crate::state::codec::{self, StateValue};
use crate::state::handle::{Handle, change_flat};
use crate::state::spec::settings;

/// A map from `K` to `V` for each key of the stream. Each operation costs the same at any size; visiting all entries
/// costs as much as there are. Declared by [`Declare::map`](crate::process::Declare::map).
///
/// ```
/// use millstream::prelude::*;
///
/// /// How often each page was seen, by user.
/// #[derive(Clone)]
/// struct Pages;
/// impl Process for Pages {
///     type Key = String;
///     type In = (String, String);
///     type Out = (String, u64);
///     type State = Map<String, u64>;
///     fn declare(&self, state: &mut Declare) -> Map<String, u64> {
///         state.map("pages").ttl(hours(24))
///     }
///     fn on_record(&mut self, (_, page): (String, String), pages: &Map<String, u64>, cx: &mut Context<'_, Self>) {
///         let seen = pages.update(cx, &page, |n| { *n += 1; *n });
///         cx.emit((page, seen));
///     }
/// }
/// let job = Job::new("doc");
/// let (sink, seen) = collect();
/// let views = ["/", "/help", "/"].map(|page| ("ada".to_owned(), page.to_owned()));
/// job.source("views", from_vec(views.to_vec())).key_by(|view| view.0.clone()).process("pages", Pages).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(seen.take().last(), Some(&("/".to_owned(), 2)));
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// Entries come and go one by one, or all at once:
/// ```
/// # use millstream::prelude::*;
/// /// The most frequent page, after which counting begins anew.
/// fn most_frequent<P: Process>(pages: &Map<String, u64>, cx: &mut Context<'_, P>) -> Option<String> {
///     let best = pages.iter(cx).max_by_key(|(_, n)| n.to_native()).map(|(page, _)| page);
///     pages.clear(cx);
///     best
/// }
///
/// fn rename<P: Process>(from: &String, to: &String, pages: &Map<String, u64>, cx: &mut Context<'_, P>) {
///     if !pages.contains(cx, from) || pages.is_empty(cx) {
///         return;
///     }
///     let before = pages.load(cx, to).unwrap_or(0);
///     let seen = pages.get(cx, from).map_or(0, |n| n.to_native());
///     pages.remove(cx, from);
///     pages.put(cx, to, &(before + seen));
///     assert!(pages.len(cx) > 0 && pages.take(cx, from).is_none());
/// }
/// ```
pub struct Map<K, V> {
    pub(crate) at: Handle,
    of: PhantomData<fn() -> (K, V)>,
}

settings!(impl[K: Key, V: StateValue] Map<K, V>, of V, expiring);

impl<K: Key, V: StateValue> Map<K, V> {
    pub(crate) fn new(at: Handle) -> Map<K, V> {
        Map { at, of: PhantomData }
    }

    /// The value of `key` in the current key's map, read where it lies.
    pub fn get<'a, P: Process>(&self, cx: &'a Context<'_, P>, key: &K) -> Option<&'a V::Archived> {
        key.encoded(|key| cx.backend.entry(self.at.of(cx), key)).map(codec::view::<V>)
    }

    /// A copy of the value of `key`.
    pub fn load<P: Process>(&self, cx: &Context<'_, P>, key: &K) -> Option<V> {
        self.get(cx, key).map(V::thaw)
    }

    /// Whether `key` has a value.
    pub fn contains<P: Process>(&self, cx: &Context<'_, P>, key: &K) -> bool {
        self.get(cx, key).is_some()
    }

    /// Sets the value of `key`.
    pub fn put<P: Process>(&self, cx: &mut Context<'_, P>, key: &K, value: &V) {
        let at = self.at.of(cx);
        let set = key.encoded(|key| {
            if codec::is_flat::<V>()
                && let Some(place) = cx.backend.entry_mut(at, key)
            {
                codec::write_flat(value, place);
                return Ok(());
            }
            cx.with_archive(value, |backend, bytes| backend.set_entry(at, key, bytes))
        });
        cx.note(set);
    }

    /// Changes the value of `key`; an absent one starts from the default. A value of fixed size, without `Option`s or enums,
    /// is changed where it lies.
    pub fn update<P: Process, R>(
        &self,
        cx: &mut Context<'_, P>,
        key: &K,
        change: impl FnOnce(&mut V) -> R,
    ) -> R
    where
        V: Default,
    {
        let at = self.at.of(cx);
        if codec::is_flat::<V>()
            && let Some(place) = key.encoded(|key| cx.backend.entry_mut(at, key))
        {
            return change_flat(place, change);
        }
        let mut value = self.load(cx, key).unwrap_or_default();
        let result = change(&mut value);
        self.put(cx, key, &value);
        result
    }

    /// Removes `key`. Returns whether it had a value.
    pub fn remove<P: Process>(&self, cx: &mut Context<'_, P>, key: &K) -> bool {
        key.encoded(|key| cx.backend.remove_entry(self.at.of(cx), key))
    }

    /// Removes `key` and returns its value.
    pub fn take<P: Process>(&self, cx: &mut Context<'_, P>, key: &K) -> Option<V> {
        let value = self.load(cx, key)?;
        self.remove(cx, key);
        Some(value)
    }

    /// The entries of the current key's map, the values read where they lie: in an order that depends on nothing but which
    /// keys there are.
    pub fn iter<'a, P: Process>(
        &self,
        cx: &'a Context<'_, P>,
    ) -> impl Iterator<Item = (K, &'a V::Archived)> + use<'a, P, K, V> {
        let key = |bytes| K::decode(bytes).expect("it was encoded from a key, or checked on restore");
        cx.backend.entries(self.at.of(cx)).map(move |(bytes, value)| (key(bytes), codec::view::<V>(value)))
    }

    /// How many entries there are: at a cost that does not depend on it, unless they expire.
    pub fn len<P: Process>(&self, cx: &Context<'_, P>) -> u64 {
        cx.backend.entries_len(self.at.of(cx))
    }

    /// Whether there are none.
    pub fn is_empty<P: Process>(&self, cx: &Context<'_, P>) -> bool {
        self.len(cx) == 0
    }

    /// Removes the current key's map.
    pub fn clear<P: Process>(&self, cx: &mut Context<'_, P>) {
        self.at.clear(cx);
    }
}
