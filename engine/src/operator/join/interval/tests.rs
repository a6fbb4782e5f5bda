//! The interval join with its two inputs interleaved at will.

use crate::operator::join::interval::{IntervalJoin, Within};
use crate::operator::join::late::{late_left, late_right};
use crate::operator::join::testing::{Ran, run};
use crate::operator::process::{Declare, Process};
use crate::reference::Event;
use crate::stream::Either;
use crate::testing::TestKit;
use crate::time::{MAX_TIME, MIN_TIME, Timestamp};

type Input = Event<Either<i64, i64>>;

fn left(at: Timestamp) -> Input {
    Event::Record(at, Either::Left(at))
}

fn right(at: Timestamp) -> Input {
    Event::Record(at, Either::Right(at))
}

fn joined(within: Within, input: Vec<Input>) -> Ran<(i64, i64), i64, i64> {
    run(&IntervalJoin::<u8, i64, i64>::new(within), input)
}

fn pairs(within: Within, input: Vec<Input>) -> Vec<(i64, i64)> {
    joined(within, input).out.into_iter().map(|(_, pair)| pair).collect()
}

#[test]
fn the_side_outputs_are_in_this_order() {
    let mut declare = Declare::default();
    IntervalJoin::<u8, i64, i64>::new(Within::millis(0..=0)).declare(&mut declare);
    let names: Vec<_> = declare.sides().iter().map(|side| side.name()).collect();
    assert_eq!(names, [late_left::<i64>().name(), late_right::<i64>().name()]);
}

#[test]
fn rule_22_both_ends_of_the_interval_are_in_it() {
    let within = Within::millis(-2..=3);
    let rights = || (7..=14).map(right);
    let expected = [(10, 8), (10, 9), (10, 10), (10, 11), (10, 12), (10, 13)];
    assert_eq!(pairs(within, [left(10)].into_iter().chain(rights()).collect()), expected);
    assert_eq!(pairs(within, rights().chain([left(10)]).collect()), expected);
}

#[test]
fn rule_22_a_pair_carries_the_greater_time() {
    let ran = joined(Within::millis(-5..=5), vec![left(10), right(12), right(7)]);
    assert_eq!(ran.out, [(12, (10, 12)), (10, (10, 7))]);
    let ran = joined(Within::millis(-5..=5), vec![right(12), right(7), left(10)]);
    assert_eq!(ran.out, [(10, (10, 7)), (12, (10, 12))], "whichever side comes first");
}

#[test]
fn rule_22_late_is_strictly_before_the_watermark() {
    let input = vec![left(10), right(10), Event::Watermark(12), left(11), right(11), left(12), right(12)];
    let ran = joined(Within::millis(-1..=1), input);
    assert_eq!((ran.late_left, ran.late_right), (vec![11], vec![11]));
    assert_eq!(ran.out, [(10, (10, 10)), (12, (12, 12))]);
}

#[test]
fn rule_22_left_is_cleaned_up_at_its_time_and_the_upper_bound() {
    let within = Within::millis(-1..=5);
    // The last right record that can meet it comes before the watermark has reached 15.
    let before = vec![left(10), Event::Watermark(14), right(15)];
    let after = vec![left(10), Event::Watermark(15), right(15)];
    assert_eq!((pairs(within, before), pairs(within, after)), (vec![(10, 15)], vec![]));
    // A negative upper bound keeps it until its own time.
    let within = Within::millis(-9..=-5);
    let before = vec![left(10), Event::Watermark(9), right(5)];
    assert_eq!(pairs(within, before), [], "right is late");
}

#[test]
fn rule_22_right_is_cleaned_up_at_its_time_and_the_lower_bound() {
    let within = Within::millis(-5..=1);
    let before = vec![right(10), Event::Watermark(14), left(15)];
    let after = vec![right(10), Event::Watermark(15), left(15)];
    assert_eq!((pairs(within, before), pairs(within, after)), (vec![(15, 10)], vec![]));
}

#[test]
fn records_without_a_time_meet_before_any_watermark() {
    assert_eq!(pairs(Within::millis(0..=0), vec![left(MIN_TIME), right(MIN_TIME)]), [(MIN_TIME, MIN_TIME)]);
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    let all = Within::millis(i64::MIN..=i64::MAX);
    let input = vec![left(1), Event::Watermark(1), right(MAX_TIME)];
    assert_eq!(pairs(all, input), [(1, MAX_TIME)]);
    assert_eq!(pairs(Within::hours(0..=i64::MAX), vec![left(MAX_TIME), right(MAX_TIME)]).len(), 1);
}

/// What a key has on its two sides, and its timers, after records and the watermark.
fn kept(within: Within, input: Vec<Input>) -> (u64, u64, usize) {
    let mut kit = TestKit::process(IntervalJoin::<u8, i64, i64>::new(within), |_| 0);
    for event in input {
        match event {
            Event::Record(at, record) => kit.record(at, record).expect("it fits"),
            Event::Watermark(t) => kit.watermark(t).expect("it fits"),
        }
    }
    let sides = kit.state_of(&0, |state, cx| (state.left.len(cx), state.right.len(cx)));
    let (left, right) = sides.expect("it is in memory");
    (left, right, kit.timers(&0).len())
}

#[test]
fn rule_22_nothing_is_left_and_nothing_waits_at_the_end_of_time() {
    for within in [
        Within::millis(0..=i64::MAX),
        Within::millis(i64::MIN..=0),
        Within::millis(i64::MIN..=i64::MAX),
        Within::millis(0..=0),
    ] {
        let input = vec![left(5), right(7), left(MAX_TIME), right(MAX_TIME), Event::Watermark(MAX_TIME)];
        assert_eq!(kept(within, input), (0, 0, 0), "{within:?}");
    }
}

#[test]
fn rule_22_neither_side_is_kept_as_long_as_the_other() {
    // A left record an hour, right ones each second: these are dead at their own time, and gone soon after.
    let within = Within::hours(0..=24);
    let hour = |h: i64| {
        let seconds = (0..3600).map(move |s| h * 3_600_000 + s * 1_000);
        let records = seconds.flat_map(|at| [right(at), Event::Watermark(at)]);
        [left(h * 3_600_000)].into_iter().chain(records)
    };
    let (left, right, _) = kept(within, (0..3).flat_map(hour).collect());
    assert_eq!(left, 3);
    assert!(right <= 3, "{right} right records are kept");
}

#[test]
fn rule_22_a_record_far_ahead_does_not_keep_those_before_it() {
    let within = Within::millis(-5..=5);
    let far = [left(1 << 40), right(1 << 40)];
    let near = (0..10_000).flat_map(|at| [left(at), right(at), Event::Watermark(at - 1)]);
    let (left, right, _) = kept(within, far.into_iter().chain(near).collect());
    assert!(left < 2_000 && right < 2_000, "{left} and {right} are kept");
}

#[test]
#[should_panic(expected = "give the lesser bound first")]
fn an_interval_that_ends_before_it_begins_is_refused() {
    let (lo, hi) = (1, -1);
    let _ = Within::millis(lo..=hi);
}
