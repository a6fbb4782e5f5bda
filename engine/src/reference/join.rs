//! Joins, the plainest way: every left record is compared with every right one.
//!
//! These look at times and keys only, not at watermarks: they are right where no record is late.

use crate::key::Key;
use crate::reference::Event;
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
