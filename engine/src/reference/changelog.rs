//! Aggregates of tables that change, the plainest way: all rows are kept, and aggregated anew after each change.

use crate::key::Key;
use crate::reference::Event;
use crate::stream::Change;

pub(crate) fn aggregate<K: Key, T: PartialEq, Out: Clone + PartialEq>(
    events: Vec<Event<Change<T>>>,
    key: &dyn Fn(&Change<T>) -> K,
    of: &dyn Fn(&[&T]) -> Out,
) -> Vec<Event<Change<(K, Out)>>> {
    let mut tables: Vec<(K, Vec<T>)> = Vec::new();
    let mut results = Vec::new();
    for event in events {
        let (at, change) = match event {
            Event::Record(at, change) => (at, change),
            Event::Watermark(at) => {
                results.push(Event::Watermark(at));
                continue;
            }
        };
        let key = key(&change);
        if !tables.iter().any(|(of, _)| *of == key) {
            tables.push((key.clone(), Vec::new()));
        }
        let (_, rows) = tables.iter_mut().find(|(of, _)| *of == key).expect("it was just added");
        let before = (!rows.is_empty()).then(|| of(&rows.iter().collect::<Vec<_>>()));
        if change.is_addition() {
            rows.push(change.row);
        } else {
            let place = rows.iter().position(|row| *row == change.row);
            rows.remove(place.expect("a changelog takes back only what is there"));
        }
        let after = (!rows.is_empty()).then(|| of(&rows.iter().collect::<Vec<_>>()));
        if before == after {
            continue;
        }
        let both = before.is_some() && after.is_some();
        let (goes, comes): (fn(_) -> _, fn(_) -> _) = match both {
            true => (Change::update_before, Change::update_after),
            false => (Change::delete, Change::insert),
        };
        results.extend(before.map(|row| Event::Record(at, goes((key.clone(), row)))));
        results.extend(after.map(|row| Event::Record(at, comes((key.clone(), row)))));
    }
    results
}
