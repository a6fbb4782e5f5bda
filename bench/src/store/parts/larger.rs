//! A state four times as large as the memory that an engine may hold of it.
//!
//! What engines keep in the page cache beyond their budget is limited too, by the kernel.

use super::Bench;
use crate::report::{Outcome, grouped};
use crate::store::engine::State;
use crate::store::goals;
use crate::store::table::{Better, Table, Work};
use crate::store::wire::Command;

/// Bytes of a value, and of its key.
const VALUE: usize = 100;
const KEY: u64 = 8;
/// Bytes that a process may take in all besides its budget and a quarter of that.
const BESIDE: u64 = 32 << 20;
/// Rounds, as filling and settling take long.
const ROUNDS: usize = 3;

pub(in crate::store) fn run(bench: &Bench<'_>, table: &mut Table) -> Outcome<()> {
    let budget = bench.args.budget_mib << 20;
    let keys = 4 * budget / (VALUE as u64 + KEY);
    bench.say(&format!("{} keys, four times the budget: filling", grouped(keys)));
    let mut contest = bench.open(keys, VALUE, budget, State::LargeValues)?;
    let held = budget + budget / 4 + BESIDE;
    for process in &mut contest.engines {
        if let Err(error) = process.confine(held) {
            table.note(format!("4× the budget: the page cache has no limit here, as {error}"));
            break;
        }
    }
    contest.each(|process| {
        let rate = process.must(&Command::Fill)?.rate();
        process.settle()?;
        Ok(rate)
    })?;
    let (rounds, seconds) = (bench.args.rounds.min(ROUNDS), bench.args.seconds);
    let work = |operation: &str| Work {
        name: format!("{operation}, state 4× the budget of {} MiB", bench.args.budget_mib),
        unit: "thousand/s",
        decimals: 1,
        better: Better::More,
        goals: goals::LARGER,
    };
    bench.say("four times the budget: updates");
    let update = |seed| Command::Update { seconds, seed };
    let updates = contest.rounds(rounds, update, |reply| reply.rate() / 1e3)?;
    table.compare(&work("update"), updates);
    bench.say("four times the budget: reads");
    let read = |seed| Command::Read { seconds, seed };
    let reads = contest.rounds(rounds, read, |reply| reply.rate() / 1e3)?;
    table.compare(&work("read"), reads);
    for process in &mut contest.engines {
        let held = process.must(&Command::Memory)?.resident as f64 / (1 << 20) as f64;
        let work = Work {
            name: "memory held, state 4× the budget".into(),
            unit: "MiB",
            decimals: 0,
            better: Better::Less,
            goals: goals::NONE,
        };
        table.judge(&work, &process.engine, vec![held], None);
    }
    Ok(())
}
