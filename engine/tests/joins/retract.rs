//! Aggregates of tables that change.

use millstream::prelude::*;
use millstream::reference::Inputs;
use millstream::table::{avg, count, max, min, sum};

fn statistics(log: Vec<Change<i64>>) -> Vec<Change<(u64, i64, i64, i64, i64)>> {
    let job = Job::new("statistics");
    let (sink, out) = collect();
    let of = |n: &i64| *n;
    let all = (count(), sum(of), avg(of), min(of), max(of));
    let inputs = {
        let log = log.clone();
        Inputs::new().with("log", move || vec![log.clone()])
    };
    let rows = job.source("log", from_vec(log)).key_by(|_| 'k').table_aggregate("statistics", all);
    rows.map_rows(|(_, statistics)| statistics).sink("out", sink);
    let expected: Vec<Change<(u64, i64, i64, i64, i64)>> = job.expected("out", &inputs);
    job.run(Config::new().cores(2)).expect("the job runs");
    let found = out.take();
    assert_eq!(found, expected);
    found
}

#[test]
fn rule_25_aggregates_take_rows_back() {
    let log =
        [7, 3, 3, -9].map(Change::insert).into_iter().chain([Change::delete(-9), Change::update_before(3)]);
    let changes = statistics(log.chain([Change::update_after(8)]).collect());
    let last = changes.last().expect("there are changes");
    assert_eq!(*last, Change::update_after((3, 18, 6, 3, 8)));
    assert_eq!(changes[0], Change::insert((1, 7, 7, 7, 7)));
    assert_eq!(changes[6], Change::update_after((4, 4, 1, -9, 7)), "means go towards zero");
    assert_eq!(changes[8], Change::update_after((3, 13, 4, 3, 7)), "the least of the rest");
}

#[test]
fn rule_25_a_key_without_rows_has_no_result() {
    let log = vec![Change::insert(5), Change::delete(5), Change::insert(-6)];
    assert_eq!(
        statistics(log),
        [
            Change::insert((1, 5, 5, 5, 5)),
            Change::delete((1, 5, 5, 5, 5)),
            Change::insert((1, -6, -6, -6, -6)),
        ]
    );
}

#[test]
fn a_result_that_stays_the_same_is_not_emitted_again() {
    let job = Job::new("greatest");
    let (sink, out) = collect();
    let log = job.source("log", from_vec(vec![Change::insert(5), Change::insert(3), Change::delete(3)]));
    log.key_by(|_| 'k').table_aggregate("greatest", max(|n: &i64| *n)).sink("out", sink);
    job.run(Config::new().cores(1)).expect("the job runs");
    assert_eq!(out.take(), [Change::insert(('k', 5))]);
}

#[test]
fn a_row_of_a_key_without_rows_cannot_be_taken_back() {
    let job = Job::new("count");
    let log = job.source("log", from_vec(vec![Change::delete('a')]));
    log.key_by(|_| 'k').table_aggregate("count", count()).sink("out", discard());
    let error = job.run(Config::new().cores(1)).expect_err("there is no such row").to_string();
    assert!(error.contains("a row is taken back that is not there"), "{error}");
}
