//! Checkpoints and recoveries beside the disk alone.

use super::Bench;
use crate::report::{Outcome, Spread};
use crate::store::goals;
use crate::store::table::{Better, Table, Work};
use crate::store::wire::{Command, DiskWork, Reply};

/// Bytes of a value: of a small one the index costs most, of a larger one the bytes do.
const VALUES: [usize; 2] = [16, 1000];

pub(in crate::store) fn run(bench: &Bench<'_>, table: &mut Table) -> Outcome<()> {
    if !bench.has_ours() {
        return Ok(());
    }
    let all = std::thread::available_parallelism()?.get();
    for value_len in VALUES {
        for cores in [1, all].into_iter().take(if all > 1 { 2 } else { 1 }) {
            measure(bench, cores, value_len, cores == all, table)?;
        }
    }
    Ok(())
}

/// The disk is the machine's, and so are the goals: they are asked of all cores together.
fn measure(
    bench: &Bench<'_>,
    cores: usize,
    value_len: usize,
    is_asked: bool,
    table: &mut Table,
) -> Outcome<()> {
    let mib = bench.args.disk_mib;
    let what = format!("{mib} MiB in values of {value_len} bytes, cores: {cores}");
    bench.say(&format!("checkpoints and recoveries of {what}"));
    let disk_work = DiskWork { bytes: mib << 20, value_len, rounds: bench.args.rounds, cores };
    let reply = bench.ours()?.must(&Command::Disk { work: disk_work, dir: bench.new_dir()? })?;
    let work = |name: &str, unit| Work {
        name: format!("{name} of {what}"),
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
        let (share, goal) = (share(&reply, ours, disk), is_asked.then_some(goal));
        table.share(&work(ours, "GB/s"), "millstream", reply.series(ours), share, goal);
    }
    table.judge(&work("recovery", "s/GB"), "millstream", reply.series("seconds per GB"), None);
    Ok(())
}

/// The median of what each round reached of the disk's bandwidth in the same round.
fn share(reply: &Reply, ours: &str, disk: &str) -> f64 {
    let (ours, disk) = (reply.series(ours), reply.series(disk));
    Spread::of(ours.iter().zip(&disk).map(|(ours, disk)| ours / disk).collect()).median
}
