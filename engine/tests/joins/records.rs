//! Joins of records: interval, all, temporal, by window.

use std::fmt::Debug;

use millstream::join::{FullOuter, LeftOuter};
use millstream::prelude::*;
use millstream::reference::Inputs;

/// Key, time, number.
type Record = (u64, i64, u64);

const DISORDER: i64 = 50;

/// Records of a few keys, out of order, different for each salt.
fn records(salt: u64) -> Vec<Record> {
    let mut state = salt;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let record =
        |i: u64, next: &mut dyn FnMut(u64) -> u64| (next(20), 3 * i as i64 - next(DISORDER as u64) as i64, i);
    (0..600).map(|i| record(i, &mut next)).collect()
}

/// Runs the job on one to three cores: what it puts out is, in whatever order, what the reference does.
fn agrees<T: Clone + Ord + Debug + Send + 'static>(
    build: impl Fn(Stream<Record>, Stream<Record>) -> Stream<T>,
) {
    for cores in 1..=3 {
        let job = Job::new("join");
        let (sink, out) = collect();
        let side = |name: &str, salt| {
            let source = job.source(name, from_vec(records(salt)));
            source
                .event_time(|record| record.1, Watermarks::bounded(millis(DISORDER as u64)))
                .stage(name.trim())
        };
        build(side("left ", 1), side("right ", 2)).sink("out", sink);
        let inputs = Inputs::new().with("left ", || vec![records(1)]).with("right ", || vec![records(2)]);
        let mut expected: Vec<T> = job.expected("out", &inputs);
        let report = job.run(Config::new().cores(cores).batch_size(7)).expect("the job runs");
        let mut found = out.take();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{cores} cores");
        assert!(expected.len() > 100, "the inputs meet");
        assert_eq!(report.late, 0);
    }
}

#[test]
fn rule_22_an_interval_join_finds_all_pairs_in_the_interval() {
    for within in [Within::millis(-20..=30), Within::millis(5..=90), Within::millis(-100..=-1)] {
        agrees(|left, right| {
            left.key_by(|l| l.0).interval_join("join", right.key_by(|r| r.0), within).stage("pairs")
        });
    }
}

#[test]
fn rule_23_a_temporal_join_finds_the_version_of_each_time() {
    agrees(|left, right| {
        // Versions of one time would be in force in the order in which they come.
        let versions = right.map(|r| Change { row: r, kind: Change::insert(()).kind });
        left.key_by(|l| l.0).temporal_join("join", versions.key_by(|r| r.row.0), LeftOuter).stage("pairs")
    });
}

#[test]
fn rule_24_a_window_join_is_made_per_window() {
    agrees(|left, right| {
        let windows = Tumbling::of(millis(40)).offset_millis(7);
        let joined = left.key_by(|l| l.0).window_join("join", right.key_by(|r| r.0), windows, FullOuter);
        joined.map(|w| (w.window.start, w.key, w.value)).stage("pairs")
    });
}

#[test]
fn rule_24_a_window_join_is_made_per_window_that_overlaps_others() {
    agrees(|left, right| {
        let windows = Sliding::of(millis(40), millis(15));
        let joined = left.key_by(|l| l.0).window_join("join", right.key_by(|r| r.0), windows, LeftOuter);
        joined.map(|w| (w.window.start, w.key, w.value)).stage("pairs")
    });
}

#[test]
fn a_co_group_sees_all_of_a_window_in_order_of_time() {
    agrees(|left, right| {
        let windows = Tumbling::of(millis(40));
        let grouped =
            left.key_by(|l| l.0).co_group("join", right.key_by(|r| r.0), windows, |window, l, r| {
                assert!(l.is_sorted_by_key(|l: &Record| l.1) && r.is_sorted_by_key(|r: &Record| r.1));
                [(window.start, l.to_vec(), r.to_vec())]
            });
        grouped.map(|w| (w.key, w.value)).stage("groups")
    });
}

#[test]
fn a_join_of_all_records_finds_every_pair() {
    agrees(|left, right| left.key_by(|l| l.0).join("join", right.key_by(|r| r.0)).stage("pairs"));
}
