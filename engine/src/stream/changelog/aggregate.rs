//! Aggregating a table that changes: rows that go are taken back.

use std::marker::PhantomData;
use std::rc::Rc;

use crate::key::Key;
use crate::operator::join::row::unknown_row;
use crate::operator::process::{Context, Declare, Process};
use crate::reference::{self, Compute};
use crate::state::Value;
use crate::stream::batch::{Last, Mode};
use crate::stream::chain::Chain;
use crate::stream::{Change, Keyed, Stream};
use crate::time::Timestamp;

/// An aggregate of the rows of a table, from which rows can be taken back. There is [`count`](crate::table::count),
/// [`sum`](crate::table::sum), [`avg`](crate::table::avg), [`min`](crate::table::min) and
/// [`max`](crate::table::max), and a tuple of aggregates is one too.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::table::TableAggregate;
///
/// /// Whether an odd number of rows is marked.
/// #[derive(Clone)]
/// struct Odd;
/// impl TableAggregate for Odd {
///     type In = (u64, bool);
///     type Out = bool;
///     type State = Value<u64>;
///     fn declare(&self, name: &str, state: &mut Declare) -> Value<u64> {
///         state.value(name)
///     }
///     fn change<P: Process>(&self, row: &(u64, bool), weight: i64, n: &Value<u64>, cx: &mut Context<'_, P>) {
///         n.update(cx, |n| *n = n.wrapping_add_signed(weight * i64::from(row.1)));
///     }
///     fn result<P: Process>(&self, n: &Value<u64>, cx: &Context<'_, P>) -> bool {
///         n.load(cx).is_some_and(|n| n % 2 == 1)
///     }
///     fn clear<P: Process>(&self, n: &Value<u64>, cx: &mut Context<'_, P>) {
///         n.clear(cx);
///     }
///     fn of(&self, rows: &[&(u64, bool)]) -> bool {
///         rows.iter().filter(|row| row.1).count() % 2 == 1
///     }
/// }
///
/// let job = Job::new("doc");
/// let (sink, out) = collect();
/// job.source("log", from_vec(vec![Change::insert((7, true)), Change::insert((7, true))]))
///     .key_by(|change| change.row.0)
///     .table_aggregate("odd", Odd)
///     .sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(out.take().into_iter().collect::<Table<_>>().into_rows(), [(7, false)]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait TableAggregate: Clone + Send + 'static {
    /// The rows.
    type In: Clone + Send + 'static;
    /// The result.
    type Out: Clone + PartialEq + Send + 'static;
    /// The handles to the state.
    type State;

    /// Declares the state, each by a name that begins with this one.
    fn declare(&self, name: &str, state: &mut Declare) -> Self::State;

    /// A row comes (`weight` is 1) or goes (it is −1): one that may never have come, if the input is no changelog.
    fn change<P: Process>(&self, row: &Self::In, weight: i64, state: &Self::State, cx: &mut Context<'_, P>);

    /// The result, of at least one row.
    fn result<P: Process>(&self, state: &Self::State, cx: &Context<'_, P>) -> Self::Out;

    /// Removes the state: the last row has gone.
    fn clear<P: Process>(&self, state: &Self::State, cx: &mut Context<'_, P>);

    /// The result of all rows at once, in the plainest way: what [`Job::expected`](crate::Job::expected) computes.
    fn of(&self, rows: &[&Self::In]) -> Self::Out;
}

/// Keeps the number of rows beside the aggregate's state.
#[derive(Clone)]
struct Aggregation<K, A> {
    aggregate: A,
    mode: Mode,
    of: PhantomData<fn() -> K>,
}

struct Kept<S> {
    rows: Value<u64>,
    aggregate: S,
    last: Last,
}

impl<K: Key, A: TableAggregate> Process for Aggregation<K, A> {
    type Key = K;
    type In = Change<A::In>;
    type Out = Change<(K, A::Out)>;
    type State = Kept<A::State>;

    fn declare(&self, state: &mut Declare) -> Kept<A::State> {
        let (rows, last) = (state.value("rows"), self.mode.declare(state));
        Kept { rows, aggregate: self.aggregate.declare("aggregate", state), last }
    }

    fn on_record(&mut self, change: Change<A::In>, state: &Kept<A::State>, cx: &mut Context<'_, Self>) {
        let aggregate = &self.aggregate;
        let rows = state.rows.load(cx).unwrap_or(0);
        let weight = if change.is_addition() { 1 } else { -1 };
        let Some(now) = rows.checked_add_signed(weight) else {
            return unknown_row(cx);
        };
        let now_due = !state.last.put_off(cx);
        let before = (now_due && rows > 0).then(|| aggregate.result(&state.aggregate, cx));
        aggregate.change(&change.row, weight, &state.aggregate, cx);
        let after = (now_due && now > 0).then(|| aggregate.result(&state.aggregate, cx));
        if now == 0 {
            state.rows.clear(cx);
            aggregate.clear(&state.aggregate, cx);
        } else {
            state.rows.set(cx, &now);
        }
        let key = cx.key().clone();
        for change in changes(before, after) {
            cx.emit(change.map(|result| (key.clone(), result)));
        }
    }

    fn on_timer(&mut self, _: Timestamp, state: &Kept<A::State>, cx: &mut Context<'_, Self>) {
        state.last.recall(cx);
        if state.rows.load(cx).is_some() {
            let result = self.aggregate.result(&state.aggregate, cx);
            cx.emit(Change::insert((cx.key().clone(), result)));
        }
    }
}

/// How a row changes from what it was to what it is.
fn changes<T: PartialEq>(before: Option<T>, after: Option<T>) -> impl Iterator<Item = Change<T>> {
    let changes = match (before, after) {
        (Some(before), Some(after)) if before == after => [None, None],
        (Some(before), Some(after)) => {
            [Some(Change::update_before(before)), Some(Change::update_after(after))]
        }
        (before, after) => [before.map(Change::delete), after.map(Change::insert)],
    };
    changes.into_iter().flatten()
}

impl<K, T, C, F> Keyed<K, Change<T>, C, F>
where
    K: Key,
    T: Clone + Send + 'static,
    C: Chain<Out = Change<T>>,
    F: Fn(&Change<T>) -> K + Clone + Send + 'static,
{
    /// Aggregates the rows that each key has in a table, and takes back those that go: the changelog of the table of the
    /// results, with a row for each key that has rows. The name is for ever: state is found by it.
    ///
    /// # Errors
    /// The job ends with an error if a row is taken back of a key that has none.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::table::{avg, count, max};
    ///
    /// let job = Job::new("doc");
    /// let (sink, changes) = collect();
    /// let prices = vec![
    ///     Change::insert(("tea", 4)),
    ///     Change::insert(("tea", 9)),
    ///     Change::insert(("jam", 2)),
    ///     Change::delete(("tea", 9)),
    /// ];
    /// let of = |row: &(&str, i64)| row.1;
    /// job.source("prices", from_vec(prices))
    ///     .key_by(|price| price.row.0.to_owned())
    ///     .table_aggregate("statistics", (count(), avg(of), max(of)))
    ///     .filter(|change| change.row.0 == "tea")
    ///     .map_rows(|(_, statistics)| statistics)
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(changes.take(), [
    ///     Change::insert((1, 4, 4)),
    ///     Change::update_before((1, 4, 4)),
    ///     Change::update_after((2, 6, 9)),
    ///     Change::update_before((2, 6, 9)),
    ///     Change::update_after((1, 4, 4)),
    /// ]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn table_aggregate<A>(self, name: &str, aggregate: A) -> Stream<Change<(K, A::Out)>>
    where
        A: TableAggregate<In = T>,
        T: PartialEq,
    {
        let (up, key) = (self.stream.compute.clone(), self.key.clone());
        let mode = self.stream.graph.borrow().mode.clone();
        let process = Aggregation { aggregate: aggregate.clone(), mode, of: PhantomData };
        let stream = self.process(name, process);
        let compute: Compute<Change<(K, A::Out)>> = Rc::new(move |inputs| {
            reference::changelog::aggregate(up(inputs), &key, &|rows: &[&T]| aggregate.of(rows))
        });
        stream.expecting(compute)
    }
}
