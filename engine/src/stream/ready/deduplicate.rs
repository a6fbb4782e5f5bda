//! One row per key: the first or the last.

use std::marker::PhantomData;
use std::rc::Rc;

use crate::key::Key;
use crate::operator::process::{Context, Declare, Process};
use crate::reference::{self, Compute};
use crate::state::{StateValue, Ttl, Value};
use crate::stream::batch::{Last, Mode};
use crate::stream::chain::Chain;
use crate::stream::ready::expiring;
use crate::stream::ready::remembered::Remembered;
use crate::stream::{Change, Keyed, Stream};
use crate::time::Timestamp;

/// Which record of a key is kept, by event time.
///
/// ```
/// use millstream::prelude::*;
/// assert_ne!(Keep::First, Keep::Last);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The earliest; among those of equal times the one that came first.
    First,
    /// The latest; among those of equal times the one that came last.
    Last,
}

impl Keep {
    /// Whether a record takes the place of one that came before it.
    fn replaces(self, new: Timestamp, old: Timestamp) -> bool {
        match self {
            Keep::First => new < old,
            Keep::Last => new >= old,
        }
    }
}

struct Deduplicate<K, T> {
    keep: Keep,
    ttl: Option<Ttl>,
    /// The times of the rows of keys that had a record which changed nothing.
    times: Remembered<Timestamp>,
    mode: Mode,
    of: PhantomData<fn() -> (K, T)>,
}

impl<K, T> Deduplicate<K, T> {
    fn new(keep: Keep, ttl: Option<Ttl>, mode: Mode) -> Self {
        Deduplicate { keep, ttl, times: Remembered::default(), mode, of: PhantomData }
    }
}

impl<K, T> Clone for Deduplicate<K, T> {
    fn clone(&self) -> Self {
        Deduplicate::new(self.keep, self.ttl, self.mode.clone())
    }
}

impl<K, T> Process for Deduplicate<K, T>
where
    K: Key,
    T: Clone + Send + 'static,
    (Timestamp, T): StateValue,
{
    type Key = K;
    type In = T;
    type Out = Change<T>;
    type State = (Value<(Timestamp, T)>, Last);

    fn declare(&self, state: &mut Declare) -> Self::State {
        (expiring!(state.value("row"), self.ttl), self.mode.declare(state))
    }

    fn on_record(&mut self, row: T, (kept, last): &Self::State, cx: &mut Context<'_, Self>) {
        let at = cx.time();
        let drops = |before: &Timestamp| !self.keep.replaces(at, *before);
        if self.times.get(cx.hash, cx.key_bytes).is_some_and(drops) {
            return;
        }
        match kept.load(cx) {
            Some((before, _)) if drops(&before) => {
                // What expires makes room without a word.
                if self.ttl.is_none() {
                    self.times.set(cx.hash, cx.key_bytes, before);
                }
                return;
            }
            _ if last.put_off(cx) => {}
            Some((_, before)) => {
                cx.emit(Change::update_before(before));
                cx.emit(Change::update_after(row.clone()));
            }
            None => cx.emit(Change::insert(row.clone())),
        }
        kept.set(cx, &(at, row));
    }

    fn on_timer(&mut self, _: Timestamp, (kept, last): &Self::State, cx: &mut Context<'_, Self>) {
        last.recall(cx);
        if let Some((at, row)) = kept.load(cx) {
            cx.time = at;
            cx.emit(Change::insert(row));
        }
    }
}

impl<K, T, C, F> Keyed<K, T, C, F>
where
    K: Key,
    T: Clone + Send + 'static,
    C: Chain<Out = T>,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    /// The first or the last record of each key by event time, as the changelog of a table with a row for each key. The
    /// name is for ever: state is found by it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, changes) = collect();
    /// job.source("readings", from_vec(vec![(1, 'a', 20), (3, 'a', 22), (2, 'a', 21)]))
    ///     .event_time(|reading| reading.0, Watermarks::bounded(secs(1)))
    ///     .key_by(|reading| reading.1)
    ///     .deduplicate("newest", Keep::Last)
    ///     .map_rows(|reading| reading.2)
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(changes.take(), [Change::insert(20), Change::update_before(20), Change::update_after(22)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn deduplicate(self, name: &str, keep: Keep) -> Stream<Change<T>>
    where
        (Timestamp, T): StateValue,
    {
        let (up, key, ttl) = (self.stream.compute.clone(), self.key.clone(), self.ttl);
        let mode = self.stream.graph.borrow().mode.clone();
        let stream = self.process_as(
            name,
            "deduplicate",
            &[("keep", format!("{keep:?}"))],
            Deduplicate::new(keep, ttl, mode),
        );
        let last = keep == Keep::Last;
        let compute: Compute<Change<T>> =
            Rc::new(move |inputs| reference::ready::deduplicate(up(inputs), &key, last));
        stream.expecting(compute)
    }
}
