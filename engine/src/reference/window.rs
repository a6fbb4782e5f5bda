//! Tumbling windows, the plainest way: all records of each window and key are kept, and aggregated anew whenever a
//! result is due.

use std::collections::BTreeMap;

use crate::key::Key;
use crate::operator::aggregate::Aggregate;
use crate::operator::window::{Tumbling, Window, Windowed};
use crate::reference::Event;
use crate::time::{MIN_TIME, Timestamp};

/// The results, and the records that were too late.
pub(crate) struct Tumbled<K, In, Out> {
    pub results: Vec<Event<Windowed<K, Out>>>,
    pub late: Vec<Event<In>>,
}

/// By window, then by encoded key: the records in order.
type Panes<K, T> = BTreeMap<(Timestamp, Timestamp), BTreeMap<Vec<u8>, (K, Vec<T>)>>;

pub(crate) fn tumbling<K: Key, A: Aggregate>(
    events: Vec<Event<A::In>>,
    spec: &Tumbling,
    key: &dyn Fn(&A::In) -> K,
    aggregate: &A,
) -> Tumbled<K, A::In, A::Out> {
    let mut panes: Panes<K, A::In> = BTreeMap::new();
    let (mut watermark, mut results, mut late) = (MIN_TIME, Vec::new(), Vec::new());
    let (size, offset, lateness) = spec.parameters();
    for event in events {
        match event {
            Event::Record(at, record) => {
                let start = (at - offset).div_euclid(size) * size + offset;
                let last = start + size - 1;
                if last.saturating_add(lateness) <= watermark {
                    late.push(Event::Record(at, record));
                    continue;
                }
                let key = key(&record);
                let pane = panes.entry((start, start + size)).or_default();
                let bytes = key.encoded(<[u8]>::to_vec);
                let (_, records) = pane.entry(bytes).or_insert_with(|| (key.clone(), Vec::new()));
                records.push(record);
                if last <= watermark {
                    results.push(result(&key, start, start + size, records, aggregate));
                }
            }
            Event::Watermark(now) => {
                for (&(start, end), pane) in &panes {
                    if watermark < end - 1 && end - 1 <= now {
                        let fired = pane.values().map(|(key, all)| result(key, start, end, all, aggregate));
                        results.extend(fired);
                    }
                }
                panes.retain(|(_, end), _| (end - 1).saturating_add(lateness) > now);
                watermark = now;
                results.push(Event::Watermark(now));
                late.push(Event::Watermark(now));
            }
        }
    }
    Tumbled { results, late }
}

fn result<K: Key, A: Aggregate>(
    key: &K,
    start: Timestamp,
    end: Timestamp,
    records: &[A::In],
    aggregate: &A,
) -> Event<Windowed<K, A::Out>> {
    let mut acc = A::Acc::default();
    records.iter().for_each(|record| aggregate.add(&mut acc, record));
    let value = aggregate.finish(&acc);
    Event::Record(end - 1, Windowed { key: key.clone(), window: Window { start, end }, value })
}
