//! Sessions.

use millstream::prelude::*;
use proptest::prelude::*;

use super::support::{Got, Ids, Record, Sum, by_key, records, rows, run};

fn gap(gap: u64) -> Session {
    Session::with_gap(millis(gap))
}

#[test]
fn rule_12_sessions_that_touch_are_one() {
    let got = rows(&[(0, 0, 1), (10, 0, 2), (21, 0, 3), (5, 1, 4)], 20, gap(10));
    let expected = [(1, 5, 15, vec![4]), (0, 0, 20, vec![1, 2]), (0, 21, 31, vec![3])];
    assert_eq!(by_key(&got).0, by_key(&Got { rows: expected.to_vec(), late: vec![] }).0);
    assert_eq!(got.late, []);
}

#[test]
fn rule_12_a_record_between_two_sessions_joins_them() {
    let got = rows(&[(0, 0, 1), (16, 0, 2), (8, 0, 3), (60, 0, 4)], 20, gap(10));
    assert_eq!(got.rows, [(0, 0, 26, vec![1, 2, 3]), (0, 60, 70, vec![4])]);
}

#[test]
fn rule_12_a_merged_away_session_does_not_end_by_itself() {
    // The session of 16 would end at 26, and that of 30 at 40: 23 joins them, and they end together, once.
    let got = rows(&[(16, 0, 1), (30, 0, 2), (23, 0, 3), (46, 0, 4), (90, 0, 5)], 12, gap(10));
    assert_eq!(got.rows, [(0, 16, 40, vec![1, 2, 3]), (0, 46, 56, vec![4]), (0, 90, 100, vec![5])]);
}

#[test]
fn rule_12_lateness_is_judged_after_merging() {
    // At 19, alone the record of 5 would have been over at 14; but the session until 22 is open.
    let got = rows(&[(12, 0, 1), (20, 1, 2), (5, 0, 3), (3, 1, 4)], 0, gap(10));
    assert_eq!(got.late, [(3, 1, 4)]);
    assert_eq!(by_key(&got).0, [(0, 5, 22, vec![1, 3]), (1, 20, 30, vec![2])]);
}

#[test]
fn rule_12_a_session_that_is_over_is_not_resurrected() {
    let got = rows(&[(0, 0, 1), (30, 0, 2), (5, 0, 3), (25, 0, 4)], 2, gap(10));
    assert_eq!(got, Got { rows: vec![(0, 0, 10, vec![1]), (0, 25, 40, vec![2, 4])], late: vec![(5, 0, 3)] });
}

#[test]
fn rule_11_a_late_record_emits_its_session_again() {
    let got = rows(&[(0, 0, 1), (14, 1, 2), (2, 0, 3), (30, 1, 4)], 0, gap(10).allow_late(millis(5)));
    // 2 prolongs the session until 12, which the watermark of 13 has reached: at once.
    assert_eq!(got.rows[..2], [(0, 0, 10, vec![1]), (0, 0, 12, vec![1, 3])]);
    let got = rows(&[(0, 0, 1), (14, 1, 2), (6, 0, 3), (30, 1, 4)], 0, gap(10).allow_late(millis(5)));
    // 6 prolongs it until 16: it ends then.
    assert_eq!(got.rows[..2], [(0, 0, 10, vec![1]), (0, 0, 16, vec![1, 3])]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_put_out_is_what_the_reference_says(
        records in records(), bound in 0..20_u64, gap in 1..30_u64,
        lateness in prop::sample::select(vec![0, 0, 3, 30]), batch in 1..40_usize,
    ) {
        let windows = Session::with_gap(millis(gap)).allow_late(millis(lateness));
        let (got, expected) = run(&records, bound, windows.clone(), Ids, batch);
        prop_assert_eq!(by_key(&got), by_key(&expected));
        let (got, expected) = run(&records, bound, windows, Sum, batch);
        prop_assert_eq!(by_key(&got), by_key(&expected));
        let uneven = Session::with_gap_of(move |record: &Record| millis(record.2 % gap));
        let (got, expected) = run(&records, bound, uneven.allow_late(millis(lateness)), Sum, batch);
        prop_assert_eq!(by_key(&got), by_key(&expected));
    }
}
