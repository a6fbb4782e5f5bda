//! Sliding windows.

use millstream::prelude::*;
use proptest::prelude::*;

use super::support::{Got, Ids, Sum, by_key, records, rows, run};

fn hop(size: u64, slide: u64) -> Sliding {
    Sliding::of(millis(size), millis(slide))
}

#[test]
fn rule_08_a_record_is_in_every_window_that_spans_it() {
    let got = rows(&[(-1, 0, 1), (4, 0, 2)], 0, hop(10, 4));
    let expected = [(0, -8, 2, vec![1]), (0, -4, 6, vec![1, 2]), (0, 0, 10, vec![2]), (0, 4, 14, vec![2])];
    assert_eq!(got, Got { rows: expected.to_vec(), late: vec![] });
}

#[test]
fn rule_08_offsets_may_be_negative() {
    let got = rows(&[(0, 0, 1)], 0, hop(4, 2).offset_millis(-1));
    assert_eq!(got.rows, [(0, -3, 1, vec![1]), (0, -1, 3, vec![1])]);
}

#[test]
fn rule_08_windows_with_gaps_leave_records_out() {
    let got = rows(&[(1, 0, 1), (7, 0, 2), (10, 0, 3)], 0, hop(5, 10));
    assert_eq!(got, Got { rows: vec![(0, 0, 5, vec![1]), (0, 10, 15, vec![3])], late: vec![] });
}

#[test]
fn rule_09_lateness_is_judged_window_by_window() {
    // At 12 the windows up to 10 are over: the late 9 counts in those up to 15 only.
    let got = rows(&[(12, 0, 1), (9, 0, 2), (22, 0, 3), (9, 0, 4)], 1, hop(10, 5));
    let expected = [(0, 5, 15, vec![1, 2]), (0, 10, 20, vec![1]), (0, 15, 25, vec![3]), (0, 20, 30, vec![3])];
    assert_eq!(got, Got { rows: expected.to_vec(), late: vec![(9, 0, 4)] });
}

#[test]
fn rule_10_a_record_in_a_gap_is_late_only_behind_the_watermark() {
    let got = rows(&[(9, 0, 1), (8, 0, 2), (20, 0, 3), (9, 0, 4)], 5, hop(5, 10));
    assert_eq!(got, Got { rows: vec![(0, 20, 25, vec![3])], late: vec![(9, 0, 4)] });
}

#[test]
fn rule_11_a_late_record_emits_each_window_that_it_is_in_time_for() {
    let got = rows(&[(3, 0, 1), (14, 0, 2), (6, 0, 3), (40, 0, 4)], 1, hop(10, 5).allow_late(millis(4)));
    let first = [(0, -5, 5, vec![1]), (0, 0, 10, vec![1])];
    let again = [(0, 0, 10, vec![1, 3])];
    let rest = [(0, 5, 15, vec![2, 3]), (0, 10, 20, vec![2]), (0, 35, 45, vec![4]), (0, 40, 50, vec![4])];
    assert_eq!(got.rows, [&first[..], &again, &rest].concat());
}

#[test]
fn records_without_a_time_are_in_one_row_of_windows_at_the_beginning_of_time() {
    let job = Job::new("timeless");
    let (sink, sums) = collect();
    job.source("numbers", from_vec(vec![1_u64, 2, 3]))
        .key_by(|_| 0_u8)
        .window(hop(10, 5))
        .reduce("sum", |sum, n| *sum += n)
        .map(|sum| sum.value)
        .sink("sums", sink);
    job.run(Config::new().cores(1)).expect("the job runs");
    let sums = sums.take();
    assert!(!sums.is_empty() && sums.iter().all(|sum| *sum == 6), "{sums:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_put_out_is_what_the_reference_says(
        records in records(), bound in 0..20_u64, size in 1..40_u64, slide in 1..40_u64,
        offset in -20..20_i64, lateness in prop::sample::select(vec![0, 0, 3, 30]), batch in 1..40_usize,
    ) {
        let windows = hop(size, slide).offset_millis(offset).allow_late(millis(lateness));
        let (got, expected) = run(&records, bound, windows, Ids, batch);
        prop_assert_eq!(by_key(&got), by_key(&expected));
        let (got, expected) = run(&records, bound, windows, Sum, batch);
        prop_assert_eq!(by_key(&got), by_key(&expected));
    }
}
