//! The temporal join with its two inputs interleaved at will.

use crate::operator::join::shape::{Inner, LeftOuter};
use crate::operator::join::temporal::TemporalJoin;
use crate::operator::join::testing::{Ran, run};
use crate::reference::Event;
use crate::stream::{Change, Either};
use crate::time::{MAX_TIME, Timestamp};

type Input = Event<Either<i64, Change<char>>>;
type Out = (i64, Option<char>);

fn left(at: Timestamp) -> Input {
    Event::Record(at, Either::Left(at))
}

fn version(at: Timestamp, version: char) -> Input {
    Event::Record(at, Either::Right(Change::insert(version)))
}

fn delete(at: Timestamp, version: char) -> Input {
    Event::Record(at, Either::Right(Change::delete(version)))
}

fn joined(input: Vec<Input>) -> Ran<Out, i64, Change<char>> {
    run(&TemporalJoin::<u8, i64, char, LeftOuter>::new(), input)
}

fn out(input: Vec<Input>) -> Vec<Out> {
    joined(input).out.into_iter().map(|(_, row)| row).collect()
}

#[test]
fn rule_23_a_row_comes_when_the_watermark_passes_its_time() {
    let input = |watermark| vec![version(5, 'a'), left(10), Event::Watermark(watermark)];
    assert_eq!(out(input(9)), []);
    assert_eq!(joined(input(10)).out, [(10, (10, Some('a')))]);
}

#[test]
fn rule_23_the_newest_version_up_to_its_time_counts() {
    let input = vec![left(10), left(11), version(11, 'c'), version(10, 'b'), version(5, 'a')];
    let end = [Event::Watermark(MAX_TIME)];
    assert_eq!(out(input.into_iter().chain(end).collect()), [(10, Some('b')), (11, Some('c'))]);
}

#[test]
fn rule_23_of_versions_of_one_time_the_last_counts() {
    let update = |change| Event::Record(10, Either::Right(change));
    let input = vec![
        version(5, 'a'),
        update(Change::update_before('a')),
        update(Change::update_after('b')),
        left(10),
        Event::Watermark(10),
    ];
    assert_eq!(out(input), [(10, Some('b'))]);
}

#[test]
fn rule_23_a_delete_means_no_match() {
    let input = || vec![version(5, 'a'), delete(10, 'a'), left(9), left(10), Event::Watermark(10)];
    assert_eq!(out(input()), [(9, Some('a')), (10, None)]);
    let inner = run::<_, i64, Change<char>>(&TemporalJoin::<u8, i64, char, Inner>::new(), input());
    assert_eq!(inner.out, [(9, (9, 'a'))]);
}

#[test]
fn rule_23_the_newest_version_that_the_watermark_has_passed_is_kept() {
    let input = vec![
        version(5, 'a'),
        version(6, 'b'),
        left(7),
        Event::Watermark(100),
        version(200, 'c'),
        Event::Watermark(150),
        left(160),
        left(200),
        Event::Watermark(MAX_TIME),
    ];
    assert_eq!(out(input), [(7, Some('b')), (160, Some('b')), (200, Some('c'))]);
}

#[test]
fn a_late_row_gets_its_version_while_that_is_kept() {
    let begin = || vec![version(5, 'a'), version(10, 'b'), left(10), Event::Watermark(20)];
    let with = |late| joined(begin().into_iter().chain([left(late), Event::Watermark(21)]).collect());
    assert_eq!(with(12).out, [(10, (10, Some('b'))), (12, (12, Some('b')))]);
    let lost = with(9);
    assert_eq!((lost.out.len(), lost.late_left), (1, vec![9]), "its version may have been dropped");
    let none = joined(vec![Event::Watermark(20), left(9), Event::Watermark(21)]);
    assert_eq!(none.out, [(9, (9, None))], "there never was any");
}

#[test]
fn a_version_older_than_one_in_force_is_late() {
    let input = vec![version(10, 'b'), Event::Watermark(20), version(9, 'a'), version(15, 'c'), left(30)];
    let ran = joined(input.into_iter().chain([Event::Watermark(30)]).collect());
    assert_eq!(ran.late_right, [Change::insert('a')]);
    assert_eq!(ran.out, [(30, (30, Some('c')))], "late, but newer than what was in force");
}
