//! What a window keeps of its records, and what becomes of it when the window fires.

use std::marker::PhantomData;

use super::Pane;
use super::evict::Evict;
use crate::key::Key;
use crate::operator::aggregate::{Aggregate, Merge};
use crate::operator::process::{Context, Declare, Process};
use crate::operator::window::Window;
use crate::state::{Map, StateValue};
use crate::time::Timestamp;

/// The window that a result is computed of.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::window::WindowContext;
///
/// fn label(cx: &WindowContext<'_, char>) -> String {
///     let again = cx.watermark > cx.window.max_timestamp();
///     format!("{} from {} on{}", cx.key, cx.window.start, if again { ", again" } else { "" })
/// }
///
/// let job = Job::new("doc");
/// let (sink, labels) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 2]))
///     .event_time(|n| *n, Watermarks::monotonous())
///     .key_by(|_| 'k')
///     .window(Tumbling::of(millis(10)))
///     .process("label", |cx, numbers| [format!("{} of {}", numbers.count(), label(cx))])
///     .sink("labels", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(labels.take(), ["2 of k from 0 on, again"], "the end of the input is beyond every window");
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Debug)]
pub struct WindowContext<'a, K> {
    /// The key.
    pub key: &'a K,
    /// The window.
    pub window: Window,
    /// The watermark.
    pub watermark: Timestamp,
    /// Milliseconds since the epoch when the current step began.
    pub processing_time: Timestamp,
}

/// The records of a window, in the order of their arrival.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::window::Records;
///
/// /// From the first to the last.
/// fn span(records: Records<i64>) -> i64 {
///     let times: Vec<Timestamp> = records.with_times().map(|(time, _)| time).collect();
///     times.last().unwrap() - times[0]
/// }
///
/// let job = Job::new("doc");
/// let (sink, spans) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 2, 8]))
///     .event_time(|n| *n, Watermarks::monotonous())
///     .key_by(|_| 'k')
///     .window(Tumbling::of(millis(10)))
///     .process("span", |_, numbers| [span(numbers)])
///     .sink("spans", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(spans.take(), [7]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Records<T>(std::vec::IntoIter<(Timestamp, T)>);

impl<T> Records<T> {
    /// The records with their times.
    pub fn with_times(self) -> impl Iterator<Item = (Timestamp, T)> {
        self.0
    }
}

