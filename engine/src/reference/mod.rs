//! The reference interpreter: what a job should put out, computed in the plainest way from all of its input.
//!
//! It runs the user's functions, in one thread, record by record, over vectors; it shares no operator code with the
//! engine, and knows nothing of batches, cores, rings, stores or checkpoints. The simulator compares the engine's
//! committed output with it.
//!
//! Input that consists of several splits is merged here as if the splits were read one after the other, so the two
//! agree where the result does not depend on how splits interleave: no record is late by its own split's watermark,
//! or there is one split.

pub(crate) mod async_map;
pub(crate) mod changelog;
pub(crate) mod join;
mod process;
pub(crate) mod ready;
mod state;
mod window;
mod window_general;
mod window_session;

use std::any::Any;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::time::{MAX_TIME, MIN_TIME, Timestamp};

pub(crate) use process::{Processed, beside_broadcast, events, process};
pub(crate) use window::{Results, cumulative, days, sliding, tumbling};
pub(crate) use window_general::triggered;
pub(crate) use window_session::sessions;

/// One item of a stream, as the reference sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event<T> {
    Record(Timestamp, T),
    Watermark(Timestamp),
}

/// Computes a stream from the job's input.
pub(crate) type Compute<T> = Rc<dyn Fn(&Inputs) -> Vec<Event<T>>>;

/// Makes the records of a source, split by split.
type Splits<T> = Rc<dyn Fn() -> Vec<Vec<T>>>;

/// The input of a job: for each source, by name, the records of its splits.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::reference::Inputs;
///
/// let records = || vec![3, 1, 2];
/// let job = Job::new("doc");
/// let (sink, doubled) = collect();
/// job.source("numbers", from_vec(records())).map(|n| 2 * n).sink("doubled", sink);
///
/// let inputs = Inputs::new().with("numbers", move || vec![records()]);
/// let expected: Vec<i32> = job.expected("doubled", &inputs);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(doubled.take(), expected);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Default)]
pub struct Inputs {
    sources: BTreeMap<String, Box<dyn Any>>,
}

impl Inputs {
    /// No input.
    pub fn new() -> Inputs {
        Inputs::default()
    }

    /// The records of a source, split by split.
    pub fn with<T: 'static>(mut self, source: &str, splits: impl Fn() -> Vec<Vec<T>> + 'static) -> Inputs {
        let splits: Splits<T> = Rc::new(splits);
        self.sources.insert(source.to_owned(), Box::new(splits));
        self
    }

    /// # Panics
    /// If the source was given no records, or records of another type.
    pub(crate) fn splits<T: 'static>(&self, source: &str) -> Vec<Vec<T>> {
        let any = self.sources.get(source).unwrap_or_else(|| panic!("no input was given for `{source}`"));
        let splits = any.downcast_ref::<Splits<T>>();
        splits.unwrap_or_else(|| panic!("the input of `{source}` is of another type than the source"))()
    }
}

/// The sinks of a job, by name: each a `Compute<T>` of its own type.
#[derive(Default)]
pub(crate) struct Outputs {
    sinks: BTreeMap<String, Box<dyn Any>>,
}

impl Outputs {
    pub(crate) fn add<T: 'static>(&mut self, sink: &str, compute: Compute<T>) {
        self.sinks.insert(sink.to_owned(), Box::new(compute));
    }

    pub(crate) fn get<T: 'static>(&self, sink: &str) -> Option<&Compute<T>> {
        self.sinks.get(sink)?.downcast_ref()
    }
}

/// The watermark behind a record of a split; what is lower than before counts for nothing.
pub(crate) type Watermark<T> = Box<dyn FnMut(&T, Timestamp) -> Option<Timestamp>>;

/// How a source gives records their times, for the reference.
pub(crate) struct Times<T> {
    pub of: Box<dyn Fn(&T) -> Timestamp + Send>,
    /// For a split: what its watermark is behind each record, if that says.
    pub watermarks: Box<dyn Fn() -> Watermark<T> + Send>,
}

/// The stream of a source: a watermark behind each record that raises it. With several splits there is none before
/// the end, since none of them is complete before.
pub(crate) fn source<T>(splits: Vec<Vec<T>>, times: Option<&Times<T>>) -> Vec<Event<T>> {
    let mut events = Vec::new();
    let mut raised = MIN_TIME;
    let single = splits.len() == 1;
    for split in splits {
        let mut watermark = times.map(|times| (times.watermarks)());
        for record in split {
            let at = times.map_or(MIN_TIME, |times| (times.of)(&record));
            let watermark = watermark.as_mut().and_then(|of| of(&record, at)).unwrap_or(MIN_TIME);
            events.push(Event::Record(at, record));
            if single && watermark > raised {
                raised = watermark;
                events.push(Event::Watermark(watermark));
            }
        }
    }
    events.push(Event::Watermark(MAX_TIME));
    events
}

/// Each record through a function that emits any number.
pub(crate) fn flat_map<T, U>(events: Vec<Event<T>>, mut f: impl FnMut(T) -> Vec<U>) -> Vec<Event<U>> {
    let mut out = Vec::new();
    for event in events {
        match event {
            Event::Record(at, record) => out.extend(f(record).into_iter().map(|r| Event::Record(at, r))),
            Event::Watermark(t) => out.push(Event::Watermark(t)),
        }
    }
    out
}

/// The records of several streams; complete at the end only.
pub(crate) fn union<T>(streams: Vec<Vec<Event<T>>>) -> Vec<Event<T>> {
    let records = |event: &Event<T>| matches!(event, Event::Record(..));
    let mut out: Vec<Event<T>> = streams.into_iter().flatten().filter(records).collect();
    out.push(Event::Watermark(MAX_TIME));
    out
}
