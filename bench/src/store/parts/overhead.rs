//! What a checkpoint each second costs.

use super::Bench;
use crate::report::{Outcome, Spread, grouped};
use crate::store::goals;
use crate::store::table::{Better, Table, Work};
use crate::store::wire::Command;

pub(in crate::store) fn run(bench: &Bench<'_>, table: &mut Table) -> Outcome<()> {
    if !bench.has_ours() {
        return Ok(());
    }
    bench.args.keys.iter().try_for_each(|&keys| measure(bench, keys, table))
}

fn measure(bench: &Bench<'_>, keys: u64, table: &mut Table) -> Outcome<()> {
    let text = grouped(keys);
    bench.say(&format!("{text} keys: updates with a checkpoint each second, and without"));
    let (seconds, rounds) = (bench.args.overhead_seconds, bench.args.rounds);
    let command = Command::Overhead { keys, seconds, rounds, dir: bench.new_dir()? };
    let reply = bench.ours()?.must(&command)?;
    let work = |what: &str| Work {
        name: format!("update on a core{what}, {text} keys"),
        unit: "million/s",
        decimals: 2,
        better: Better::More,
        goals: goals::WHILE_CHECKPOINTING,
    };
    let (with, without) = (reply.series("with"), reply.series("without"));
    // Of the same round each, so that what the machine does meanwhile falls on both.
    let overheads: Vec<f64> =
        with.iter().zip(&without).map(|(with, without)| 100.0 * (1.0 - with / without)).collect();
    table.judge(&work(" without checkpoints"), "millstream", without, None);
    let contestants = vec![("millstream".into(), with), ("hashbrown".into(), reply.series("hashbrown"))];
    table.compare(&work(" with a checkpoint each second"), contestants);
    let overhead = Spread::of(overheads.clone()).median;
    let goal = goals::overhead(keys);
    let goal = (overhead <= 100.0 * goal, format!("≤ {} %", 100.0 * goal));
    let name = format!("overhead of a checkpoint each second, {text} keys");
    let work = |name, unit| Work { name, unit, decimals: 1, better: Better::Less, goals: goals::NONE };
    table.judge(&work(name, "%"), "millstream", overheads, Some(goal));
    let written = reply.series("checkpoint");
    let name = format!("{} checkpoints written meanwhile, {text} keys", written.len());
    if !written.is_empty() {
        table.judge(&work(name, "MB"), "millstream", written, None);
    }
    Ok(())
}
