//! The join of all records with its two inputs interleaved at will.

use crate::operator::join::append::AppendJoin;
use crate::operator::process::{Declare, Process};
use crate::reference::{Event, process};
use crate::stream::Either;
use crate::time::Timestamp;

type Pair = (Timestamp, (char, char));

/// The pairs, with their times, of sides in this order.
fn joined(input: Vec<(Timestamp, Either<char, char>)>) -> Vec<Pair> {
    let events = input.into_iter().map(|(at, record)| Event::Record(at, record)).collect();
    let out = process(events, &AppendJoin::<u8, char, char>::new(), &|_| 0).results;
    let record = |event| match event {
        Event::Record(at, pair) => Some((at, pair)),
        Event::Watermark(_) => None,
    };
    let mut pairs: Vec<Pair> = out.into_iter().filter_map(record).collect();
    pairs.sort_unstable();
    pairs
}

#[test]
fn a_pair_has_the_greater_time_whichever_side_comes_first() {
    let left = || [(5, Either::Left('a')), (9, Either::Left('b'))].into_iter();
    let right = || [(7, Either::Right('x')), (1, Either::Right('y'))].into_iter();
    let expected = [(5, ('a', 'y')), (7, ('a', 'x')), (9, ('b', 'x')), (9, ('b', 'y'))];
    assert_eq!(joined(left().chain(right()).collect()), expected);
    assert_eq!(joined(right().chain(left()).collect()), expected);
    assert_eq!(joined(left().rev().chain(right().rev()).collect()), expected);
}

#[test]
fn the_states_have_these_names() {
    let mut declare = Declare::default();
    AppendJoin::<u8, char, char>::new().declare(&mut declare);
    let names: Vec<_> = declare.keyed().iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["left", "right"]);
}
