//! Small values in memory: updates, reads, scans, and bytes per key.

use super::{Bench, Contest};
use crate::report::{Outcome, grouped};
use crate::store::engine::State;
use crate::store::goals;
use crate::store::table::{Better, Table, Work};
use crate::store::wire::Command;

/// Bytes for caches and write buffers: more than any engine needs for the largest state.
const BUDGET: u64 = 3 << 30;
/// Bytes of a value: a count and a sum.
const VALUE: usize = 16;
/// Rounds of scans, which take long.
const SCANS: usize = 3;

pub(in crate::store) fn run(bench: &Bench<'_>, table: &mut Table) -> Outcome<()> {
    bench.args.keys.iter().try_for_each(|&keys| measure(bench, keys, table))
}

fn measure(bench: &Bench<'_>, keys: u64, table: &mut Table) -> Outcome<()> {
    let text = grouped(keys);
    bench.say(&format!("{text} keys in memory: filling"));
    let mut contest = bench.open(keys, VALUE, BUDGET, State::Values)?;
    fill(&mut contest, keys, table)?;
    let (rounds, seconds) = (bench.args.rounds, bench.args.seconds);
    let million = |operation: &str| Work {
        name: format!("{operation}, {text} keys"),
        unit: "million/s",
        decimals: 2,
        better: Better::More,
        goals: goals::NONE,
    };
    bench.say(&format!("{text} keys in memory: updates"));
    let update = |seed| Command::Update { seconds, seed };
    let updates = contest.rounds(rounds, update, |reply| reply.rate() / 1e6)?;
    table.compare(&Work { goals: goals::IN_MEMORY, ..million("update") }, updates);
    bench.say(&format!("{text} keys in memory: reads"));
    let read = |seed| Command::Read { seconds, seed };
    let reads = contest.rounds(rounds, read, |reply| reply.rate() / 1e6)?;
    table.compare(&million("read"), reads);
    bench.say(&format!("{text} keys in memory: scans"));
    let scans = contest.rounds(rounds.min(SCANS), |_| Command::Scan, |reply| reply.rate() / 1e6)?;
    table.compare(&million("scan"), scans);
    Ok(())
}

/// Puts every key in, and tells what that took.
fn fill(contest: &mut Contest, keys: u64, table: &mut Table) -> Outcome<()> {
    let before = contest.each(|process| Ok(process.must(&Command::Memory)?.resident as f64))?;
    let filled = contest.each(|process| {
        let rate = process.must(&Command::Fill)?.rate() / 1e6;
        process.settle()?;
        Ok(rate)
    })?;
    let text = grouped(keys);
    let (name, better) = (format!("first insertion, {text} keys"), Better::More);
    table.compare(&Work { name, unit: "million/s", decimals: 2, better, goals: goals::NONE }, filled);
    let mut before = before.into_iter().map(|(_, values)| values[0]);
    for process in &mut contest.engines {
        let reply = process.must(&Command::Memory)?;
        let empty = before.next().unwrap_or(0.0);
        let bytes = (reply.resident as f64 - empty) / keys as f64;
        let work = |name: &str| Work {
            name: format!("{name}, {text} keys"),
            unit: "bytes/key",
            decimals: 1,
            better: Better::Less,
            goals: goals::NONE,
        };
        let goal = (process.engine == "millstream").then(|| {
            let goal = goals::BYTES_PER_KEY;
            (bytes <= goal, format!("≤ {goal}"))
        });
        table.judge(&work("memory held"), &process.engine, vec![bytes], goal);
        if let Some(accounted) = reply.accounted {
            table.judge(
                &work("memory accounted"),
                &process.engine,
                vec![accounted as f64 / keys as f64],
                None,
            );
        }
    }
    Ok(())
}
