//! The window join with its two inputs interleaved at will.

use crate::operator::join::shape::{Anti, FullOuter, Inner, LeftOuter, RightOuter, Semi, Shape};
use crate::operator::join::testing::{Ran, run};
use crate::operator::join::window::{Paired, WindowJoin};
use crate::operator::window::{Assign, Global, Session, Sliding, Tumbling, Windowed};
use crate::reference::Event;
use crate::stream::Either;
use crate::testing::TestKit;
use crate::time::{MAX_TIME, MIN_TIME, Timestamp, millis};

type Input = Event<Either<i64, i64>>;

fn left(at: Timestamp) -> Input {
    Event::Record(at, Either::Left(at))
}

fn right(at: Timestamp) -> Input {
    Event::Record(at, Either::Right(at))
}

fn joined<S: Shape<i64, i64>>(
    shape: S,
    lateness: u64,
    input: Vec<Input>,
) -> Ran<Windowed<u8, S::Out>, i64, i64> {
    let windows = Tumbling::of(millis(10)).allow_late(millis(lateness));
    run(&WindowJoin::<u8, i64, i64, _, _>::new(windows, Paired(shape)), input)
}

fn values<S: Shape<i64, i64>>(shape: S, input: Vec<Input>) -> Vec<S::Out> {
    joined(shape, 0, input).out.into_iter().map(|(_, w)| w.value).collect()
}

/// Two windows with records on both sides, one with left ones only and one with right ones only.
fn input() -> Vec<Input> {
    vec![left(1), right(5), left(3), left(12), right(-4), right(20), left(29), Event::Watermark(100)]
}

#[test]
fn rule_24_all_kinds_of_joins_are_made_per_window() {
    assert_eq!(values(Inner, input()), [(1, 5), (3, 5), (29, 20)]);
    assert_eq!(values(LeftOuter, input()), [(1, Some(5)), (3, Some(5)), (12, None), (29, Some(20))]);
    assert_eq!(values(RightOuter, input()), [(None, -4), (Some(1), 5), (Some(3), 5), (Some(29), 20)]);
    assert_eq!(
        values(FullOuter, input()),
        [(None, Some(-4)), (Some(1), Some(5)), (Some(3), Some(5)), (Some(12), None), (Some(29), Some(20)),]
    );
    assert_eq!(values(Semi, input()), [1, 3, 29]);
    assert_eq!(values(Anti, input()), [12]);
}

#[test]
fn rule_24_a_window_comes_when_the_watermark_passes_its_last_timestamp() {
    let input = |watermark| vec![left(1), right(9), Event::Watermark(watermark)];
    assert!(joined(Inner, 0, input(8)).out.is_empty());
    let out = joined(Inner, 0, input(9)).out;
    assert_eq!((out[0].0, out[0].1.window.start, out.len()), (9, 0, 1));
}

#[test]
fn rule_24_a_record_is_late_when_its_window_is_cleaned_up() {
    let input = || vec![left(1), Event::Watermark(11), right(9), Event::Watermark(12), right(8), left(8)];
    let none = joined(Inner, 0, input());
    assert_eq!((none.out.len(), none.late_left, none.late_right), (0, vec![8], vec![9, 8]));
    let some = joined(Inner, 3, input());
    let pairs: Vec<_> = some.out.iter().map(|(at, w)| (*at, w.value)).collect();
    assert_eq!((pairs, some.late_left, some.late_right), (vec![(9, (1, 9))], vec![8], vec![8]));
}

#[test]
fn rule_24_what_comes_within_the_lateness_makes_all_of_the_window_come_again() {
    let input = vec![left(1), right(2), Event::Watermark(9), right(3), Event::Watermark(12)];
    let pairs: Vec<_> = joined(Inner, 3, input).out.into_iter().map(|(_, w)| w.value).collect();
    assert_eq!(pairs, [(1, 2), (1, 2), (1, 3)]);
}

#[test]
fn a_clean_up_leaves_the_windows_behind_it() {
    let input = vec![left(1), left(11), Event::Watermark(12), right(13), right(2), Event::Watermark(100)];
    let pairs: Vec<_> = joined(Inner, 5, input).out.into_iter().map(|(_, w)| w.value).collect();
    assert_eq!(pairs, [(1, 2), (11, 13)]);
}

#[test]
fn rule_24_a_record_is_in_all_windows_that_overlap_there() {
    let windows = Sliding::of(millis(10), millis(5)).allow_late(millis(3));
    let join = WindowJoin::<u8, i64, i64, _, _>::new(windows, Paired(Inner));
    let input = vec![left(7), right(8), Event::Watermark(11), right(6), right(12), Event::Watermark(100)];
    let out = run::<_, i64, i64>(&join, input).out;
    let pairs: Vec<_> = out.into_iter().map(|(at, w)| (at, w.window.start, w.value)).collect();
    assert_eq!(
        pairs,
        [(9, 0, (7, 8)), (9, 0, (7, 6)), (9, 0, (7, 8)), (14, 5, (7, 6)), (14, 5, (7, 8)), (14, 5, (7, 12)),]
    );
}

