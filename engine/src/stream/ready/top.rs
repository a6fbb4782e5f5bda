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

#[derive(Clone)]
struct Top<K, T, O> {
    n: usize,
    order: O,
    ttl: Option<Ttl>,
    mode: Mode,
    of: PhantomData<fn() -> (K, T)>,
}

impl<K, T, O, V> Process for Top<K, T, O>
where
    K: Key,
    T: StateValue + Clone + Send,
    O: Fn(&T) -> V + Clone + Send + 'static,
    V: Ord,
{
    type Key = K;
    type In = T;
    type Out = Change<Ranked<T>>;
    type State = (List<T>, Last);

    fn declare(&self, state: &mut Declare) -> (List<T>, Last) {
        (expiring!(state.list("rows"), self.ttl), self.mode.declare(state))
    }

    fn on_record(&mut self, row: T, (state, last): &(List<T>, Last), cx: &mut Context<'_, Self>) {
        let Top { n, order, .. } = self;
        let place = order(&row);
        // Most rows of a long stream are behind the last that counts.
        let lowest = state.iter(cx).nth(*n - 1).map(T::thaw);
        if lowest.is_some_and(|lowest| order(&lowest) <= place) {
            return;
        }
        let before = state.load(cx);
        let ahead = |kept: &T| match planted!(top_tie_to_the_last) {
            true => order(kept) < place,
            false => order(kept) <= place,
        };
        let first = before.partition_point(ahead);
        let mut after = before.clone();
        after.insert(first, row);
        after.truncate(*n);
        state.replace(cx, &after);
        if last.put_off(cx) {
            return;
        }
        for (i, row) in after.into_iter().enumerate().skip(first) {
            let rank = i as u64 + 1;
            let now = Ranked { rank, row };
            match before.get(i).cloned() {
                Some(row) => {
                    cx.emit(Change::update_before(Ranked { rank, row }));
                    cx.emit(Change::update_after(now));
                }
                None => cx.emit(Change::insert(now)),
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
        V: Ord + 'static,
    {
        assert!(n > 0, "the first 0 records are none: ask for at least one");
        let (up, key, ttl) = (self.stream.compute.clone(), self.key.clone(), self.ttl);
        let mode = self.stream.graph.borrow().mode.clone();
        let stream = self.process_as(
            name,
            "top",
            &[("n", n.to_string())],
            Top { n, order: order.clone(), ttl, mode, of: PhantomData },
        );
        let compute: Compute<Change<Ranked<T>>> = Rc::new(move |inputs| {
            reference::ready::top(up(inputs), &key, n, &order, &|rank, row| Ranked { rank, row })
        });
        stream.expecting(compute)
    }
}
