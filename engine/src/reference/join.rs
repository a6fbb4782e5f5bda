//! Joins, the plainest way: every left record is compared with every right one.
//!
//! These look at times and keys only, not at watermarks: they are right where no record is late.

use crate::key::Key;
use crate::operator::join::row::RowKey;
use crate::operator::join::shape::Shape;
use crate::reference::Event;
use crate::state::StateValue;
use crate::stream::Change;
use crate::time::{MAX_TIME, Timestamp};

/// The records of a stream with their times.
fn records<T>(events: Vec<Event<T>>) -> Vec<(Timestamp, T)> {
    let record = |event| match event {
        Event::Record(at, record) => Some((at, record)),
        Event::Watermark(_) => None,
    };
    events.into_iter().filter_map(record).collect()
}

/// A stream of these results, complete at the end only.
fn stream<T>(results: impl IntoIterator<Item = (Timestamp, T)>) -> Vec<Event<T>> {
    let events = results.into_iter().map(|(at, record)| Event::Record(at, record));
    events.chain([Event::Watermark(MAX_TIME)]).collect()
}

pub(crate) fn interval<K: Key, L: Clone, R: Clone>(
    left: Vec<Event<L>>,
    right: Vec<Event<R>>,
    of_left: &dyn Fn(&L) -> K,
    of_right: &dyn Fn(&R) -> K,
    (lo, hi): (i64, i64),
) -> Vec<Event<(L, R)>> {
    let right = records(right);
    let mut results = Vec::new();
    for (l_at, l) in records(left) {
        for (r_at, r) in &right {
            let between = i128::from(*r_at) - i128::from(l_at);
            if of_left(&l) == of_right(r) && i128::from(lo) <= between && between <= i128::from(hi) {
                results.push((l_at.max(*r_at), (l.clone(), r.clone())));
            }
        }
    }
    stream(results)
}

pub(crate) fn append<K: Key, L: Clone, R: Clone>(
    left: Vec<Event<L>>,
    right: Vec<Event<R>>,
    of_left: &dyn Fn(&L) -> K,
    of_right: &dyn Fn(&R) -> K,
) -> Vec<Event<(L, R)>> {
    let right = records(right);
    let mut results = Vec::new();
    for (l_at, l) in records(left) {
        let met = right.iter().filter(|(_, r)| of_left(&l) == of_right(r));
        results.extend(met.map(|(r_at, r)| (l_at.max(*r_at), (l.clone(), r.clone()))));
    }
    stream(results)
}

/// The rows of the join of what two changelogs leave, each as an insertion.
pub(crate) fn tables<L, R, S>(
    left: Vec<Event<Change<L>>>,
    right: Vec<Event<Change<R>>>,
    meet: &dyn Fn(&Change<L>, &Change<R>) -> bool,
) -> Vec<Event<Change<S::Out>>>
where
    L: StateValue + Clone + Send,
    R: StateValue + Clone + Send,
    S: Shape<L, R>,
{
    let (left, right) = (remaining(left), remaining(right));
    let mut rows = Vec::new();
    for l in &left {
        let met: Vec<_> = right.iter().filter(|r| meet(l, r)).collect();
        rows.extend(met.iter().filter_map(|r| S::pair(&l.row, &r.row)));
        rows.extend(S::left(&l.row, !met.is_empty()));
    }
    for r in &right {
        rows.extend(S::right(&r.row, left.iter().any(|l| meet(l, r))));
    }
    stream(rows.into_iter().map(|row| (MAX_TIME, Change::insert(row))))
}

/// What a changelog leaves.
fn remaining<T: StateValue + Clone + Send>(log: Vec<Event<Change<T>>>) -> Vec<Change<T>> {
    let mut rows: Vec<Change<T>> = Vec::new();
    for (_, change) in records(log) {
        if change.is_addition() {
            rows.push(change);
        } else {
            let same = |row: &Change<T>| RowKey(row.row.clone()) == RowKey(change.row.clone());
            let place = rows.iter().position(same);
            rows.remove(place.expect("a changelog takes back only what is there"));
        }
    }
    rows
}
