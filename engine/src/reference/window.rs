//! Windows of fixed places in time, the plainest way: all records of each window and key are kept, and aggregated anew
//! whenever a result is due.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};

use crate::key::Key;
use crate::operator::aggregate::Aggregate;
use crate::operator::window::{Cumulative, Days, Sliding, Tumbling, Window, Windowed};
use crate::reference::Event;
use crate::time::{MIN_TIME, Timestamp};

/// The results, and the records that were too late.
pub(crate) struct Results<K, In, Out> {
    pub results: Vec<Event<Windowed<K, Out>>>,
    pub late: Vec<Event<In>>,
}

/// By key, encoded, then by window, the earliest end first: the records, by their places in the input.
type Panes = BTreeMap<Vec<u8>, BTreeMap<(Timestamp, Timestamp), Vec<usize>>>;

pub(crate) fn tumbling<K: Key, A: Aggregate>(
    events: Vec<Event<A::In>>,
    spec: &Tumbling,
    key: &dyn Fn(&A::In) -> K,
    aggregate: &A,
) -> Results<K, A::In, A::Out> {
    let (size, offset, lateness) = spec.parameters();
    let assign = |at: Timestamp| {
        let start = (at - offset).div_euclid(size) * size + offset;
        vec![(start, start + size)]
    };
    fixed(events, &assign, lateness, key, aggregate)
}

pub(crate) fn sliding<K: Key, A: Aggregate>(
    events: Vec<Event<A::In>>,
    spec: &Sliding,
    key: &dyn Fn(&A::In) -> K,
    aggregate: &A,
) -> Results<K, A::In, A::Out> {
    let (size, slide, offset, lateness) = spec.parameters();
    let assign = |at: Timestamp| {
        let last = (at - offset).div_euclid(slide) * slide + offset;
        let starts = (0..).map(|n| last - n * slide).take_while(|start| start + size > at);
        starts.map(|start| (start, start + size)).collect()
    };
    fixed(events, &assign, lateness, key, aggregate)
}

pub(crate) fn cumulative<K: Key, A: Aggregate>(
    events: Vec<Event<A::In>>,
    spec: &Cumulative,
    key: &dyn Fn(&A::In) -> K,
    aggregate: &A,
) -> Results<K, A::In, A::Out> {
    let (max, step, offset, lateness) = spec.parameters();
    let assign = |at: Timestamp| {
        let start = (at - offset).div_euclid(max) * max + offset;
        let ends = (1..=max / step).map(|n| start + n * step).filter(|end| *end > at);
        ends.map(|end| (start, end)).collect()
    };
    fixed(events, &assign, lateness, key, aggregate)
}

pub(crate) fn days<K: Key, A: Aggregate>(
    events: Vec<Event<A::In>>,
    spec: &Days,
    key: &dyn Fn(&A::In) -> K,
    aggregate: &A,
) -> Results<K, A::In, A::Out> {
    let (count, zone, begin, lateness) = spec.parameters();
    let beginning = |day: Date| {
        let time = day.at((begin / 60) as i8, (begin % 60) as i8, 0, 0);
        zone.to_timestamp(time).expect("the reference is not used beyond all years").as_millisecond()
    };
    let tomorrow = |day: Date| day.tomorrow().expect("the reference is not used beyond all years");
    let assign = |at: Timestamp| {
        // From day to day, from a window's first day that lies long before.
        let mut first = date(1970, 1, 1);
        while beginning(first) > at {
            (0..count).for_each(|_| first = first.yesterday().expect("there are years before"));
        }
        loop {
            let next = (0..count).fold(first, |day, _| tomorrow(day));
            if beginning(next) > at {
                return vec![(beginning(first), beginning(next))];
            }
            first = next;
        }
    };
    fixed(events, &assign, lateness, key, aggregate)
}

/// Windows that a record's time alone decides on, as (start, end).
fn fixed<K: Key, A: Aggregate>(
    events: Vec<Event<A::In>>,
    assign: &dyn Fn(Timestamp) -> Vec<(Timestamp, Timestamp)>,
    lateness: i64,
    key: &dyn Fn(&A::In) -> K,
    aggregate: &A,
) -> Results<K, A::In, A::Out> {
    let mut panes = Panes::new();
    let (mut watermark, mut results, mut late) = (MIN_TIME, Vec::new(), Vec::new());
    let mut records: Vec<A::In> = Vec::new();
    for event in events {
        match event {
            Event::Record(at, record) => {
                let mut windows: Vec<_> = assign(at)
                    .into_iter()
                    .filter(|(_, end)| (end - 1).saturating_add(lateness) > watermark)
                    .map(|(start, end)| (end, start))
                    .collect();
                if windows.is_empty() {
                    if at.saturating_add(lateness) <= watermark {
                        late.push(Event::Record(at, record));
                    }
                    continue;
                }
                windows.sort_unstable();
                let key = key(&record);
                let of_key = panes.entry(key.encoded(<[u8]>::to_vec)).or_default();
                records.push(record);
                for window in windows {
                    let pane = of_key.entry(window).or_default();
                    pane.push(records.len() - 1);
                    if window.0 - 1 <= watermark {
                        results.push(result(&key, window, pane, &records, aggregate));
                    }
                }
            }
            Event::Watermark(now) => {
                let mut due = Vec::new();
                for (key, of_key) in &panes {
                    let key = K::decode(key).expect("it was encoded from a key");
                    for (window, pane) in of_key {
                        if watermark < window.0 - 1 && window.0 - 1 <= now {
                            due.push(result(&key, *window, pane, &records, aggregate));
                        }
                    }
                }
                results.append(&mut due);
                for of_key in panes.values_mut() {
                    of_key.retain(|(end, _), _| (end - 1).saturating_add(lateness) > now);
                }
                watermark = now;
                results.push(Event::Watermark(now));
                late.push(Event::Watermark(now));
            }
        }
    }
    Results { results, late }
}

pub(super) fn result<K: Key, A: Aggregate>(
    key: &K,
    (end, start): (Timestamp, Timestamp),
    pane: &[usize],
    records: &[A::In],
    aggregate: &A,
) -> Event<Windowed<K, A::Out>> {
    let mut acc = A::Acc::default();
    pane.iter().for_each(|place| aggregate.add(&mut acc, &records[*place]));
    let value = aggregate.finish(&acc);
    Event::Record(end - 1, Windowed { key: key.clone(), window: Window { start, end }, value })
}
