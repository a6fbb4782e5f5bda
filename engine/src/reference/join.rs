//! Joins, the plainest way: every left record is compared with every right one.
//!
//! These look at times and keys only, not at watermarks: they are right where no record is late.

use crate::key::Key;
use crate::operator::join::row::RowKey;
use crate::operator::join::shape::Shape;
use crate::operator::window::{Window, Windowed};
use crate::reference::{Event, flat_map};
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

pub(crate) fn temporal<L, R: Clone, S: Shape<L, R>>(
    left: Vec<Event<L>>,
    right: Vec<Event<Change<R>>>,
    same: &dyn Fn(&L, &Change<R>) -> bool,
) -> Vec<Event<S::Out>> {
    let versions = records(right);
    let mut left = records(left);
    left.sort_by_key(|(at, _)| *at);
    let mut results = Vec::new();
    for (at, l) in left {
        // The last of those with the greatest time.
        let of_key = versions.iter().filter(|(since, version)| *since <= at && same(&l, version));
        let in_force = of_key.max_by_key(|(since, _)| *since);
        let result = match in_force.filter(|(_, version)| version.is_addition()) {
            Some((_, version)) => S::pair(&l, &version.row).or_else(|| S::left(&l, true)),
            None => S::left(&l, false),
        };
        results.extend(result.map(|result| (at, result)));
    }
    stream(results)
}

type KeyOf<'a, T, K> = &'a dyn Fn(&T) -> K;

/// What is made of the two sides of a window.
type Together<'a, L, R, Out> = dyn Fn(Window, &[L], &[R]) -> Vec<Out> + 'a;

/// What both sides have in a window, in order of time.
type Groups<K, L, R> = (K, Window, Vec<(Timestamp, L)>, Vec<(Timestamp, R)>);

/// The place of the group of a key and a window.
fn place<K: Key, L, R>(groups: &mut Vec<Groups<K, L, R>>, key: &K, window: Window) -> usize {
    groups.iter().position(|group| group.0 == *key && group.1 == window).unwrap_or_else(|| {
        groups.push((key.clone(), window, Vec::new(), Vec::new()));
        groups.len() - 1
    })
}

pub(crate) fn windows<K: Key, L: Clone, R: Clone, Out>(
    left: Vec<Event<L>>,
    right: Vec<Event<R>>,
    (of_left, of_right): (KeyOf<'_, L, K>, KeyOf<'_, R, K>),
    windows_of: &dyn Fn(Timestamp) -> Vec<Window>,
    together: &Together<'_, L, R, Out>,
) -> Vec<Event<Windowed<K, Out>>> {
    let mut groups: Vec<Groups<K, L, R>> = Vec::new();
    for (at, l) in records(left) {
        for window in windows_of(at) {
            let place = place(&mut groups, &of_left(&l), window);
            groups[place].2.push((at, l.clone()));
        }
    }
    for (at, r) in records(right) {
        for window in windows_of(at) {
            let place = place(&mut groups, &of_right(&r), window);
            groups[place].3.push((at, r.clone()));
        }
    }
    groups.sort_by_key(|group| group.1.end);
    let mut results = Vec::new();
    for (key, window, mut l, mut r) in groups {
        l.sort_by_key(|record| record.0);
        r.sort_by_key(|record| record.0);
        let (l, r): (Vec<L>, Vec<R>) =
            (l.into_iter().map(|record| record.1).collect(), r.into_iter().map(|record| record.1).collect());
        let of_window = together(window, &l, &r).into_iter();
        results.extend(of_window.map(|value| (window.end - 1, Windowed { key: key.clone(), window, value })));
    }
    stream(results)
}

pub(crate) fn lookup<K: Key, T, V, S: Shape<T, V>>(
    events: Vec<Event<T>>,
    rows: Vec<(K, V)>,
    key: &dyn Fn(&T) -> K,
) -> Vec<Event<S::Out>> {
    flat_map(events, |record| {
        let of = key(&record);
        let result = match rows.iter().rev().find(|row| row.0 == of) {
            Some((_, row)) => S::pair(&record, row).or_else(|| S::left(&record, true)),
            None => S::left(&record, false),
        };
        result.into_iter().collect()
    })
}
