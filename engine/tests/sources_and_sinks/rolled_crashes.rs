//! A crash at any operation, of every kind of files.

use std::rc::Rc;

use millstream::sink::{FileSink, Format, Partition, Prepared, Sink, file_sink};
use serde_json::{Value as Json, json};

use crate::rolled_files::Counted;
use crate::support::TestHost;
use crate::support::disk::MemDisk;

/// Records of an epoch, and epochs of the job.
const BATCH: u64 = 4;
const EPOCHS: u64 = 3;

/// The checkpoint of a job that counts: its epoch, and what the sink returned.
type Checkpoint = Option<(u64, Json)>;

/// Runs the job from a checkpoint to its end; `None` if it crashed. Its checkpoints are always durable.
fn attempt<F: Format<u64>, P: Partition<u64>>(
    sink: FileSink<F, P>,
    disk: &Rc<MemDisk>,
    checkpoint: &mut Checkpoint,
    attempts: u64,
) -> Option<()> {
    let host = TestHost::new(disk);
    let first_epoch = 1 + attempts * (EPOCHS + 1);
    let cx = host.sink_cx(checkpoint.as_ref().map(|(epoch, _)| *epoch), first_epoch);
    let part =
        |(epoch, pending): &(u64, Json)| Prepared { shard: 0, epoch: *epoch, pending: pending.clone() };
    let prepared = checkpoint.iter().map(part).collect();
    host.run(sink.clone().recover(cx.clone(), prepared))?.expect("recovers");
    let mut writer = host.run(sink.open(cx))?.expect("opens");
    let done = checkpoint.as_ref().map_or(0, |(_, pending)| pending["done"].as_u64().expect("a count"));
    for (epoch, batch) in (first_epoch..).zip(done..EPOCHS) {
        let mut records: Vec<_> = (batch * BATCH..(batch + 1) * BATCH).collect();
        writer.write(&mut records, &[0; BATCH as usize]).expect("writes");
        if batch + 1 == EPOCHS {
            writer.drained();
        }
        let mut pending = host.run(writer.pre_commit(epoch))?.expect("prepares");
        pending["done"] = json!(batch + 1);
        *checkpoint = Some((epoch, pending));
        // The commit of every second epoch comes with the next one.
        if batch % 2 == 0 {
            host.run(writer.commit(epoch))?.expect("commits");
        }
    }
    let last = checkpoint.as_ref().map_or(0, |(epoch, _)| *epoch);
    host.run(writer.commit(last))?.expect("commits");
    Some(())
}

/// The records that a reader sees, by partition, in the order of the files.
fn visible(disk: &MemDisk, footer: bool) -> Vec<Vec<u64>> {
    let mut partitions = vec![Vec::new(), Vec::new()];
    for (name, text) in disk.tree("out").into_iter().filter(|(name, _)| !name.starts_with('.')) {
        let mut lines: Vec<_> = text.lines().collect();
        if footer {
            let last = lines.pop().expect("a file is not empty");
            assert_eq!(last, format!("# {}", lines.len()), "{name} is whole");
        }
        let of = usize::from(name.contains("parity=1"));
        partitions[of].extend(lines.iter().map(|line| line.parse::<u64>().expect("a number")));
    }
    partitions
}

/// Every crash leaves a prefix of the output of each partition, each record once.
fn assert_prefix(disk: &MemDisk, footer: bool, split: bool, done: bool) {
    for (of, seen) in (0..).zip(visible(disk, footer)) {
        let belongs = |n: &u64| if split { n % 2 == of } else { of == 0 };
        let expected: Vec<_> = (0..EPOCHS * BATCH).filter(belongs).collect();
        assert!(expected.starts_with(&seen), "{seen:?}");
        assert!(!done || seen.len() == expected.len(), "{seen:?}");
    }
}

fn survives<F: Format<u64>, P: Partition<u64>>(sink: &FileSink<F, P>, footer: bool) {
    for keep_unsynced in [false, true] {
        let mut crashes = 0;
        for (first, second) in (0..80).flat_map(|first| (0..24).map(move |second| (first, second))) {
            let (disk, mut checkpoint) = (MemDisk::with(&[]), None);
            for (attempts, fuse) in [first, second].into_iter().enumerate() {
                disk.crash_after(fuse);
                if attempt(sink.clone(), &disk, &mut checkpoint, attempts as u64).is_none() {
                    crashes += 1;
                    disk.restart(keep_unsynced);
                    assert_prefix(&disk, footer, P::SPLITS, false);
                } else {
                    disk.restart(true);
                }
            }
            attempt(sink.clone(), &disk, &mut checkpoint, 2).expect("nothing crashes any more");
            disk.restart(false);
            assert_prefix(&disk, footer, P::SPLITS, true);
            assert!(disk.names("out").iter().all(|name| !name.starts_with('.')), "{:?}", disk.names("out"));
        }
        assert!(crashes > 300, "{crashes}");
    }
}

fn parity(n: &u64) -> String {
    format!("of=all/parity={}", n % 2)
}

#[test]
fn a_crash_at_any_operation_on_partitioned_files_loses_and_repeats_nothing() {
    survives(&file_sink("out").partition_by(parity), false);
}

#[test]
fn a_crash_at_any_operation_on_rolled_files_with_footers_loses_and_repeats_nothing() {
    survives(&file_sink("out").format(Counted).roll_at(5), true);
    survives(&file_sink("out").format(Counted).open_files(1).partition_by(parity), true);
}

#[test]
fn a_crash_at_any_operation_on_files_that_go_on_across_checkpoints_loses_and_repeats_nothing() {
    survives(&file_sink("out").across_checkpoints().roll_at(20), false);
    survives(&file_sink("out").across_checkpoints().roll_at(9).open_files(1).partition_by(parity), false);
}
