//! Sources and sinks that fail now and then: the job goes on from its last checkpoint, and nothing is lost or comes twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream::ErrorKind;
use millstream::prelude::*;
use millstream_sim::prelude::*;

use crate::jobs::{Event, events, forgetful, sums};

#[test]
fn a_job_whose_feed_and_sink_fail_holds() {
    let found = Check::new().seeds(40).find("failing", |sim| {
        let feed = sim.feed("events", events).out_of_order(millis(50), |event| event.1).failing(4);
        let out = sim.sink("sums", |sum: &Event| sum.0).failing(4);
        sim.run(|| sums(feed.clone(), out.clone()));
    });
    assert!(found.is_none(), "{}", found.expect("just seen"));
}

#[test]
fn what_a_failure_alone_shows_is_found() {
    let found = Check::new().seeds(60).find("forgetful", |sim| {
        sim.faults(|plan| *plan = FaultPlan::none());
        sim.without_replays();
        let feed = sim.feed("events", events).failing(4);
        let out = sim.sink("numbers", |row: &(u64, u64)| row.0);
        sim.run(|| forgetful(feed.clone(), out.clone()));
    });
    let found = found.expect("after a failure it counts from 0 again");
    assert_eq!(found.finding().rule, "what is committed is what the reference puts out", "{found}");
}

#[test]
fn mishaps_of_the_tests_own_strike_only_while_faults_are_on() {
    let struck = Arc::new(AtomicU64::new(0));
    let seen = struck.clone();
    let found = Check::new().seeds(20).find("own", move |sim| {
        let mishaps = sim.mishaps("lookup", 5);
        assert!((0..100).all(|_| mishaps.may_fail(ErrorKind::Source, "before the job").is_ok()));
        let feed = sim.feed("events", events).pausing(millis(5));
        let out = sim.sink("out", |event: &Event| event.0).unchecked();
        let (inside, struck) = (mishaps.clone(), seen.clone());
        sim.run(move || {
            let (mishaps, struck) = (inside.clone(), struck.clone());
            let job = Job::new("own");
            let count = move |event: Event| {
                let failed = mishaps.may_fail(ErrorKind::Source, "the connection is lost").is_err();
                struck.fetch_add(u64::from(failed), Ordering::Relaxed);
                event
            };
            job.source("events", feed.clone()).map(count).sink("out", out.clone());
            job
        });
        assert!((0..100).all(|_| mishaps.may_fail(ErrorKind::Source, "after the job").is_ok()));
    });
    assert!(found.is_none(), "{}", found.expect("just seen"));
    assert!(struck.load(Ordering::Relaxed) > 5, "some strike, and none of them in the reference");
}
