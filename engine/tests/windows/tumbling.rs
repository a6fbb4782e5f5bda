//! Tumbling windows.

use std::time::Duration;

use millstream::prelude::*;
use proptest::prelude::*;

use super::support::{Got, Ids, Sum, by_key, records, rows, run};

fn tumbling(size: u64, lateness: u64) -> Tumbling {
    Tumbling::of(millis(size)).allow_late(millis(lateness))
}

#[test]
fn rule_08_windows_start_at_floored_multiples() {
    let got = rows(&[(-11, 0, 1), (-10, 0, 2), (-1, 0, 3), (0, 0, 4)], 0, tumbling(10, 0));
    assert_eq!(got.rows, [(0, -20, -10, vec![1]), (0, -10, 0, vec![2, 3]), (0, 0, 10, vec![4])]);
    let got = rows(&[(-3, 0, 1), (-2, 0, 2), (7, 0, 3)], 0, tumbling(10, 0).offset_millis(-12));
    assert_eq!(got.rows, [(0, -12, -2, vec![1]), (0, -2, 8, vec![2, 3])]);
}

#[test]
fn rule_09_a_record_is_late_from_the_millisecond_on_at_which_its_window_is_cleaned_up() {
    // The window's last timestamp is 9. The watermark is 13 behind the record of 14, and 14 behind that of 15.
    let got = rows(&[(1, 0, 1), (14, 1, 2), (2, 0, 3), (15, 1, 4), (3, 0, 5)], 0, tumbling(10, 5));
    assert_eq!(by_key(&got).0[..2], [(0, 0, 10, vec![1]), (0, 0, 10, vec![1, 3])]);
    assert_eq!(got.late, [(3, 0, 5)]);
}

#[test]
fn rule_09_a_lateness_beyond_the_end_of_time_is_without_end() {
    let windows = Tumbling::of(millis(10)).allow_late(Duration::from_millis(i64::MAX as u64));
    let got = rows(&[(1, 0, 1), (1 << 60, 1, 2), (2, 0, 3)], 0, windows);
    assert_eq!(by_key(&got).0[..2], [(0, 0, 10, vec![1]), (0, 0, 10, vec![1, 3])]);
    assert_eq!(got.late, []);
}

#[test]
fn rule_10_what_is_late_goes_aside_and_nothing_else_does() {
    let got = rows(&[(5, 0, 1), (12, 0, 2), (10, 0, 3), (9, 0, 4), (31, 0, 5)], 0, tumbling(10, 0));
    // 10 is behind the watermark of 11, but its window is not over.
    let expected = [(0, 0, 10, vec![1]), (0, 10, 20, vec![2, 3]), (0, 30, 40, vec![5])];
    assert_eq!(got, Got { rows: expected.to_vec(), late: vec![(9, 0, 4)] });
}

#[test]
fn rule_11_a_late_record_emits_its_window_again_at_once() {
    let got = rows(&[(1, 0, 1), (12, 0, 2), (2, 0, 3), (3, 0, 4)], 0, tumbling(10, 5));
    let again =
        [(0, 0, 10, vec![1]), (0, 0, 10, vec![1, 3]), (0, 0, 10, vec![1, 3, 4]), (0, 10, 20, vec![2])];
    assert_eq!(got.rows, again);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_put_out_is_what_the_reference_says(
        records in records(), bound in 0..20_u64, size in 1..40_u64, offset in -20..20_i64,
        lateness in prop::sample::select(vec![0, 3, 30]), batch in 1..40_usize,
    ) {
        let windows = tumbling(size, lateness).offset_millis(offset);
        let (got, expected) = run(&records, bound, windows, Ids, batch);
        prop_assert_eq!(by_key(&got), by_key(&expected));
        let (got, expected) = run(&records, bound, windows, Sum, batch);
        prop_assert_eq!(by_key(&got), by_key(&expected));
    }
}
