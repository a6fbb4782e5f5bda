//! The ends of a job in the hands of a test: what takes the place of its sources and sinks.

use std::any::{Any, type_name};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::captured::Captured;
use super::feed::Feed;

/// One end: of which type its records are, and the [`Feed`] or the [`Captured`].
struct End {
    of: &'static str,
    end: Box<dyn Any>,
    act: Box<dyn Fn(Act)>,
}

/// What is done to all inputs, of whatever types.
#[derive(Clone, Copy)]
pub(super) enum Act {
    /// Has the shards step.
    Wake,
    /// Gives nothing out, or goes on.
    Hold(bool),
    /// Ends it, if it has not ended.
    End,
}

/// The ends of a job by name. They are made when the job is laid out on cores, and outlive it: one that is laid out
/// again goes on with them.
#[derive(Clone, Default)]
pub(crate) struct Hands {
    inputs: Rc<RefCell<BTreeMap<String, End>>>,
    outputs: Rc<RefCell<BTreeMap<String, End>>>,
}

impl Hands {
    /// What takes the place of a source.
    pub(crate) fn input<T: Send + 'static>(&self, source: &str) -> Feed<T> {
        let make = || {
            let feed = Feed::<T>::default();
            let same = feed.clone();
            (feed, Box::new(move |act| same.act(act)) as Box<dyn Fn(Act)>)
        };
        end(&self.inputs, source, make)
    }

    /// What takes the place of a sink.
    pub(crate) fn output<T: Send + 'static>(&self, sink: &str) -> Captured<T> {
        end(&self.outputs, sink, || (Captured::<T>::default(), Box::new(|_| {}) as Box<dyn Fn(Act)>))
    }

    /// # Panics
    /// If the job has no such source.
    #[track_caller]
    pub(super) fn held_input<T: Send + 'static>(&self, source: &str) -> Feed<T> {
        held(&self.inputs, "source", source)
    }

    /// # Panics
    /// If the job has no such sink.
    #[track_caller]
    pub(super) fn held_output<T: Send + 'static>(&self, sink: &str) -> Captured<T> {
        held(&self.outputs, "sink", sink)
    }

    /// Does the same to all inputs.
    pub(super) fn all(&self, act: Act) {
        self.inputs.borrow().values().for_each(|input| (input.act)(act));
    }
}

/// The end of this name, made if there is none of the type.
fn end<E: Clone + 'static>(
    ends: &RefCell<BTreeMap<String, End>>,
    name: &str,
    make: impl FnOnce() -> (E, Box<dyn Fn(Act)>),
) -> E {
    let mut ends = ends.borrow_mut();
    if let Some(end) = ends.get(name).and_then(|end| end.end.downcast_ref::<E>()) {
        return end.clone();
    }
    let (end, act) = make();
    let made = End { of: type_name::<E>(), end: Box::new(end.clone()), act };
    ends.insert(name.to_owned(), made);
    end
}

#[track_caller]
fn held<E: Clone + 'static>(ends: &RefCell<BTreeMap<String, End>>, kind: &str, name: &str) -> E {
    let ends = ends.borrow();
    let Some(end) = ends.get(name) else {
        let known: Vec<&str> = ends.keys().map(String::as_str).collect();
        panic!("the job has no {kind} `{name}`; it has {known:?}")
    };
    let of = |whole: &'static str| whole.split_once('<').map_or(whole, |(_, of)| of.trim_end_matches('>'));
    let found = end.end.downcast_ref::<E>();
    found
        .unwrap_or_else(|| panic!("{kind} `{name}` is of {}, not of {}", of(end.of), of(type_name::<E>())))
        .clone()
}
