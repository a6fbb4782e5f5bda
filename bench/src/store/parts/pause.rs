//! How long a snapshot stops the work.

use super::Bench;
use crate::report::{Outcome, Spread};
use crate::store::engine::State;
use crate::store::goals;
use crate::store::table::{Better, Table, Work};
use crate::store::wire::Command;

/// Bytes of a value, and of a value with its key and a word of header.
const VALUE: usize = 104;
const RECORD: u64 = 120;
/// Other engines are filled up to this, in MiB: what takes longer tells nothing new.
const LARGEST_OF_PEERS: u64 = 1024;
/// The hash map too: filling it is quick.
const QUICK: &str = "hashbrown";

pub(in crate::store) fn run(bench: &Bench<'_>, table: &mut Table) -> Outcome<()> {
    bench.args.pause_mib.iter().try_for_each(|&mib| measure(bench, mib, table))
}

fn measure(bench: &Bench<'_>, mib: u64, table: &mut Table) -> Outcome<()> {
    let keys = (mib << 20) / RECORD;
    let work = |what: &str| Work {
        name: format!("pause of a snapshot{what}, {mib} MiB"),
        unit: "µs",
        decimals: 1,
        better: Better::Less,
        goals: goals::NONE,
    };
    let count = bench.args.snapshots;
    if bench.has_ours() {
        bench.say(&format!("snapshots of {mib} MiB: millstream"));
        let pauses = Command::Pauses { keys, value_len: VALUE, count, dir: bench.new_dir()? };
        let reply = bench.ours()?.must(&pauses)?;
        for (series, what) in [("dirty", ", all dirty"), ("flushed", ", written out between")] {
            let pauses = reply.series(series);
            let longest = Spread::of(pauses.clone()).max;
            let goal = (longest <= goals::PAUSE_MICROS, format!("≤ {}", goals::PAUSE_MICROS));
            table.judge(&work(what), "millstream", pauses, Some(goal));
        }
    }
    for engine in bench.engines.iter().filter(|engine| **engine != "millstream") {
        if mib > LARGEST_OF_PEERS && *engine != QUICK {
            continue;
        }
        bench.say(&format!("snapshots of {mib} MiB: {engine}"));
        let budget = (mib << 21).max(64 << 20);
        let Some(mut process) = bench.open_one(engine, keys, VALUE, budget, State::Snapshots)? else {
            continue;
        };
        process.must(&Command::Fill)?;
        process.settle()?;
        if let Some(reply) = process.ask(&Command::Snapshots { count })? {
            let what = if *engine == "hashbrown" { " by fork" } else { "" };
            table.judge(&work(what), engine, reply.series("pause"), None);
        }
    }
    Ok(())
}
