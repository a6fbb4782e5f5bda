//! A list per key.

use std::marker::PhantomData;

use crate::operator::process::{Context, Process};
use crate::state::codec::{self, StateValue};
use crate::state::handle::Handle;
use crate::state::spec::settings;

/// A list of `T` for each key: it grows at its end at a cost that does not depend on its length, and is read in order.
/// Declared by [`Declare::list`](crate::process::Declare::list).
///
/// ```
/// use millstream::prelude::*;
///
/// /// Emits the words of a line once its end has come.
/// #[derive(Clone)]
/// struct Lines;
/// impl Process for Lines {
///     type Key = u32;
///     type In = (u32, String);
///     type Out = String;
///     type State = List<String>;
///     fn declare(&self, state: &mut Declare) -> List<String> {
///         state.list("words")
///     }
///     fn on_record(&mut self, (_, word): (u32, String), words: &List<String>, cx: &mut Context<'_, Self>) {
///         if word != "." {
///             return words.push(cx, &word);
///         }
///         let line = words.iter(cx).map(|word| word.as_str()).collect::<Vec<_>>().join(" ");
///         words.clear(cx);
///         cx.emit(line);
///     }
/// }
/// let job = Job::new("doc");
/// let (sink, lines) = collect();
/// let words = ["to", "be", "."].map(|word| (1, word.to_owned()));
/// job.source("words", from_vec(words.to_vec())).key_by(|word| word.0).process("lines", Lines).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(lines.take(), ["to be"]);
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// Elements are not changed or removed one by one; a list that must stay short is replaced:
/// ```
/// # use millstream::prelude::*;
/// fn keep_the_last<P: Process>(n: usize, words: &List<String>, cx: &mut Context<'_, P>) {
///     if words.is_empty(cx) || words.len(cx) <= 2 * n as u64 {
///         return;
///     }
///     let all = words.load(cx);
///     words.replace(cx, &all[all.len() - n..]);
/// }
/// ```
pub struct List<T> {
    pub(crate) at: Handle,
    of: PhantomData<fn() -> T>,
}

settings!(impl[T: StateValue] List<T>, of T, expiring);

impl<T: StateValue> List<T> {
    pub(crate) fn new(at: Handle) -> List<T> {
        List { at, of: PhantomData }
    }

    /// Appends to the current key's list.
    pub fn push<P: Process>(&self, cx: &mut Context<'_, P>, element: &T) {
        let at = self.at.of(cx);
        let pushed = cx.with_archive(element, |backend, bytes| backend.push(at, bytes));
        cx.note(pushed);
    }

    /// The elements of the current key's list, oldest first, read where they lie.
    pub fn iter<'a, P: Process>(
        &self,
        cx: &'a Context<'_, P>,
    ) -> impl Iterator<Item = &'a T::Archived> + use<'a, P, T> {
        cx.backend.list(self.at.of(cx)).map(codec::view::<T>)
    }

    /// A copy of the current key's list.
    pub fn load<P: Process>(&self, cx: &Context<'_, P>) -> Vec<T> {
        self.iter(cx).map(T::thaw).collect()
    }

    /// How many elements there are: at a cost that does not depend on it, unless they expire.
    pub fn len<P: Process>(&self, cx: &Context<'_, P>) -> u64 {
        cx.backend.list_len(self.at.of(cx))
    }

    /// Whether there are none.
    pub fn is_empty<P: Process>(&self, cx: &Context<'_, P>) -> bool {
        self.len(cx) == 0
    }

    /// Puts these elements in the place of the current key's list.
    pub fn replace<'t, P: Process>(
        &self,
        cx: &mut Context<'_, P>,
        elements: impl IntoIterator<Item = &'t T>,
    ) {
        self.clear(cx);
        elements.into_iter().for_each(|element| self.push(cx, element));
    }

    /// Removes the current key's list.
    pub fn clear<P: Process>(&self, cx: &mut Context<'_, P>) {
        self.at.clear(cx);
    }
}
