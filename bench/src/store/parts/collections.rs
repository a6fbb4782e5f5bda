//! Lists and maps: many short and few long ones.

use super::Bench;
use crate::report::{Outcome, grouped};
use crate::store::engine::State;
use crate::store::goals;
use crate::store::table::{Better, Table, Work};
use crate::store::wire::Command;

/// Bytes for caches and write buffers: more than the elements take.
const BUDGET: u64 = 3 << 30;
/// Elements of a short and of a long list.
const SHORT: u64 = 10;
const LONG: u64 = 10_000;
/// Entries of a map.
const ENTRIES: u64 = 100;

pub(in crate::store) fn lists(bench: &Bench<'_>, table: &mut Table) -> Outcome<()> {
    [SHORT, LONG].iter().try_for_each(|&length| measure(bench, State::Lists, length, table))
}

pub(in crate::store) fn maps(bench: &Bench<'_>, table: &mut Table) -> Outcome<()> {
    measure(bench, State::Maps, ENTRIES, table)
}

fn measure(bench: &Bench<'_>, state: State, length: u64, table: &mut Table) -> Outcome<()> {
    let keys = (bench.args.elements / length).max(1);
    let what = match state {
        State::Lists => format!("{} lists of {length}", grouped(keys)),
        _ => format!("{} maps of {length}", grouped(keys)),
    };
    bench.say(&format!("{what}: appending"));
    let mut contest = bench.open(keys, 16, BUDGET, state)?;
    let work = |operation: &str| Work {
        name: format!("{operation}, {what}"),
        unit: "million/s",
        decimals: 2,
        better: Better::More,
        goals: goals::NONE,
    };
    let elements = keys * length;
    let appended = contest.each(|process| {
        let rate = process.must(&Command::Append { elements })?.rate() / 1e6;
        process.settle()?;
        Ok(rate)
    })?;
    let operation = if state == State::Lists { "append" } else { "put" };
    table.compare(&work(operation), appended);
    bench.say(&format!("{what}: reading"));
    let iterate = |seed| Command::Iterate { seconds: bench.args.seconds, seed };
    let read = contest.rounds(bench.args.rounds, iterate, |reply| reply.rate() / 1e6)?;
    table.compare(&work("iterate"), read);
    Ok(())
}
