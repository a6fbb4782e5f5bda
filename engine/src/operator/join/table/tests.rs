//! The times of the changes of a joined table, with its two inputs interleaved at will.

use crate::operator::join::shape::{FullOuter, Inner, Shape};
use crate::operator::join::table::TableJoin;
use crate::reference::{Event, process};
use crate::stream::{Change, Either};
use crate::time::Timestamp;

type Input = (Timestamp, Either<Change<char>, Change<char>>);

fn left(at: Timestamp, row: char) -> Input {
    (at, Either::Left(Change::insert(row)))
}

fn right(at: Timestamp, row: char) -> Input {
    (at, Either::Right(Change::insert(row)))
}

fn joined<S: Shape<char, char>>(_: S, input: Vec<Input>) -> Vec<(Timestamp, Change<S::Out>)> {
    let events = input.into_iter().map(|(at, record)| Event::Record(at, record)).collect();
    let join = TableJoin::<u8, char, char, S, _>::new(|_: &char, _: &char| true);
    let out = process(events, &join, &|_| 0).results.into_iter();
    out.filter_map(|event| match event {
        Event::Record(at, change) => Some((at, change)),
        Event::Watermark(_) => None,
    })
    .collect()
}

#[test]
fn rule_25_a_pair_comes_at_the_later_time_whichever_side_comes_first() {
    let pair = [(9, Change::insert(('a', 'x')))];
    assert_eq!(joined(Inner, vec![left(9, 'a'), right(7, 'x')]), pair);
    assert_eq!(joined(Inner, vec![right(7, 'x'), left(9, 'a')]), pair);
}

#[test]
fn rule_25_a_pair_goes_at_the_later_time_of_its_rows() {
    let gone = (8, Either::Right(Change::delete('x')));
    let out = joined(Inner, vec![left(9, 'a'), right(7, 'x'), gone]);
    assert_eq!(out.last(), Some(&(9, Change::delete(('a', 'x')))), "not before it came");
}

#[test]
fn rule_25_a_padded_row_goes_when_the_pair_comes() {
    let out = joined(FullOuter, vec![left(9, 'a'), right(7, 'x')]);
    let times: Vec<_> = out.iter().map(|(at, change)| (*at, change.row)).collect();
    let (alone, pair) = ((Some('a'), None), (Some('a'), Some('x')));
    assert_eq!(times, [(9, alone), (9, alone), (9, pair)]);
}
