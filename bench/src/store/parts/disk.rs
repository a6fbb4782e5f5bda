//! Checkpoints and recoveries beside the disk alone.

use super::Bench;
use crate::report::{Outcome, Spread};
use crate::store::goals;
use crate::store::table::{Better, Table, Work};
use crate::store::wire::{Command, Reply};

/// Bytes of a value: of a small one the index costs most, of a larger one the bytes do.
const VALUES: [usize; 2] = [16, 100];

pub(in crate::store) fn run(bench: &Bench<'_>, table: &mut Table) -> Outcome<()> {
    if !bench.has_ours() {
        return Ok(());
    }
    for value_len in VALUES {
        let mib = bench.args.disk_mib;
        bench.say(&format!("checkpoints of {mib} MiB in values of {value_len} bytes, and recoveries"));
        let (bytes, rounds) = (mib << 20, bench.args.rounds);
        let command = Command::Disk { bytes, value_len, rounds, dir: bench.new_dir()? };
        let reply = bench.ours()?.must(&command)?;
        let work = |what: &str, unit| Work {
            name: format!("{what} of {mib} MiB, values of {value_len} bytes"),
            unit,
            decimals: 2,
            better: Better::More,
            goals: goals::NONE,
        };
        let beside = [
            ("checkpoint", "write", "write past the page cache", goals::WRITE),
            ("recovery", "read", "read past the page cache", goals::RECOVER),
        ];
        for (ours, disk, disk_name, goal) in beside {
            table.judge(&work(disk_name, "GB/s"), "the disk", reply.series(disk), None);
            let share = share(&reply, ours, disk);
            table.share(&work(ours, "GB/s"), "millstream", reply.series(ours), share, goal);
        }
        table.judge(&work("recovery", "s/GB"), "millstream", reply.series("seconds per GB"), None);
    }
    Ok(())
}

/// The median of what each round reached of the disk's bandwidth in the same round.
fn share(reply: &Reply, ours: &str, disk: &str) -> f64 {
    let (ours, disk) = (reply.series(ours), reply.series(disk));
    Spread::of(ours.iter().zip(&disk).map(|(ours, disk)| ours / disk).collect()).median
}
