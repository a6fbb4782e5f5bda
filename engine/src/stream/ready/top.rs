//! The first few rows of each key in some order.

use std::marker::PhantomData;
use std::rc::Rc;

use millstream_storage::planted;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::operator::process::{Context, Declare, Process};
use crate::reference::{self, Compute};
use crate::state::{List, StateValue, Ttl};
use crate::stream::batch::{Last, Mode};
use crate::stream::chain::Chain;
use crate::stream::ready::expiring;
use crate::stream::ready::remembered::Remembered;
use crate::stream::{Change, Keyed, Stream};
use crate::time::Timestamp;

/// A row and its place among those of its key; see [`Keyed::top`].
///
/// ```
/// use millstream::prelude::*;
/// assert!(Ranked { rank: 1, row: 'z' } < Ranked { rank: 2, row: 'a' });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ranked<T> {
    /// 1 for the first.
    pub rank: u64,
    /// The row.
    pub row: T,
}

struct Top<K, T, O, V> {
    n: usize,
    order: O,
    ttl: Option<Ttl>,
    /// The place of the last row that counts in the order, of keys that have as many.
    lasts: Remembered<V>,
    mode: Mode,
    of: PhantomData<fn() -> (K, T)>,
}

impl<K, T, O: Clone, V> Clone for Top<K, T, O, V> {
    fn clone(&self) -> Self {
        let Top { n, ttl, .. } = *self;
        Top {
            n,
            order: self.order.clone(),
            ttl,
            mode: self.mode.clone(),
            lasts: Remembered::default(),
            of: PhantomData,
        }
    }
}

impl<K, T, O, V> Process for Top<K, T, O, V>
where
    K: Key,
    T: StateValue + Clone + Send,
    O: Fn(&T) -> V + Clone + Send + 'static,
    V: Ord + Send + 'static,
{
    type Key = K;
    type In = T;
    type Out = Change<Ranked<T>>;
    type State = (List<T>, Last);

    fn declare(&self, state: &mut Declare) -> (List<T>, Last) {
        (expiring!(state.list("rows"), self.ttl), self.mode.declare(state))
    }

    fn on_record(&mut self, row: T, (state, last): &(List<T>, Last), cx: &mut Context<'_, Self>) {
        let Top { n, order, ttl, lasts, .. } = self;
        let place = order(&row);
        // Before it is known whether the row counts: the time of what comes at the end is that of the latest of all.
        let put_off = last.put_off(cx);
        if lasts.get(cx.hash, cx.key_bytes).is_some_and(|lowest| *lowest <= place) {
            return;
        }
        let before = state.load(cx);
        let ahead = |kept: &T| match planted!(top_tie_to_the_last) {
            true => order(kept) < place,
            false => order(kept) <= place,
        };
        let first = before.partition_point(ahead);
        let after: Vec<&T> = before[..first].iter().chain([&row]).chain(&before[first..]).take(*n).collect();
        // What expires makes room without a word.
        if ttl.is_none() && after.len() == *n {
            lasts.set(cx.hash, cx.key_bytes, order(after[*n - 1]));
        }
        if first == *n {
            return;
        }
        state.replace(cx, after);
        if put_off {
            return;
        }
        let (mut kept, mut comes) = (before.into_iter().skip(first), Some(row));
        for rank in first as u64 + 1..=*n as u64 {
            let Some(row) = comes.take() else { break };
            match kept.next() {
                Some(was) => {
                    cx.emit(Change::update_before(Ranked { rank, row: was.clone() }));
                    comes = Some(was);
                    cx.emit(Change::update_after(Ranked { rank, row }));
                }
                None => cx.emit(Change::insert(Ranked { rank, row })),
            }
        }
    }

    fn on_timer(&mut self, _: Timestamp, (state, last): &(List<T>, Last), cx: &mut Context<'_, Self>) {
        last.recall(cx);
        for (i, row) in state.load(cx).into_iter().enumerate() {
            cx.emit(Change::insert(Ranked { rank: i as u64 + 1, row }));
        }
    }
}

impl<K, T, C, F> Keyed<K, T, C, F>
where
    K: Key,
    T: StateValue + Clone + Send,
    C: Chain<Out = T>,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    /// The first `n` records of each key by what a function gives for them, least first, and among equal ones in the order
    /// in which they came: as the changelog of a table with a row for each key and rank. Turn the order by
    /// [`Reverse`](std::cmp::Reverse). The name is for ever: state is found by it.
    ///
    /// # Panics
    /// If `n` is 0.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use std::cmp::Reverse;
    ///
    /// let job = Job::new("doc");
    /// let (sink, changes) = collect();
    /// job.source("bids", from_vec(vec![('a', 30), ('a', 50), ('a', 40), ('a', 10)]))
    ///     .key_by(|bid| bid.0)
    ///     .top("highest", 2, |bid| Reverse(bid.1))
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// let table: Table<_> = changes.take().into_iter().collect();
    /// assert_eq!(table.into_rows(), [Ranked { rank: 1, row: ('a', 50) }, Ranked { rank: 2, row: ('a', 40) }]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn top<O, V>(self, name: &str, n: usize, order: O) -> Stream<Change<Ranked<T>>>
    where
        O: Fn(&T) -> V + Clone + Send + 'static,
        V: Ord + Send + 'static,
    {
        assert!(n > 0, "the first 0 records are none: ask for at least one");
        let (up, key, ttl) = (self.stream.compute.clone(), self.key.clone(), self.ttl);
        let mode = self.stream.graph.borrow().mode.clone();
        let stream = self.process_as(
            name,
            "top",
            &[("n", n.to_string())],
            Top { n, order: order.clone(), ttl, mode, lasts: Remembered::default(), of: PhantomData },
        );
        let compute: Compute<Change<Ranked<T>>> = Rc::new(move |inputs| {
            reference::ready::top(up(inputs), &key, n, &order, &|rank, row| Ranked { rank, row })
        });
        stream.expecting(compute)
    }
}
