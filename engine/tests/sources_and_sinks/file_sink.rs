//! Files of output, exactly once, whatever crashes.

use std::rc::Rc;

use millstream::ErrorKind;
use millstream::sink::{NdjsonDir, Prepared, Sink, Writer, ndjson_dir};
use serde_json::{Value as Json, json};

use crate::support::TestHost;
use crate::support::disk::{Fail, MemDisk};

/// Records of an epoch.
const BATCH: u64 = 3;
/// Epochs of the job.
const EPOCHS: u64 = 3;

/// The checkpoint of a job that counts: its epoch, and what the sink returned.
type Checkpoint = Option<(u64, Json)>;

fn prepared(checkpoint: &Checkpoint) -> Vec<Prepared> {
    let part =
        |(epoch, pending): &(u64, Json)| Prepared { shard: 0, epoch: *epoch, pending: pending.clone() };
    checkpoint.iter().map(part).collect()
}

fn recover(disk: &Rc<MemDisk>, checkpoint: &Checkpoint) -> millstream::Result<()> {
    let host = TestHost::new(disk);
    let cx = host.sink_cx(checkpoint.as_ref().map(|(epoch, _)| *epoch), 100);
    host.run(Sink::<u64>::recover(ndjson_dir("out"), cx, prepared(checkpoint)))
        .expect("no crash was asked for")
}

fn open(host: &Rc<TestHost>) -> Box<dyn Writer<u64>> {
    host.run(ndjson_dir("out").open(host.sink_cx(None, 1))).expect("no crash").expect("opens")
}

fn pre_commit(host: &TestHost, writer: &mut Box<dyn Writer<u64>>, epoch: u64, records: &[u64]) -> Json {
    writer.write(&mut records.to_vec(), &vec![0; records.len()]).expect("writes");
    host.run(writer.pre_commit(epoch)).expect("no crash").expect("prepares")
}