impl<T> Iterator for Records<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.next().map(|(_, record)| record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

/// What is kept of a pane's records.
pub(crate) trait Content<K, T>: Clone + Send + 'static {
    type State;
    type Out: Send + 'static;

    fn declare(&self, state: &mut Declare) -> Self::State;

    /// Adds a record.
    fn add<P>(&self, state: &Self::State, cx: &mut Context<'_, P>, pane: &mut Pane, timed: &(Timestamp, T))
    where
        P: Process<Key = K>;

    /// Moves what a pane has to another.
    fn merge<P>(&self, state: &Self::State, cx: &mut Context<'_, P>, into: &mut Pane, from: &mut Pane)
    where
        P: Process<Key = K>;

    /// Forgets everything.
    fn clear<P>(&self, state: &Self::State, cx: &mut Context<'_, P>, pane: &mut Pane)
    where
        P: Process<Key = K>;

    /// The results of a pane that is not empty.
    fn fire<P>(
        &self,
        state: &Self::State,
        cx: &mut Context<'_, P>,
        pane: &mut Pane,
        window: Window,
    ) -> Vec<Self::Out>
    where
        P: Process<Key = K>;

    /// The same for the reference, which has all records of the pane.
    fn plain(&self, cx: &WindowContext<'_, K>, records: &mut Vec<(Timestamp, T)>) -> Vec<Self::Out>;
}

fn context<'a, P: Process>(cx: &'a Context<'_, P>, window: Window) -> WindowContext<'a, P::Key> {
    WindowContext { key: cx.key(), window, watermark: cx.watermark(), processing_time: cx.processing_time() }
}

/// All records, for a function of all of them.
pub(crate) struct Kept<E, F, T> {
    evictor: E,
    function: F,
    of: PhantomData<fn() -> T>,
}

impl<E, F, T> Kept<E, F, T> {
    pub(crate) fn new(evictor: E, function: F) -> Kept<E, F, T> {
        Kept { evictor, function, of: PhantomData }
    }
}

impl<E: Clone, F: Clone, T> Clone for Kept<E, F, T> {
    fn clone(&self) -> Self {
        Kept::new(self.evictor.clone(), self.function.clone())
    }
}

/// So many places without a record are not worth the work of moving all records.
const HOLES: u64 = 16;

/// By the pane's number and the record's place in it.
pub(crate) type KeptState<T> = Map<(u64, u64), (Timestamp, T)>;

impl<E, F, T> Kept<E, F, T>
where
    (Timestamp, T): StateValue,
{
    /// Removes the records at these places that are not to be kept.
    fn remove<P: Process>(
        &self,
        state: &KeptState<T>,
        cx: &mut Context<'_, P>,
        pane: &mut Pane,
        places: &[u64],
        keep: &[bool],
    ) {
        let judged = || places.iter().zip(keep);
        for (place, _) in judged().filter(|(_, keep)| !**keep) {
            state.remove(cx, &(pane.id, *place));
            pane.len -= 1;
        }
        pane.first = judged().find(|(_, keep)| **keep).map_or(pane.next, |(place, _)| *place);
    }

    /// Moves all records to places without holes between them. So a firing looks at no more places than a few times the
    /// records there are, whatever was evicted from between them before.
    fn close_ranks<P: Process>(
        &self,
        state: &KeptState<T>,
        cx: &mut Context<'_, P>,
        pane: &mut Pane,
        records: &[(Timestamp, T)],
    ) {
        for place in pane.first..pane.next {
            state.remove(cx, &(pane.id, place));
        }
        pane.first = pane.next;
        for timed in records {
            state.put(cx, &(pane.id, pane.next), timed);
            pane.next += 1;
        }
    }
}

impl<K, T, E, F, I> Content<K, T> for Kept<E, F, T>
where
    K: Key,
    T: Clone + Send + 'static,
    (Timestamp, T): StateValue,
    E: Evict<T>,
    I: IntoIterator<Item: Send + 'static>,
    F: Fn(&WindowContext<'_, K>, Records<T>) -> I + Clone + Send + 'static,
{
    type State = KeptState<T>;
    type Out = I::Item;

    fn declare(&self, state: &mut Declare) -> KeptState<T> {
        state.map("records")
    }

    fn add<P>(&self, state: &KeptState<T>, cx: &mut Context<'_, P>, pane: &mut Pane, timed: &(Timestamp, T))
    where
        P: Process<Key = K>,
    {
        state.put(cx, &(pane.id, pane.next), timed);
        pane.next += 1;
        pane.len += 1;
    }

    fn merge<P>(&self, state: &KeptState<T>, cx: &mut Context<'_, P>, into: &mut Pane, from: &mut Pane)
    where
        P: Process<Key = K>,
    {
        for place in from.first..from.next {
            if let Some(timed) = state.take(cx, &(from.id, place)) {
                self.add(state, cx, into, &timed);
            }
        }
    }

    fn clear<P>(&self, state: &KeptState<T>, cx: &mut Context<'_, P>, pane: &mut Pane)
    where
        P: Process<Key = K>,
    {
        for place in pane.first..pane.next {
            state.remove(cx, &(pane.id, place));
        }
        (pane.first, pane.len) = (pane.next, 0);
    }

    fn fire<P>(
        &self,
        state: &KeptState<T>,
        cx: &mut Context<'_, P>,
        pane: &mut Pane,
        window: Window,
    ) -> Vec<I::Item>
    where
        P: Process<Key = K>,
    {
        let load = |place| Some((place, state.load(cx, &(pane.id, place))?));
        let (places, mut records): (Vec<u64>, Vec<_>) = (pane.first..pane.next).filter_map(load).unzip();
        let mut keep = vec![true; records.len()];
        self.evictor.evict(window, &records, &mut keep);
        let mut kept = keep.iter();
        records.retain(|_| *kept.next().unwrap_or(&true));
        self.remove(state, cx, pane, &places, &keep);
        if pane.next - pane.first > HOLES + 2 * pane.len {
            self.close_ranks(state, cx, pane, &records);
        }
        let results = (self.function)(&context(cx, window), Records(records.into_iter()));
        results.into_iter().collect()
    }

    fn plain(&self, cx: &WindowContext<'_, K>, records: &mut Vec<(Timestamp, T)>) -> Vec<I::Item> {
        let mut keep = vec![true; records.len()];
        self.evictor.evict(cx.window, records, &mut keep);
        let kept = records.drain(..).zip(keep).filter(|(_, keep)| *keep).map(|(record, _)| record);
        *records = kept.collect();
        (self.function)(cx, Records(records.clone().into_iter())).into_iter().collect()
    }
}

/// An accumulator, for a function of its result.
#[derive(Clone)]
pub(crate) struct Folded<A, F> {
    pub aggregate: A,
    pub function: F,
}

impl<K, A, F, R> Content<K, A::In> for Folded<A, F>
where
    K: Key,
    A: Merge,
    R: Send + 'static,
    F: Fn(&WindowContext<'_, K>, <A as Aggregate>::Out) -> R + Clone + Send + 'static,
{
    type State = Map<u64, A::Acc>;
    type Out = R;

    fn declare(&self, state: &mut Declare) -> Map<u64, A::Acc> {
        state.map("accumulators")
    }

    fn add<P>(
        &self,
        state: &Self::State,
        cx: &mut Context<'_, P>,
        pane: &mut Pane,
        (_, record): &(Timestamp, A::In),
    ) where
        P: Process<Key = K>,
    {
        state.update(cx, &pane.id, |acc| self.aggregate.add(acc, record));
        pane.len += 1;
    }

    fn merge<P>(&self, state: &Self::State, cx: &mut Context<'_, P>, into: &mut Pane, from: &mut Pane)
    where
        P: Process<Key = K>,
    {
        if let Some(other) = state.take(cx, &from.id) {
            state.update(cx, &into.id, |acc| self.aggregate.merge(acc, &other));
            into.len += from.len;
        }
    }

    fn clear<P>(&self, state: &Self::State, cx: &mut Context<'_, P>, pane: &mut Pane)
    where
        P: Process<Key = K>,
    {
        state.remove(cx, &pane.id);
        pane.len = 0;
    }

    fn fire<P>(&self, state: &Self::State, cx: &mut Context<'_, P>, pane: &mut Pane, window: Window) -> Vec<R>
    where
        P: Process<Key = K>,
    {
        let acc = state.load(cx, &pane.id).unwrap_or_default();
        vec![(self.function)(&context(cx, window), self.aggregate.finish(&acc))]
    }

    fn plain(&self, cx: &WindowContext<'_, K>, records: &mut Vec<(Timestamp, A::In)>) -> Vec<R> {
        let mut acc = A::Acc::default();
        records.iter().for_each(|(_, record)| self.aggregate.add(&mut acc, record));
        vec![(self.function)(cx, self.aggregate.finish(&acc))]
    }
}
