//! Sessions, the plainest way: all records of each are kept, and aggregated anew whenever a result is due.

use std::collections::BTreeMap;

use crate::key::Key;
use crate::operator::aggregate::Aggregate;
use crate::reference::Event;
use crate::reference::window::{Results, result};
use crate::time::{MIN_TIME, Timestamp};

/// Start, end, and the places of the records in the input.
type Session = (Timestamp, Timestamp, Vec<usize>);

pub(crate) fn sessions<K: Key, A: Aggregate>(
    events: Vec<Event<A::In>>,
    gap: &dyn Fn(&A::In) -> i64,
    lateness: i64,
    key: &dyn Fn(&A::In) -> K,
    aggregate: &A,
) -> Results<K, A::In, A::Out> {
    let mut open: BTreeMap<Vec<u8>, Vec<Session>> = BTreeMap::new();
    let (mut watermark, mut results, mut late) = (MIN_TIME, Vec::new(), Vec::new());
    let mut records: Vec<A::In> = Vec::new();
    for event in events {
        match event {
            Event::Record(at, record) => {
                let of = key(&record);
                let of_key = open.entry(of.encoded(<[u8]>::to_vec)).or_default();
                let (mut start, mut end, mut inside) = (at, at.saturating_add(gap(&record)), Vec::new());
                let alone = (start, end);
                let touches = |session: &Session| session.0 <= alone.1 && alone.0 <= session.1;
                for session in of_key.iter().filter(|session| touches(session)) {
                    start = start.min(session.0);
                    end = end.max(session.1);
                    inside.extend(&session.2);
                }
                if (end - 1).saturating_add(lateness) <= watermark {
                    late.push(Event::Record(at, record));
                    continue;
                }
                of_key.retain(|session| !touches(session));
                records.push(record);
                inside.push(records.len() - 1);
                if end - 1 <= watermark {
                    results.push(result(&of, (end, start), &inside, &records, aggregate));
                }
                of_key.push((start, end, inside));
            }
            Event::Watermark(now) => {
                for (key, of_key) in &mut open {
                    of_key.sort();
                    let key = K::decode(key).expect("it was encoded from a key");
                    let due =
                        of_key.iter().filter(|session| watermark < session.1 - 1 && session.1 - 1 <= now);
                    results.extend(due.map(|(start, end, inside)| {
                        result(&key, (*end, *start), inside, &records, aggregate)
                    }));
                    of_key.retain(|session| (session.1 - 1).saturating_add(lateness) > now);
                }
                watermark = now;
                results.push(Event::Watermark(now));
                late.push(Event::Watermark(now));
            }
        }
    }
    Results { results, late }
}