/// Runs the job from a checkpoint to its end; `None` if it crashed. Its checkpoints are always durable.
fn attempt(disk: &Rc<MemDisk>, checkpoint: &mut Checkpoint, attempts: u64) -> Option<()> {
    let host = TestHost::new(disk);
    let (restored, sink) = (checkpoint.as_ref().map(|(epoch, _)| *epoch), ndjson_dir("out"));
    // Every attempt uses epochs of its own, as an aborted one is never used again.
    let first_epoch = 1 + attempts * EPOCHS;
    let cx = host.sink_cx(restored, first_epoch);
    let recovered = Sink::<u64>::recover(sink.clone(), cx.clone(), prepared(checkpoint));
    host.run(recovered)?.expect("recovers");
    let mut writer = host.run(<NdjsonDir as Sink<u64>>::open(sink, cx))?.expect("opens");
    let done = checkpoint.as_ref().map_or(0, |(_, pending)| pending["done"].as_u64().expect("a count"));
    for (epoch, batch) in (first_epoch..).zip(done..EPOCHS) {
        let mut records: Vec<_> = (batch * BATCH..(batch + 1) * BATCH).collect();
        writer.write(&mut records, &[0; BATCH as usize]).expect("writes");
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

/// What a reader of the directory sees.
fn visible(disk: &MemDisk) -> String {
    disk.files("out").into_iter().filter(|(name, _)| !name.starts_with('.')).map(|(_, text)| text).collect()
}

/// Every crash leaves a prefix of the output, each record once.
fn assert_prefix(disk: &MemDisk) {
    let expected: String = (0..EPOCHS * BATCH).map(|record| format!("{record}\n")).collect();
    assert!(expected.starts_with(&visible(disk)), "{}", visible(disk));
}

#[test]
fn a_crash_at_any_operation_loses_and_repeats_nothing() {
    for keep_unsynced in [false, true] {
        let mut crashes = 0;
        for (first, second) in (0..100).flat_map(|first| (0..20).map(move |second| (first, second))) {
            let (disk, mut checkpoint) = (MemDisk::with(&[]), None);
            for (attempts, fuse) in [first, second].into_iter().enumerate() {
                disk.crash_after(fuse);
                if attempt(&disk, &mut checkpoint, attempts as u64).is_none() {
                    crashes += 1;
                    disk.restart(keep_unsynced);
                    assert_prefix(&disk);
                } else {
                    disk.restart(true);
                }
            }
            attempt(&disk, &mut checkpoint, 2).expect("nothing crashes any more");
            disk.restart(false);
            assert_prefix(&disk);
            assert_eq!(visible(&disk).lines().count() as u64, EPOCHS * BATCH, "crashes at {first}, {second}");
            assert!(disk.names("out").iter().all(|name| !name.starts_with('.')), "{:?}", disk.names("out"));
        }
        assert!(crashes > 300, "{crashes}");
    }
}

#[test]
fn output_is_hidden_until_it_is_committed_and_durable_when_it_is() {
    let disk = MemDisk::with(&[]);
    let host = TestHost::new(&disk);
    let mut writer = open(&host);
    pre_commit(&host, &mut writer, 7, &[1, 2]);
    assert_eq!(disk.names("out"), [".pending-0000000001-0000000000-000.ndjson"]);
    host.run(writer.commit(7)).expect("no crash").expect("commits");
    disk.restart(false);
    assert_eq!(disk.files("out"), [("0000000007-000.ndjson".to_owned(), "1\n2\n".to_owned())]);
}

#[test]
fn an_epoch_without_records_has_no_file() {
    let disk = MemDisk::with(&[]);
    let host = TestHost::new(&disk);
    let pending = pre_commit(&host, &mut open(&host), 1, &[]);
    assert_eq!(pending, json!({ "dir": "out", "files": [] }));
    assert!(disk.names("out").is_empty());
}

#[test]
fn rule_29_recovery_may_be_repeated_and_removes_only_what_nobody_knows() {
    let disk = MemDisk::with(&[]);
    let host = TestHost::new(&disk);
    let mut writer = open(&host);
    pre_commit(&host, &mut writer, 1, &[1]);
    // Checkpoint 1 was aborted: its records belong to checkpoint 2 as well.
    let checkpoint = Some((2, pre_commit(&host, &mut writer, 2, &[2])));
    pre_commit(&host, &mut writer, 3, &[3]);
    disk.put("out/.pending-of-somebody-else", b"");
    disk.put("out/notes.txt", b"");
    for _ in 0..3 {
        recover(&disk, &checkpoint).expect("recovers");
        disk.restart(false);
        let names = ["0000000001-000.ndjson", "0000000002-000.ndjson", "notes.txt"];
        assert_eq!(disk.names("out"), [&[".pending-of-somebody-else"], &names[..]].concat());
    }
    assert_eq!(visible(&disk), "1\n2\n");
}

fn refusal(disk: &Rc<MemDisk>, checkpoint: &Checkpoint) -> String {
    let before = disk.files("out");
    let error = recover(disk, checkpoint).expect_err("must be refused");
    assert_eq!(error.kind(), ErrorKind::Restore, "{error}");
    assert_eq!(disk.files("out"), before, "a refusal touches nothing");
    error.to_string()
}

#[test]
fn the_output_of_another_run_is_refused() {
    let disk = MemDisk::with(&[("out/0000000009-000.ndjson", b"1\n"), ("out/.pending-1-1-1.ndjson", b"2\n")]);
    assert!(refusal(&disk, &None).contains("holds the output of another run (0000000009-000.ndjson)"));
    let older = Some((8, json!({ "dir": "out", "files": [] })));
    assert!(refusal(&disk, &older).contains("output of epoch 9"));
    let same = Some((9, json!({ "dir": "out", "files": [] })));
    recover(&disk, &same).expect("its own output");
    assert_eq!(disk.names("out"), ["0000000009-000.ndjson"]);
}

#[test]
fn prepared_output_that_is_missing_or_damaged_is_refused() {
    let disk = MemDisk::with(&[]);
    let host = TestHost::new(&disk);
    let checkpoint = Some((1, pre_commit(&host, &mut open(&host), 1, &[1])));
    let name = disk.names("out").remove(0);
    disk.put(&format!("out/{name}"), b"1\n1\n");
    assert!(refusal(&disk, &checkpoint).contains("has 4 bytes, but the checkpoint says 2"));
    disk.forget(&format!("out/{name}"));
    assert!(refusal(&disk, &checkpoint).contains("0000000001-000.ndjson: is missing, and so is .pending-"));
}

#[test]
fn a_checkpoint_cannot_name_files_outside_of_the_directory() {
    let disk = MemDisk::with(&[("secret", b"1\n")]);
    for (pending, name) in [("../secret", "0000000001-000.ndjson"), (".pending-1-1-1.ndjson", "../secret")] {
        let files = json!([{ "name": name, "pending": pending, "bytes": 2, "records": 1 }]);
        assert!(refusal(&disk, &Some((1, json!({ "dir": "out", "files": files })))).contains("bad names"));
    }
}

#[test]
fn a_failed_write_is_reported_with_its_path_by_whatever_comes_next() {
    let disk = MemDisk::with(&[]);
    let host = TestHost::new(&disk);
    let mut writer = open(&host);
    disk.fail(Fail::Writes);
    writer.write(&mut vec![1], &[0]).expect("only buffered");
    let error = host.run(writer.pre_commit(1)).expect("no crash").expect_err("the write failed");
    assert!(
        error
            .to_string()
            .starts_with("out/.pending-0000000001-0000000000-000.ndjson: cannot write 2 bytes at 0")
    );
    disk.fail(Fail::Nothing);
    writer.write(&mut vec![2], &[0]).expect_err("still failed");
    host.run(writer.pre_commit(2)).expect("no crash").expect_err("still failed");
}

#[test]
fn a_full_disk_aborts_epochs_and_loses_nothing() {
    let disk = MemDisk::with(&[]);
    let host = TestHost::new(&disk);
    let mut writer = open(&host);
    pre_commit(&host, &mut writer, 1, &[1]);
    host.run(writer.commit(1)).expect("no crash").expect("commits");
    disk.fail(Fail::Full);
    for epoch in [2, 3] {
        writer.write(&mut vec![epoch], &[0]).expect("only buffered");
        let error = host.run(writer.pre_commit(epoch)).expect("no crash").expect_err("the disk is full");
        assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
    }
    disk.fail(Fail::Nothing);
    // The file learns of the space at its next attempt.
    host.round();
    pre_commit(&host, &mut writer, 4, &[4]);
    host.run(writer.commit(4)).expect("no crash").expect("commits");
    let lines: Vec<_> = disk.files("out").into_iter().map(|(_, text)| text).collect();
    assert_eq!(lines, ["1\n", "2\n", "3\n", "4\n"]);
}

#[test]
fn a_full_disk_stops_a_writer_with_too_much_to_write_until_there_is_space() {
    let disk = MemDisk::with(&[]);
    let host = TestHost::new(&disk);
    let mut writer = open(&host);
    disk.fail(Fail::Full);
    while writer.has_room() {
        writer.write(&mut vec![u64::MAX; 1 << 14], &[0; 1 << 14]).expect("only buffered");
    }
    (0..100).for_each(|_| host.round());
    assert!(!writer.has_room());
    disk.fail(Fail::Nothing);
    host.woken.take();
    host.until_woken();
    assert!(writer.has_room());
}

#[test]
fn a_file_whose_sync_failed_is_not_synced_again() {
    let disk = MemDisk::with(&[]);
    let host = TestHost::new(&disk);
    let mut writer = open(&host);
    disk.fail(Fail::Syncs);
    writer.write(&mut vec![1], &[0]).expect("only buffered");
    let error = host.run(writer.pre_commit(1)).expect("no crash").expect_err("the sync failed");
    assert!(error.to_string().contains("cannot sync it"), "{error}");
    disk.fail(Fail::Nothing);
    host.run(writer.pre_commit(2)).expect("no crash").expect_err("the records of epoch 1 are missing");
    assert_eq!(disk.syncs(), 1);
}

#[test]
fn a_writer_without_room_is_asked_again_when_its_disk_fails() {
    let disk = MemDisk::with(&[]);
    let host = TestHost::new(&disk);
    let mut writer = open(&host);
    disk.fail(Fail::Writes);
    while writer.has_room() {
        writer.write(&mut vec![u64::MAX; 1 << 14], &[0; 1 << 14]).expect("only buffered");
    }
    host.woken.take();
    host.until_woken();
    assert!(writer.has_room(), "or nobody would ever learn of the failure");
    writer.write(&mut vec![1], &[0]).expect_err("the write failed");
}

#[test]
fn a_writer_with_too_much_to_write_has_no_room_until_it_is_written() {
    let host = TestHost::new(&MemDisk::with(&[]));
    let mut writer = open(&host);
    let mut batches = 0;
    while writer.has_room() {
        writer.write(&mut vec![u64::MAX; 1 << 14], &[0; 1 << 14]).expect("writes");
        batches += 1;
    }
    assert!((12..20).contains(&batches), "{batches} batches of 344 KB");
    host.woken.take();
    host.until_woken();
    assert!(writer.has_room());
}
