//! The jobs: good ones, and one that forgets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream::prelude::*;
use millstream::sink::Sink;
use millstream::source::Source;
use millstream_sim::prelude::*;

/// Key, time, value.
pub type Event = (u64, i64, u64);

/// Some hundreds, in the order of their times.
pub fn events(random: &mut Random) -> Vec<Event> {
    let mut time = 0;
    let mut event = |_| {
        time += random.below(20) as i64;
        (random.below(5), time, random.below(1000))
    };
    (0..300).map(&mut event).collect()
}

/// Sums per key and window of 100 ms, with records that may be 50 ms out of order.
pub fn sums(events: impl Source<Event>, out: impl Sink<Event>) -> Job {
    let job = Job::new("sums");
    job.source("events", events)
        .event_time(|event| event.1, Watermarks::bounded(millis(50)))
        .key_by(|event| event.0)
        .window(Tumbling::of(millis(100)))
        .reduce("sum", |sum, event| sum.2 += event.2)
        .map(|w| (w.key, w.window.start, w.value.2))
        .sink("sums", out);
    job
}

/// The test of it.
pub fn test_of_sums(sim: &mut Simulation<'_>) {
    let feed = sim.feed("events", events).out_of_order(millis(50), |event| event.1).straggling(1, 20, 30);
    let feed = feed.duplicated(1, 30);
    let out = sim.sink("sums", |sum: &Event| sum.0);
    sim.run(|| sums(feed.clone(), out.clone()));
}

/// Numbers what comes; the numbers are in no checkpoint.
pub fn forgetful(events: impl Source<Event>, out: impl Sink<(u64, u64)>) -> Job {
    let job = Job::new("forgetful");
    let count = Arc::new(AtomicU64::new(0));
    let number = move |event: Event| (event.0, count.fetch_add(1, Ordering::Relaxed));
    job.source("events", events).map(number).sink("numbers", out);
    job
}

/// The test of it: of what a crash shows alone, and not of what any replay does.
pub fn test_of_forgetful(sim: &mut Simulation<'_>) {
    sim.without_replays();
    let feed = sim.feed("events", events);
    let out = sim.sink("numbers", |row: &(u64, u64)| row.0);
    sim.run(|| forgetful(feed.clone(), out.clone()));
}
