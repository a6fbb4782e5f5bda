//! Joins of tables that change, by hand: one input, cut in two, so that the order of the changes is known.

use std::fmt::Debug;

use millstream::join::{Anti, FullOuter, Inner, LeftOuter, RightOuter, Semi, Shape};
use millstream::prelude::*;

/// A side, and a row of it.
type Row = (bool, char);

fn left(row: char) -> Change<Row> {
    Change::insert((false, row))
}

fn right(row: char) -> Change<Row> {
    Change::insert((true, row))
}

fn gone(change: Change<Row>) -> Change<Row> {
    Change::delete(change.row)
}

/// Joins in small steps: each change is made, on both edges, before the next one is read.
fn changes<S, T>(
    log: Vec<Change<Row>>,
    shape: S,
    name: impl Fn(S::Out) -> T + Clone + Send + 'static,
) -> Vec<Change<T>>
where
    S: Shape<Row, Row>,
    T: Debug + Send + 'static,
{
    let job = Job::new("tables");
    let (sink, out) = collect();
    let log = job.source("log", from_vec(log));
    let side = |right: bool| log.clone().filter(move |change| change.row.0 == right).key_by(|_| 0_u8);
    side(false).table_join("join", side(true), shape).map_rows(name).sink("out", sink);
    job.run(Config::new().cores(1).batch_size(1).step_budget(1)).expect("the job runs");
    out.take()
}

fn pair((left, right): (Option<Row>, Option<Row>)) -> String {
    [left, right].map(|row| row.map_or('-', |row| row.1)).into_iter().collect()
}

/// As the field writes them: `+ab`, `-a-`.
fn written(changes: Vec<Change<String>>) -> Vec<String> {
    let sign = |change: &Change<String>| if change.is_addition() { '+' } else { '-' };
    changes.iter().map(|change| format!("{}{}", sign(change), change.row)).collect()
}

fn full(log: Vec<Change<Row>>) -> Vec<String> {
    written(changes(log, FullOuter, pair))
}

#[test]
fn rule_25_the_first_match_takes_the_padded_row_back_and_the_last_one_restores_it() {
    let log = vec![left('a'), right('x'), right('y'), gone(right('x')), gone(right('y'))];
    let expected = ["+a-", "-a-", "+ax", "+ay", "-ax", "-ay", "+a-"];
    assert_eq!(full(log.clone()), expected);
    assert_eq!(written(changes(log, LeftOuter, |(l, r)| pair((Some(l), r)))), expected);
}

#[test]
fn rule_25_right_rows_count_their_matches_too() {
    let log = vec![right('x'), left('a'), left('b'), gone(left('a')), gone(left('b'))];
    let expected = ["+-x", "--x", "+ax", "+bx", "-ax", "-bx", "+-x"];
    assert_eq!(full(log.clone()), expected);
    assert_eq!(written(changes(log, RightOuter, |(l, r)| pair((l, Some(r))))), expected);
}

#[test]
fn rule_25_equal_rows_count_each() {
    let log = vec![left('a'), left('a'), right('x'), gone(left('a')), gone(left('a'))];
    let expected = ["+a-", "+a-", "-a-", "-a-", "+ax", "+ax", "-ax", "-ax", "+-x"];
    let mut found = full(log);
    let mut sorted = expected.map(str::to_owned).to_vec();
    assert_eq!(found.last().map(String::as_str), Some("+-x"));
    found.sort();
    sorted.sort();
    assert_eq!(found, sorted);
}

#[test]
fn rule_25_an_inner_join_takes_back_the_pairs_of_what_goes() {
    let log = vec![left('a'), right('x'), left('b'), gone(right('x'))];
    let found = written(changes(log, Inner, |(l, r)| pair((Some(l), Some(r)))));
    assert_eq!(found, ["+ax", "+bx", "-ax", "-bx"]);
}

#[test]
fn rule_25_semi_and_anti_joins_follow_the_first_and_the_last_match() {
    let log = vec![left('a'), right('x'), right('y'), gone(right('y')), gone(right('x')), left('b')];
    let name = |row: Row| row.1.to_string();
    assert_eq!(written(changes(log.clone(), Semi, name)), ["+a", "-a"]);
    assert_eq!(written(changes(log, Anti, name)), ["+a", "-a", "+a", "+b"]);
}

#[test]
fn rule_25_a_row_that_is_not_there_cannot_be_taken_back() {
    let job = Job::new("tables");
    let log = job.source("log", from_vec(vec![gone(left('a'))]));
    let other = job.source("other", from_vec(vec![right('x')]));
    let joined = log.key_by(|_| 0_u8).table_join("join", other.key_by(|_| 0_u8), Inner);
    joined.sink("out", discard());
    let error = job.run(Config::new().cores(1)).expect_err("there is no such row").to_string();
    assert!(error.contains("a row is taken back that is not there"), "{error}");
}
