//! The ready steps, the plainest way: all records of each key are kept, and looked at anew with each that comes.

use crate::aggregate::Aggregate;
use crate::key::Key;
use crate::reference::Event;
use crate::stream::Change;
use crate::time::Timestamp;

/// What comes of each record, given all of its key up to it.
fn per_key<K: Key, T, U>(
    events: Vec<Event<T>>,
    key: &dyn Fn(&T) -> K,
    results: impl Fn(&K, &[(Timestamp, T)]) -> Vec<U>,
) -> Vec<Event<U>> {
    let mut keys: Vec<(K, Vec<(Timestamp, T)>)> = Vec::new();
    let mut out = Vec::new();
    for event in events {
        let (at, record) = match event {
            Event::Record(at, record) => (at, record),
            Event::Watermark(at) => {
                out.push(Event::Watermark(at));
                continue;
            }
        };
        let of = key(&record);
        let place = keys.iter().position(|(known, _)| *known == of).unwrap_or_else(|| {
            keys.push((of, Vec::new()));
            keys.len() - 1
        });
        let (of, all) = &mut keys[place];
        all.push((at, record));
        out.extend(results(of, all).into_iter().map(|result| Event::Record(at, result)));
    }
    out
}

pub(crate) fn deduplicate<K: Key, T: Clone>(
    events: Vec<Event<T>>,
    key: &dyn Fn(&T) -> K,
    last: bool,
) -> Vec<Event<Change<T>>> {
    // `min_by_key` takes the first of equal ones, `max_by_key` the last.
    let kept = |all: &[(Timestamp, T)]| {
        let places = 0..all.len();
        if last { places.max_by_key(|&i| all[i].0) } else { places.min_by_key(|&i| all[i].0) }
    };
    per_key(events, key, |_, all| {
        let (before, after) = (kept(&all[..all.len() - 1]), kept(all));
        let row = |place: Option<usize>| all[place.expect("there is a record")].1.clone();
        match before {
            None => vec![Change::insert(row(after))],
            _ if before == after => Vec::new(),
            _ => vec![Change::update_before(row(before)), Change::update_after(row(after))],
        }
    })
}

pub(crate) fn top<K: Key, T: Clone, V: Ord, R>(
    events: Vec<Event<T>>,
    key: &dyn Fn(&T) -> K,
    n: usize,
    order: &dyn Fn(&T) -> V,
    ranked: &dyn Fn(u64, T) -> R,
) -> Vec<Event<Change<R>>> {
    let first = |all: &[(Timestamp, T)]| {
        let mut places: Vec<usize> = (0..all.len()).collect();
        places.sort_by_key(|&i| (order(&all[i].1), i));
        places.truncate(n);
        places
    };
    per_key(events, key, |_, all| {
        let (before, after) = (first(&all[..all.len() - 1]), first(all));
        let mut changes = Vec::new();
        for (rank, &now) in after.iter().enumerate() {
            let row = |place: usize| ranked(rank as u64 + 1, all[place].1.clone());
            match before.get(rank) {
                Some(&was) if was == now => {}
                Some(&was) => {
                    changes.push(Change::update_before(row(was)));
                    changes.push(Change::update_after(row(now)));
                }
                None => changes.push(Change::insert(row(now))),
            }
        }
        changes
    })
}

pub(crate) fn distinct<K: Key, T>(events: Vec<Event<T>>, key: &dyn Fn(&T) -> K) -> Vec<Event<T>> {
    let mut seen = Vec::new();
    let mut out = Vec::new();
    for event in events {
        if let Event::Record(_, record) = &event {
            let key = key(record);
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
        }
        out.push(event);
    }
    out
}

pub(crate) fn reduce<K: Key, T: Clone>(
    events: Vec<Event<T>>,
    key: &dyn Fn(&T) -> K,
    combine: &dyn Fn(&mut T, &T),
) -> Vec<Event<T>> {
    per_key(events, key, |_, all| {
        let mut value = all[0].1.clone();
        all[1..].iter().for_each(|(_, record)| combine(&mut value, record));
        vec![value]
    })
}

pub(crate) fn aggregate<K: Key, A: Aggregate>(
    events: Vec<Event<A::In>>,
    key: &dyn Fn(&A::In) -> K,
    aggregate: &A,
) -> Vec<Event<(K, A::Out)>> {
    per_key(events, key, |key, all| {
        let mut acc = A::Acc::default();
        all.iter().for_each(|(_, record)| aggregate.add(&mut acc, record));
        vec![(key.clone(), aggregate.finish(&acc))]
    })
}
