//! Tests that cannot be judged: each says what is to be changed, and none is taken for a finding about the job.

use millstream::prelude::*;
use millstream_sim::prelude::*;

use crate::jobs::{Event, events, forgetful, sums};

/// What is said of a test that cannot be judged.
fn refused(test: impl Fn(&mut Simulation<'_>) + Send + Sync + 'static) -> String {
    let found = Check::new().seeds(20).find("refused", test).expect("it cannot be judged");
    assert_eq!(found.finding().rule, "the test can be judged", "{found}");
    found.to_string()
}

#[test]
fn a_feed_is_called_as_its_source() {
    let told = refused(|sim| {
        let feed = sim.feed("evnts", events);
        let out = sim.sink("sums", |sum: &Event| sum.0);
        sim.run(|| sums(feed.clone(), out.clone()));
    });
    assert!(told.contains(r#"no source `evnts`; its sources are ["events"]"#), "{told}");
}

#[test]
fn a_sink_is_called_as_the_jobs() {
    let told = refused(|sim| {
        let feed = sim.feed("events", events);
        let out = sim.sink("sum", |sum: &Event| sum.0);
        sim.run(|| sums(feed.clone(), out.clone()));
    });
    assert!(told.contains(r#"no sink `sum`; its sinks are ["sums"]"#), "{told}");
}

#[test]
fn the_reference_must_know_what_sources_read() {
    let told = refused(|sim| {
        let out = sim.sink("sums", |sum: &Event| sum.0);
        sim.run(|| sums(from_vec(vec![(1, 2, 3)]), out.clone()));
    });
    assert!(told.contains("what the source `events` reads"), "{told}");
}

#[test]
fn what_lies_on_the_disk_fails_by_that_alone() {
    let told = refused(|sim| {
        sim.feed("events", events).in_files("input/events").failing(2);
        let out = sim.sink("sums", |sum: &Event| sum.0);
        sim.run(|| sums(files(["input/events"]), out.clone()));
    });
    assert!(told.contains("the feed `events` lies on the disk"), "{told}");
}

#[test]
fn a_test_runs_one_job() {
    let told = refused(|sim| _ = sim.feed("events", events));
    assert!(told.contains("the test runs no job"), "{told}");
    let told = refused(|sim| {
        let feed = sim.feed("events", events);
        let out = sim.sink("sums", |sum: &Event| sum.0);
        sim.run(|| sums(feed.clone(), out.clone()));
        sim.run(|| sums(feed.clone(), out.clone()));
    });
    assert!(told.contains("call `sim.run` once"), "{told}");
}

#[test]
fn faults_are_chosen_first() {
    let told = refused(|sim| {
        sim.disk().install("input/a", "a").expect("nothing is in the way");
        sim.faults(|plan| plan.no_space = None);
    });
    assert!(told.contains("call `sim.faults` first of all"), "{told}");
}

#[test]
fn late_records_of_several_splits_have_no_one_answer() {
    let told = refused(|sim| {
        let feed = sim.feed("events", events).splits(3, |event| event.0).straggling(1, 10, 100);
        let out = sim.sink("sums", |sum: &Event| sum.0);
        sim.run(|| sums(feed.clone(), out.clone()));
    });
    assert!(told.contains("the result depends on how splits interleave"), "{told}");
}

#[test]
fn nor_has_the_order_of_records_of_several_splits() {
    let told = refused(|sim| {
        let feed = sim.feed("events", events).splits(3, |event| event.0);
        let out = sim.sink("numbers", |row: &(u64, u64)| row.0);
        sim.run(|| forgetful(feed.clone(), out.clone()));
    });
    assert!(told.contains("the result depends on how splits interleave"), "{told}");
}

#[test]
fn nor_have_late_records_of_several_sources() {
    let told = refused(|sim| {
        let feeds = ["left", "right"].map(|side| sim.feed(side, events).shuffled(100));
        let out = sim.sink("sums", |sum: &Event| sum.0);
        sim.run(|| {
            let job = Job::new("two");
            let [left, right] = &feeds;
            let marks = Watermarks::bounded(millis(1));
            let left = job.source("left", left.clone()).event_time(|event| event.1, marks);
            let right = job.source("right", right.clone()).event_time(|event| event.1, marks);
            left.union("both", right)
                .key_by(|event| event.0)
                .window(Tumbling::of(millis(10)))
                .reduce("sum", |sum, event| sum.2 += event.2)
                .map(|w| (w.key, w.window.start, w.value.2))
                .sink("sums", out.clone());
            job
        });
    });
    assert!(told.contains("records were late"), "{told}");
}
