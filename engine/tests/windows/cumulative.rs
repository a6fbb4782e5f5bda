//! Cumulative windows.

use millstream::prelude::*;
use proptest::prelude::*;

use super::support::{Got, Ids, Sum, by_key, records, rows, run};

fn grow(max: u64, step: u64) -> Cumulative {
    Cumulative::of(millis(max), millis(step))
}

#[test]
fn rule_08_windows_grow_step_by_step_and_begin_anew() {
    let got = rows(&[(1, 0, 1), (5, 0, 2), (9, 0, 3)], 0, grow(8, 4));
    let expected = [(0, 0, 4, vec![1]), (0, 0, 8, vec![1, 2]), (0, 8, 12, vec![3]), (0, 8, 16, vec![3])];
    assert_eq!(got, Got { rows: expected.to_vec(), late: vec![] });
}

#[test]
fn rule_09_a_late_record_counts_from_the_first_window_that_is_not_over() {
    let got = rows(&[(1, 0, 1), (6, 0, 2), (2, 0, 3), (9, 0, 4), (3, 0, 5)], 1, grow(8, 4));
    let expected = [(0, 0, 4, vec![1]), (0, 0, 8, vec![1, 2, 3]), (0, 8, 12, vec![4]), (0, 8, 16, vec![4])];
    assert_eq!(got, Got { rows: expected.to_vec(), late: vec![(3, 0, 5)] });
}

#[test]
#[should_panic(expected = "the greatest size is a multiple of the step")]
fn a_step_that_does_not_divide_the_size_is_refused() {
    grow(10, 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_put_out_is_what_the_reference_says(
        records in records(), bound in 0..20_u64, steps in 1..8_u64, step in 1..10_u64,
        offset in -20..20_i64, lateness in prop::sample::select(vec![0, 0, 3, 30]), batch in 1..40_usize,
    ) {
        let windows = grow(steps * step, step).offset_millis(offset).allow_late(millis(lateness));
        let (got, expected) = run(&records, bound, windows, Ids, batch);
        prop_assert_eq!(by_key(&got), by_key(&expected));
        let (got, expected) = run(&records, bound, windows, Sum, batch);
        prop_assert_eq!(by_key(&got), by_key(&expected));
    }
}