#[test]
fn a_record_is_late_only_when_no_window_takes_it() {
    let windows = Sliding::of(millis(10), millis(5));
    let join = WindowJoin::<u8, i64, i64, _, _>::new(windows, Paired(Inner));
    let input = vec![left(7), Event::Watermark(9), right(6), Event::Watermark(14), right(8), right(14)];
    let ran = run::<_, i64, i64>(&join, input);
    assert_eq!(ran.out.iter().map(|(at, w)| (*at, w.value)).collect::<Vec<_>>(), [(14, (7, 6))]);
    assert_eq!(ran.late_right, [8], "14 is in a window that ends later");
}

/// The values of all pairs, of records of both sides at these times.
fn pairs_at<W: Assign<()>>(windows: W, times: &[Timestamp]) -> Vec<(i64, i64)> {
    let join = WindowJoin::<u8, i64, i64, _, _>::new(windows, Paired(Inner));
    let records = times.iter().flat_map(|at| [left(*at), right(*at)]);
    let out = run::<_, i64, i64>(&join, records.chain([Event::Watermark(MAX_TIME)]).collect()).out;
    out.into_iter().map(|(_, w)| w.value).collect()
}

#[test]
fn rule_24_nothing_is_lost_at_the_ends_of_time() {
    let last = [MAX_TIME - 11, MAX_TIME - 1, MAX_TIME];
    // The second window begins with the last of all times, the third ends with it.
    for offset in [0, MAX_TIME % 10, (MAX_TIME % 10 + 1) % 10] {
        let windows = Tumbling::of(millis(10)).offset_millis(offset);
        for lateness in [0, 3, u64::MAX] {
            let met = pairs_at(windows.allow_late(millis(lateness)), &last);
            for at in last {
                assert!(
                    met.contains(&(at, at)),
                    "offset {offset}, lateness {lateness}: {at} is not in {met:?}"
                );
            }
        }
    }
    let met = pairs_at(Sliding::of(millis(10), millis(5)), &last);
    assert!(last.iter().all(|at| met.contains(&(*at, *at))), "{met:?}");
    let met = pairs_at(Global, &[MIN_TIME, 0, MAX_TIME]);
    assert_eq!(met.len(), 9);
    assert_eq!(pairs_at(Tumbling::of(millis(10)), &[MIN_TIME]), [(MIN_TIME, MIN_TIME)]);
}

#[test]
fn rule_24_the_first_of_all_times_stays_as_long_as_its_window() {
    let windows = Tumbling::of(millis(10)).allow_late(millis(5));
    let end = windows.window_of(MIN_TIME).max_timestamp();
    let join = WindowJoin::<u8, i64, i64, _, _>::new(windows, Paired(Inner));
    let input = vec![
        left(MIN_TIME),
        Event::Watermark(MIN_TIME + 1),
        right(MIN_TIME + 2),
        Event::Watermark(end),
        right(end),
        Event::Watermark(end + 5),
    ];
    let out = run::<_, i64, i64>(&join, input).out;
    let pairs: Vec<_> = out.into_iter().map(|(_, w)| w.value.1).collect();
    assert_eq!(pairs, [MIN_TIME + 2, MIN_TIME + 2, end]);
}

#[test]
fn rule_24_nothing_is_left_and_nothing_waits_at_the_end_of_time() {
    for lateness in [0, 3, u64::MAX] {
        let windows = Tumbling::of(millis(10)).allow_late(millis(lateness));
        let join = WindowJoin::<u8, i64, i64, _, _>::new(windows, Paired(Inner));
        let mut kit = TestKit::process(join, |_| 0);
        for at in [5, MAX_TIME - 1, MAX_TIME] {
            kit.record(at, Either::Left(at)).expect("it fits");
            kit.record(at, Either::Right(at)).expect("it fits");
        }
        kit.watermark(MAX_TIME).expect("it fits");
        let sides = kit.state_of(&0, |state, cx| (state.left.len(cx), state.right.len(cx)));
        assert_eq!((sides.expect("it is in memory"), kit.timers(&0).len()), ((0, 0), 0), "{lateness}");
    }
}

#[test]
#[should_panic(expected = "windows that merge cannot be joined")]
fn windows_that_merge_are_refused() {
    let _ = WindowJoin::<u8, i64, i64, _, _>::new(Session::with_gap(millis(5)), Paired(Inner));
}
