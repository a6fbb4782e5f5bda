//! The watermark of several inputs.

use super::{Merged, WatermarkMerge};
use crate::time::{MAX_TIME, MIN_TIME};

#[test]
fn rule_01_a_merged_watermark_never_falls() {
    let mut merge = WatermarkMerge::new(1, 7);
    assert_eq!(merge.advance(0, 5), Merged::Same, "below what was restored");
    assert_eq!(merge.advance(0, 9), Merged::Advanced(9));
    assert_eq!(merge.advance(0, 8), Merged::Same);
    assert_eq!(merge.output(), 9);
}

#[test]
fn rule_03_the_output_is_the_least_of_the_active_inputs() {
    let mut merge = WatermarkMerge::new(3, MIN_TIME);
    assert_eq!(
        [merge.advance(0, 5), merge.advance(1, 7)],
        [Merged::Same; 2],
        "nothing is known of the third"
    );
    assert_eq!(merge.advance(2, 6), Merged::Advanced(5));
    assert_eq!(merge.set_idle(0), Merged::Advanced(6), "an idle input leaves the minimum");
    assert_eq!(merge.advance(2, 9), Merged::Advanced(7));
}

#[test]
fn rule_03_who_comes_back_counts_once_it_has_reached_the_output() {
    let mut merge = WatermarkMerge::new(2, MIN_TIME);
    merge.advance(0, 5);
    merge.set_idle(0);
    assert_eq!(merge.advance(1, 20), Merged::Advanced(20));
    assert_eq!(merge.set_active(0), Merged::Same);
    assert_eq!(merge.advance(0, 6), Merged::Same);
    assert_eq!(merge.advance(1, 30), Merged::Advanced(30), "it does not wait for what is behind it anyway");
    assert_eq!(merge.advance(0, 31), Merged::Same);
    assert_eq!(merge.advance(1, 40), Merged::Advanced(31), "from here on it does");
}

#[test]
fn rule_03_when_all_are_idle_the_greatest_is_told_and_then_idleness() {
    let mut merge = WatermarkMerge::new(2, MIN_TIME);
    merge.advance(0, 5);
    merge.advance(1, 9);
    assert_eq!(merge.set_idle(1), Merged::Same);
    assert_eq!(merge.set_idle(0), Merged::Idle(Some(9)));
    assert_eq!(merge.set_active(0), Merged::Active);
    assert_eq!(merge.output(), 9);
}

#[test]
fn rule_03_what_has_ended_is_not_waited_for_and_all_have_to_end() {
    let mut merge = WatermarkMerge::new(2, MIN_TIME);
    merge.advance(0, 5);
    assert_eq!(merge.advance(1, MAX_TIME), Merged::Advanced(5));
    assert_eq!(merge.advance(0, 6), Merged::Advanced(6));
    assert_eq!(merge.advance(0, MAX_TIME), Merged::Advanced(MAX_TIME));
}
