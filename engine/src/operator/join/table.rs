//! The join of two tables that change.

use std::marker::PhantomData;

use millstream_storage::planted;

use crate::key::Key;
use crate::operator::join::row::{RowKey, unknown_row};
use crate::operator::join::shape::Shape;
use crate::operator::process::{Context, Declare, Process};
use crate::state::Map;
use crate::state::codec::StateValue;
use crate::stream::{Change, Either};
use crate::time::Timestamp;

/// How often a row is there, since when, and how many rows of the other side it meets.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(crate) struct Tally {
    times: u64,
    /// Kept on a side whose rows have a result by themselves.
    met: u64,
    /// The time of its latest change.
    changed: Timestamp,
}

/// The rows of a side.
type Rows<T> = Map<RowKey<T>, Tally>;

/// Keeps the rows of both sides as bags, and puts out how the join of the two changes with each of their changes.
///
/// A row's result by itself depends on whether it meets any other: with the first that it meets it goes or comes, and with
/// the last it is the reverse. A pair changes at the time of the later change of its two rows, whichever comes first.
#[derive(Clone)]
pub(crate) struct TableJoin<K, L, R, S, O> {
    on: O,
    of: PhantomData<(K, L, R, S)>,
}

impl<K, L, R, S, O> TableJoin<K, L, R, S, O> {
    pub(crate) fn new(on: O) -> Self {
        TableJoin { on, of: PhantomData }
    }
}

pub(crate) struct Tables<L, R> {
    left: Rows<L>,
    right: Rows<R>,
}

/// A side of the join as the change of the other one sees it.
struct Against<'a, T, Out> {
    rows: &'a Rows<T>,
    /// Whether these rows have a result by themselves.
    alone: bool,
    /// That result, if they have met any or not.
    result: fn(&T, bool) -> Option<Out>,
}

/// A change of one side: the row, and whether it comes.
struct Visit<'a, T, Out> {
    rows: &'a Rows<T>,
    row: RowKey<T>,
    comes: bool,
    alone: bool,
    result: fn(&T, bool) -> Option<Out>,
}

fn emit<P, Out>(cx: &mut Context<'_, P>, at: Timestamp, comes: bool, row: Option<Out>)
where
    P: Process<Out = Change<Out>>,
{
    if let Some(row) = row {
        cx.out.push(at, if comes { Change::insert(row) } else { Change::delete(row) });
    }
}

/// Counts a row of one side in, or out.
fn count<P, A, Out>(visit: &Visit<'_, A, Out>, met: u64, cx: &mut Context<'_, P>) -> bool
where
    P: Process<Out = Change<Out>>,
    A: StateValue + Clone + Send,
{
    let Visit { rows, row, comes, .. } = visit;
    let tally = rows.load(cx, row);
    if !comes && tally.is_none() {
        unknown_row(cx);
        return false;
    }
    let Tally { times, changed, .. } = tally.unwrap_or_default();
    let changed = tally.map_or(cx.time(), |_| changed.max(cx.time()));
    match (comes, times) {
        (false, 1) => {
            rows.remove(cx, row);
        }
        (false, _) => rows.put(cx, row, &Tally { times: times - 1, met, changed }),
        (true, _) => rows.put(cx, row, &Tally { times: times + 1, met, changed }),
    }
    true
}

/// The change of a row of one side, against all rows of the other that it meets.
fn visit<P, A, B, Out>(
    visit: Visit<'_, A, Out>,
    against: Against<'_, B, Out>,
    meets: impl Fn(&A, &B) -> bool,
    pair: impl Fn(&A, &B) -> Option<Out>,
    cx: &mut Context<'_, P>,
) where
    P: Process<Out = Change<Out>>,
    A: StateValue + Clone + Send,
    B: StateValue + Clone + Send,
{
    let others = against.rows.iter(cx).map(|(row, tally)| (row, Tally::thaw(tally)));
    let others: Vec<(RowKey<B>, Tally)> = others.filter(|(row, _)| meets(&visit.row.0, &row.0)).collect();
    let met = others.iter().map(|(_, tally)| tally.times).sum();
    if !count(&visit, met, cx) {
        return;
    }
    let Visit { row, comes, alone, result, .. } = visit;
    let at = cx.time();
    // What goes, goes before that comes which is in its place.
    if alone && !comes {
        emit(cx, at, false, result(&row.0, met > 0));
    }
    for (other, tally) in others {
        if comes && against.alone {
            turn(&other, tally, true, &against, cx);
        }
        for _ in 0..tally.times {
            emit(cx, at.max(tally.changed), comes, pair(&row.0, &other.0));
        }
        if !comes && against.alone {
            turn(&other, tally, false, &against, cx);
        }
    }
    if alone && comes {
        emit(cx, at, true, result(&row.0, met > 0));
    }
}

/// A row of the other side meets one more, or one less: with the first, and with the last, its result by itself changes.
fn turn<P, B, Out>(
    row: &RowKey<B>,
    tally: Tally,
    one_more: bool,
    against: &Against<'_, B, Out>,
    cx: &mut Context<'_, P>,
) where
    P: Process<Out = Change<Out>>,
    B: StateValue + Clone + Send,
{
    let met = if one_more { tally.met + 1 } else { tally.met.saturating_sub(1) };
    if !(planted!(match_count_lost) && one_more && tally.met > 0) {
        against.rows.put(cx, row, &Tally { met, ..tally });
    }
    let (before, after) = (tally.met > 0, met > 0);
    if before == after {
        return;
    }
    let at = tally.changed.max(cx.time());
    for _ in 0..tally.times {
        emit(cx, at, false, (against.result)(&row.0, before));
        emit(cx, at, true, (against.result)(&row.0, after));
    }
}

impl<K, L, R, S, O> Process for TableJoin<K, L, R, S, O>
where
    K: Key,
    L: StateValue + Clone + Send,
    R: StateValue + Clone + Send,
    S: Shape<L, R>,
    O: Fn(&L, &R) -> bool + Clone + Send + 'static,
{
    type Key = K;
    type In = Either<Change<L>, Change<R>>;
    type Out = Change<S::Out>;
    type State = Tables<L, R>;

    fn declare(&self, state: &mut Declare) -> Tables<L, R> {
        Tables { left: state.map("left"), right: state.map("right") }
    }

    fn on_record(
        &mut self,
        change: Either<Change<L>, Change<R>>,
        state: &Tables<L, R>,
        cx: &mut Context<'_, Self>,
    ) {
        let on = &self.on;
        match change {
            Either::Left(change) => {
                let (comes, row) = (change.is_addition(), RowKey(change.row));
                let left = Visit { rows: &state.left, row, comes, alone: S::ALONE.0, result: S::left };
                let right = Against { rows: &state.right, alone: S::ALONE.1, result: S::right };
                visit(left, right, |l, r| on(l, r), S::pair, cx);
            }
            Either::Right(change) => {
                let (comes, row) = (change.is_addition(), RowKey(change.row));
                let right = Visit { rows: &state.right, row, comes, alone: S::ALONE.1, result: S::right };
                let left = Against { rows: &state.left, alone: S::ALONE.0, result: S::left };
                visit(right, left, |r, l| on(l, r), |r, l| S::pair(l, r), cx);
            }
        }
    }
}

#[cfg(test)]
mod tests;
