//! Restarts with a state that is larger than the memory.

use super::Bench;
use crate::report::Outcome;
use crate::store::goals;
use crate::store::table::{Better, Table, Work};
use crate::store::wire::{Command, RestartWork};

/// Bytes of a value: of short ones there is no index.
const VALUES: [usize; 3] = [16, 200, 1000];
/// Bytes of memory besides the keys'.
const MEMORY: u64 = 64 << 20;

pub(in crate::store) fn run(bench: &Bench<'_>, table: &mut Table) -> Outcome<()> {
    if !bench.has_ours() {
        return Ok(());
    }
    for value_len in VALUES {
        let what = format!("{} MiB in values of {value_len} bytes", bench.args.disk_mib);
        bench.say(&format!("restarts with {what}"));
        let work = RestartWork {
            bytes: bench.args.disk_mib << 20,
            value_len,
            memory: MEMORY,
            rounds: bench.args.rounds,
        };
        let reply = bench.ours()?.must(&Command::Restart { work, dir: bench.new_dir()? })?;
        let rows = [
            ("restart, all of it read, memory 64 MiB", "s", "all read"),
            ("restart by the index, memory 64 MiB", "s", "index read"),
            ("processor time of a restart, all of it read", "s", "cpu all read"),
            ("processor time of a restart by the index", "s", "cpu index read"),
            ("checkpoint without an index", "s", "checkpoint without"),
            ("checkpoint with an index", "s", "checkpoint with"),
            ("processor time of a checkpoint without an index", "s", "cpu without"),
            ("processor time of a checkpoint with an index", "s", "cpu with"),
            ("size of a checkpoint without an index", "MB", "bytes without"),
            ("size of a checkpoint with an index", "MB", "bytes with"),
        ];
        for (name, unit, series) in rows {
            let work = Work {
                name: format!("{name}, {what}"),
                unit,
                decimals: 3,
                better: Better::Less,
                goals: goals::NONE,
            };
            table.judge(&work, "millstream", reply.series(series), None);
        }
    }
    Ok(())
}
