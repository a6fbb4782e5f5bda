//! The ready steps, by hand.

use std::cmp::Reverse;

use millstream::prelude::*;

/// Time, key, number.
type Record = (i64, char, u64);

fn run<T: Send + 'static>(records: Vec<Record>, build: impl Fn(Stream<Record>) -> Stream<T>) -> Vec<T> {
    let job = Job::new("ready");
    let (sink, out) = collect();
    let source = job.source("records", from_vec(records));
    build(source.event_time(|r| r.0, Watermarks::bounded(secs(9))).stage("times")).sink("out", sink);
    job.run(Config::new().cores(1)).expect("the job runs");
    out.take()
}

#[test]
fn the_last_row_by_time_is_kept_and_among_equals_the_last_that_came() {
    let records = vec![(5, 'a', 1), (5, 'a', 2), (4, 'a', 3), (6, 'b', 4)];
    let changes =
        run(records, |r| r.key_by(|r| r.1).deduplicate("step", Keep::Last).map_rows(|r| r.2).stage("n"));
    assert_eq!(
        changes,
        [Change::insert(1), Change::update_before(1), Change::update_after(2), Change::insert(4)]
    );
}

#[test]
fn the_first_row_by_time_is_kept_and_among_equals_the_first_that_came() {
    let records = vec![(5, 'a', 1), (5, 'a', 2), (4, 'a', 3)];
    let changes =
        run(records, |r| r.key_by(|r| r.1).deduplicate("step", Keep::First).map_rows(|r| r.2).stage("n"));
    assert_eq!(changes, [Change::insert(1), Change::update_before(1), Change::update_after(3)]);
}

#[test]
fn the_first_of_a_tie_is_ranked_first_and_what_it_pushes_down_changes_its_rank() {
    let records = vec![(1, 'a', 10), (2, 'a', 20), (3, 'a', 10), (4, 'a', 15), (5, 'a', 5)];
    let changes = run(records, |r| {
        let top = r.key_by(|r| r.1).top("step", 3, |r| Reverse(r.2));
        top.map_rows(|ranked| (ranked.rank, ranked.row.0)).stage("ranks")
    });
    assert_eq!(
        changes,
        [
            Change::insert((1, 1)),
            Change::update_before((1, 1)),
            Change::update_after((1, 2)),
            Change::insert((2, 1)),
            Change::insert((3, 3)),
            Change::update_before((2, 1)),
            Change::update_after((2, 4)),
            Change::update_before((3, 3)),
            Change::update_after((3, 1)),
        ]
    );
}

#[test]
fn distinct_lets_the_first_of_a_key_pass() {
    let records = vec![(9, 'a', 1), (1, 'a', 2), (2, 'b', 3)];
    assert_eq!(run(records, |r| r.key_by(|r| r.1).distinct("step").map(|r| r.2).stage("n")), [1, 3]);
}

#[test]
fn what_is_to_expire_at_once_is_new_each_time() {
    let records = vec![(1, 'a', 1), (2, 'a', 2)];
    let out = run(records, |r| r.key_by(|r| r.1).ttl(millis(0)).distinct("step").map(|r| r.2).stage("n"));
    assert_eq!(out, [1, 2]);
}

#[test]
#[should_panic(expected = "ask for at least one")]
fn the_first_none_are_refused() {
    let _ = run(Vec::new(), |r| r.key_by(|r| r.1).top("step", 0, |r| r.2).stage("none"));
}
