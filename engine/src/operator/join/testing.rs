//! Joins with their two inputs interleaved at will.

use crate::operator::process::Process;
use crate::reference::{Event, events, process};
use crate::time::Timestamp;

/// What came out, and what went to the two sides for late records.
pub(super) struct Ran<Out, L, R> {
    pub out: Vec<(Timestamp, Out)>,
    pub late_left: Vec<L>,
    pub late_right: Vec<R>,
}

/// Runs a join over one key.
pub(super) fn run<P, L: 'static, R: 'static>(join: &P, input: Vec<Event<P::In>>) -> Ran<P::Out, L, R>
where
    P: Process<Key = u8>,
{
    let mut processed = process(input, join, &|_| 0);
    let late_left = records(events(processed.sides.batch::<L>(0)));
    let late_right = records(events(processed.sides.batch::<R>(1)));
    let without_times = |late: Vec<(Timestamp, _)>| late.into_iter().map(|record| record.1).collect();
    Ran {
        out: records(processed.results),
        late_left: without_times(late_left),
        late_right: late_right.into_iter().map(|record| record.1).collect(),
    }
}

fn records<T>(events: Vec<Event<T>>) -> Vec<(Timestamp, T)> {
    let record = |event| match event {
        Event::Record(at, record) => Some((at, record)),
        Event::Watermark(_) => None,
    };
    events.into_iter().filter_map(record).collect()
}
