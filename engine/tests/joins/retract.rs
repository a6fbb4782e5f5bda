//! Aggregates of tables that change.

use std::sync::atomic::{AtomicU64, Ordering};

use millstream::key::{Key, KeyBuf};
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
fn rule_25_a_row_of_a_key_without_rows_cannot_be_taken_back() {
    let job = Job::new("count");
    let log = job.source("log", from_vec(vec![Change::delete('a')]));
    log.key_by(|_| 'k').table_aggregate("count", count()).sink("out", discard());
    let error = job.run(Config::new().cores(1)).expect_err("there is no such row").to_string();
    assert!(error.contains("a row is taken back that is not there"), "{error}");
}

#[test]
fn rule_25_a_value_that_is_not_there_cannot_be_taken_back() {
    // The key has a row, and so a count does not tell.
    let job = Job::new("least");
    let log = job.source("log", from_vec(vec![Change::insert(1), Change::insert(1), Change::delete(2)]));
    log.key_by(|_| 'k').table_aggregate("least", min(|n: &i64| *n)).sink("out", discard());
    let error = job.run(Config::new().cores(1)).expect_err("there is no such row").to_string();
    assert!(error.contains("a row is taken back that is not there"), "{error}");
}

#[test]
fn rule_25_the_least_and_the_greatest_follow_any_order_of_changes() {
    let mut state = 7_u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut rows, mut log) = (Vec::new(), Vec::new());
    for _ in 0..400 {
        // As many come as go, and there are up to a few dozen.
        if rows.is_empty() || rows.len() < 40 && next(2) == 0 {
            rows.push(next(60) as i64 - 30);
            log.push(Change::insert(rows[rows.len() - 1]));
        } else {
            log.push(Change::delete(rows.swap_remove(next(rows.len()))));
        }
    }
    statistics(log);
}

/// A number that counts how often it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Compared(u64);

static COMPARISONS: AtomicU64 = AtomicU64::new(0);

impl PartialOrd for Compared {
    fn partial_cmp(&self, other: &Compared) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Compared {
    fn cmp(&self, other: &Compared) -> std::cmp::Ordering {
        COMPARISONS.fetch_add(1, Ordering::Relaxed);
        self.0.cmp(&other.0)
    }
}

impl Key for Compared {
    fn write(&self, out: &mut KeyBuf) {
        self.0.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Compared> {
        u64::read(input).map(Compared)
    }
}

#[test]
fn the_next_best_is_found_by_a_number_of_comparisons_that_grows_with_the_logarithm() {
    const VALUES: u64 = 2_000;
    let job = Job::new("least");
    let comes = (0..VALUES).map(|n| Change::insert(Compared(n)));
    // Each that goes is the least of those that are there.
    let goes = (0..VALUES).map(|n| Change::delete(Compared(n)));
    let log = job.source("log", from_vec(comes.chain(goes).collect::<Vec<_>>()));
    let least = log.key_by(|_| 'k').table_aggregate("least", min(|n: &Compared| *n));
    let (sink, out) = collect();
    least.sink("out", sink);
    job.run(Config::new().cores(1)).expect("the job runs");
    assert_eq!(out.take().last(), Some(&Change::delete(('k', Compared(VALUES - 1)))));
    let comparisons = COMPARISONS.load(Ordering::Relaxed);
    let levels = u64::from(VALUES.ilog2()) + 1;
    assert!(comparisons < 2 * VALUES * 2 * levels, "{comparisons} comparisons");
}
