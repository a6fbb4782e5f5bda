//! What is right passes, in whatever way it reads and writes.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream::prelude::*;
use millstream_sim::prelude::*;

use crate::jobs::{Event, events, sums, test_of_forgetful, test_of_sums};

#[test]
fn a_good_job_passes() {
    check("sums", test_of_sums);
}

#[test]
fn splits_that_lateness_does_not_tell_apart_pass() {
    check("sums of splits", |sim| {
        let feed =
            sim.feed("events", events).splits(3, |event| event.0).out_of_order(millis(50), |event| event.1);
        let out = sim.sink("sums", |sum: &Event| sum.0);
        sim.run(|| sums(feed.clone(), out.clone()));
        assert_eq!(feed.records().len(), 3);
    });
}

#[test]
fn two_sources_pass() {
    check("union", |sim| {
        let left = sim.feed("left", events).out_of_order(millis(50), |event| event.1);
        let right = sim.feed("right", events).splits(2, |event| event.0);
        let out = sim.sink("out", |event: &Event| *event).unordered();
        sim.run(|| {
            let job = Job::new("union");
            let (left, right) = (job.source("left", left.clone()), job.source("right", right.clone()));
            left.union("both", right).sink("out", out.clone());
            job
        });
        assert_eq!(out.committed().len(), 600);
    });
}

#[test]
fn files_and_what_the_test_lays_itself_pass() {
    check("files", |sim| {
        sim.disk().install("input/rules.ndjson", "7\n8\n").expect("nothing is in the way");
        sim.input("rules", vec![vec![7_u64, 8]]);
        sim.feed("events", events).in_files("input/events");
        let rules = sim.files_sink("rules out", "output/rules", |rule: &u64| *rule);
        let out = sim.topic_sink("sums", "output/sums", |event: &Event| event.0);
        let seen = Rc::new(Cell::new(0));
        sim.at_end({
            let (rules, out, seen) = (rules.clone(), out.clone(), seen.clone());
            move |look| {
                assert!(look.done() && look.disk().list("output/rules").is_ok());
                assert_same(&rules.committed(), &[7, 8], |rule| *rule);
                assert_unique(&out.committed(), |sum| (sum.0, sum.1));
                seen.set(seen.get() + 1);
            }
        });
        sim.run(|| {
            let job = Job::new("files");
            let rules = job.source("rules", files(["input/rules.ndjson"]));
            rules.map(|rule: u64| rule).sink("rules out", ndjson_dir("output/rules"));
            job.source("events", files(["input/events"]))
                .event_time(|event: &Event| event.1, Watermarks::bounded(millis(50)))
                .key_by(|event| event.0)
                .window(Tumbling::of(millis(100)))
                .reduce("sum", |sum, event| sum.2 += event.2)
                .map(|w| (w.key, w.window.start, w.value.2))
                .sink("sums", topic_sink("output/sums"));
            job
        });
        assert_eq!(seen.get(), 1, "the end is looked at once");
    });
}

#[test]
fn without_faults_what_only_crashes_show_is_not_found() {
    let found = Check::new().seeds(30).find("calm", |sim| {
        // `test_of_forgetful` asks for no replays, which show it without a crash.
        sim.faults(|plan| *plan = FaultPlan::none());
        test_of_forgetful(sim);
    });
    assert!(found.is_none(), "{}", found.expect("just seen"));
}

#[test]
fn beyond_tolerance_a_loud_stop_passes() {
    let found = Check::new().seeds(40).find("beyond", |sim| {
        sim.faults(|plan| (plan.bit_rot, plan.crash) = (Chance::of(1, 4), Chance::ALWAYS));
        test_of_sums(sim);
    });
    assert!(found.is_none(), "{}", found.expect("just seen"));
}

#[test]
fn settings_come_after_those_that_are_drawn() {
    let starts = Arc::new(AtomicU64::new(0));
    let seen = starts.clone();
    let found = Check::new().seeds(5).find("settings", move |sim| {
        let seen = seen.clone();
        sim.config(move |config| {
            seen.fetch_add(1, Ordering::Relaxed);
            config.cores(3)
        });
        test_of_sums(sim);
    });
    assert!(found.is_none());
    assert!(starts.load(Ordering::Relaxed) >= 10, "each process is configured, and the one after the end");
}
