//! Records that a barrier has overtaken, in a checkpoint of a real job: restored on other cores, and refused when they are
//! damaged or not known any more.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream::checkpoint::inspect::Checkpoints;
use millstream::checkpoint::manifest::{FORMAT_OVERTAKEN, Overtaken};
use millstream::host::LocalFuture;
use millstream::prelude::*;
use millstream::sink::{Prepared, Sink, SinkContext, Writer};
use millstream::testing::Throttled;
use millstream::time::{Timestamp, millis};
use millstream_storage::disk::{StdDisk, block_on};
use serde_json::{Value as Json, json};

const RECORDS: u64 = 40_000;

/// What each core has written in each epoch.
type Epochs = BTreeMap<(usize, u64), Vec<u64>>;

/// Keeps what was committed.
#[derive(Clone, Default)]
struct Kept {
    committed: Arc<Mutex<Epochs>>,
}

impl Kept {
    fn sorted(&self) -> Vec<u64> {
        let mut all: Vec<_> =
            self.committed.lock().expect("nobody panics").values().flatten().copied().collect();
        all.sort_unstable();
        all
    }
}

struct KeptWriter {
    to: Kept,
    shard: usize,
    records: Vec<u64>,
    prepared: BTreeMap<u64, Vec<u64>>,
}

impl Sink<u64> for Kept {
    fn describe(&self) -> String {
        "a list".to_owned()
    }

    fn recover(self, _: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        let mut committed = self.committed.lock().expect("nobody panics");
        for Prepared { shard, pending, .. } in prepared {
            let epochs: Vec<(u64, Vec<u64>)> = serde_json::from_value(pending).expect("it was written below");
            committed.extend(epochs.into_iter().map(|(epoch, records)| ((shard, epoch), records)));
        }
        Box::pin(async { Ok(()) })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<u64>>>> {
        let writer = KeptWriter { to: self, shard: cx.shard, records: Vec::new(), prepared: BTreeMap::new() };
        Box::pin(async { Ok(Box::new(writer) as Box<dyn Writer<u64>>) })
    }
}

impl Writer<u64> for KeptWriter {
    fn write(&mut self, records: &mut Vec<u64>, _: &[Timestamp]) -> Result<()> {
        self.records.append(records);
        Ok(())
    }

    fn has_room(&self) -> bool {
        true
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
        self.prepared.insert(epoch, std::mem::take(&mut self.records));
        let pending = json!(self.prepared.iter().collect::<Vec<_>>());
        Box::pin(async { Ok(pending) })
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        let later = self.prepared.split_off(&(epoch + 1));
        let now = std::mem::replace(&mut self.prepared, later);
        let now = now.into_iter().map(|(epoch, records)| ((self.shard, epoch), records));
        self.to.committed.lock().expect("nobody panics").extend(now);
        Box::pin(async { Ok(()) })
    }
}

/// Passes on what it is given.
#[derive(Clone)]
struct Pass;

impl Process for Pass {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = ();

    fn declare(&self, _: &mut Declare) {}

    fn on_record(&mut self, n: u64, (): &(), cx: &mut Context<'_, Self>) {
        cx.emit(n);
    }
}

fn job(kept: impl Sink<u64>, unaligned: bool) -> Job {
    let job = Job::new("unaligned");
    let keyed = job.source("numbers", generator(RECORDS, |n| n)).key_by(|n| *n);
    let keyed = if unaligned { keyed.unaligned() } else { keyed };
    keyed.process("pass", Pass).sink("kept", kept);
    job
}

fn config(dir: &Path, cores: usize) -> Config {
    let config = Config::new().checkpoints(dir).cores(cores).batch_size(8).ring_depth(4);
    config.checkpoint_every(millis(5)).retained_checkpoints(1)
}

/// Stops a job whose last checkpoint holds overtaken records, which are returned.
fn interrupted(dir: &Path, kept: &Kept) -> Vec<Overtaken> {
    let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir);
    let slow = Throttled::new(kept.clone(), Duration::from_micros(125));
    for _ in 0..100 {
        let running =
            job(slow.clone(), true).start(config(dir, 2).unaligned_after(millis(0))).expect("it starts");
        while running.metrics().job().checkpoints.get() < 2 {
            assert!(!running.is_over(), "it goes on until it is ended");
            std::thread::yield_now();
        }
        running.cancel();
        assert!(running.wait().expect("nothing fails").cancelled, "it had too little to do");
        let last = *block_on(checkpoints.epochs()).expect("there are some").last().expect("one at least");
        let manifest = block_on(checkpoints.manifest(last)).expect("it is whole");
        let parts = manifest.steps["pass"].parts.iter();
        let overtaken: Vec<_> = parts.filter_map(|part| part.overtaken.clone()).collect();
        if !overtaken.is_empty() {
            assert_eq!(manifest.format, FORMAT_OVERTAKEN);
            return overtaken;
        }
    }
    panic!("no barrier has overtaken anything");
}

#[test]
fn rule_27_what_was_overtaken_is_worked_on_once_on_any_number_of_cores() {
    for cores in [1, 2, 3] {
        let (dir, kept) = (tempfile::tempdir().expect("a directory"), Kept::default());
        let overtaken = interrupted(dir.path(), &kept);
        assert!(overtaken.iter().all(|file| file.records > 0));
        let report = job(kept.clone(), true).run(config(dir.path(), cores)).expect("it goes on");
        assert!(report.restored.is_some());
        assert_eq!(kept.sorted(), (0..RECORDS).collect::<Vec<_>>());
        for file in overtaken {
            let gone = dir.path().join("data").join(file.file);
            assert!(!gone.exists(), "{} is of no use any more", gone.display());
        }
    }
}

#[test]
fn rule_27_what_was_overtaken_is_refused_when_damaged_or_unknown() {
    let (dir, kept) = (tempfile::tempdir().expect("a directory"), Kept::default());
    let overtaken = interrupted(dir.path(), &kept);
    let refused = job(kept.clone(), false).run(config(dir.path(), 2)).expect_err("its records would be lost");
    assert_eq!(refused.kind(), ErrorKind::Restore);
    assert!(refused.to_string().contains("keep its stream `unaligned()`"), "{refused}");
    let file = dir.path().join("data").join(&overtaken[0].file);
    let mut bytes = std::fs::read(&file).expect("it is there");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).expect("it is ours");
    let refused = job(kept.clone(), true).run(config(dir.path(), 1)).expect_err("a byte is wrong");
    assert!(refused.to_string().contains(&overtaken[0].file), "{refused}");
}
