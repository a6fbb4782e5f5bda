//! Who may write, who is fenced, what can be committed after a crash, and what retention leaves.

use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::topic::{
    Batch, BatchBuilder, Isolation, Outcome, Retention, TopicConfig, TopicError, TopicReader, TopicWriter,
};

fn config() -> TopicConfig {
    TopicConfig::new(11).partitions(2)
}

fn open(dir: &Path) -> TopicWriter {
    block_on(TopicWriter::open_or_create(Rc::new(StdDisk), dir, config())).expect("the disk works")
}

fn batch(time: i64, value: &str) -> Batch {
    let mut batch = BatchBuilder::new();
    batch.push(time, None, value.as_bytes(), &[]);
    batch.finish()
}

fn read(dir: &Path, partition: u32, isolation: Isolation) -> Vec<String> {
    block_on(async {
        let mut reader = TopicReader::open(Rc::new(StdDisk), dir, isolation).await.expect("a topic");
        let start = reader.range(partition).await.expect("the disk works").start;
        let mut cursor = reader.seek(partition, start).await.expect("in range");
        let mut seen = Vec::new();
        while let Some(records) = reader.next(&mut cursor).await.expect("nothing is damaged") {
            seen.extend(records.iter().map(|record| String::from_utf8_lossy(record.value).into_owned()));
        }
        seen
    })
}

fn flush(writer: &mut TopicWriter) {
    block_on(writer.flush()).expect("the disk works");
}

#[test]
fn a_second_writer_is_told_which_lock_keeps_it_out() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let first = open(dir.path());
    let second = block_on(TopicWriter::open(Rc::new(StdDisk), dir.path()));
    let Err(error @ TopicError::Held { .. }) = second else { panic!("two writers") };
    assert!(error.to_string().contains(&dir.path().join("lease").display().to_string()), "{error}");
    drop(first);
    assert!(block_on(TopicWriter::open(Rc::new(StdDisk), dir.path())).is_ok());
}

#[test]
fn a_commit_shows_all_partitions_at_once_and_an_abort_none() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut writer = open(dir.path());
    let producer = writer.fence("p", 1).expect("the first epoch");
    let (kept, lost) = (writer.begin(&producer).expect("open"), writer.begin(&producer).expect("open"));
    for partition in 0..2 {
        writer.append_in(lost, partition, batch(0, "lost")).expect("it fits");
        writer.append_in(kept, partition, batch(0, "kept")).expect("it fits");
        writer.append(partition, batch(0, "plain")).expect("it fits");
    }
    flush(&mut writer);
    for partition in 0..2 {
        assert!(read(dir.path(), partition, Isolation::Committed).is_empty(), "an open one holds all back");
        assert_eq!(read(dir.path(), partition, Isolation::Uncommitted), ["lost", "kept", "plain"]);
    }
    writer.abort(lost).expect("it is open");
    flush(&mut writer);
    assert!(read(dir.path(), 0, Isolation::Committed).is_empty());
    writer.commit(kept).expect("it is open");
    flush(&mut writer);
    for partition in 0..2 {
        assert_eq!(read(dir.path(), partition, Isolation::Committed), ["kept", "plain"]);
    }
    assert!(matches!(writer.abort(kept), Err(TopicError::Transaction { .. })), "it is committed");
}

#[test]
fn a_prepared_transaction_is_committed_by_id_after_a_crash_and_only_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut writer = open(dir.path());
    let producer = writer.fence("sink", 4).expect("the first epoch");
    let (prepared, open_one) =
        (writer.begin(&producer).expect("open"), writer.begin(&producer).expect("open"));
    writer.append_in(prepared, 0, batch(0, "prepared")).expect("it fits");
    writer.append_in(open_one, 0, batch(0, "open")).expect("it fits");
    writer.prepare(prepared, 17).expect("it is open");
    flush(&mut writer);
    drop(writer);

    let mut writer = open(dir.path());
    assert!(read(dir.path(), 0, Isolation::Committed).is_empty());
    assert_eq!(writer.commit_prepared("sink", 17).expect("it is prepared"), Outcome::Committed);
    assert!(matches!(writer.commit_prepared("sink", 18), Err(TopicError::Unknown { id: 18, .. })));
    assert!(matches!(writer.commit_prepared("other", 17), Err(TopicError::Unknown { .. })));
    flush(&mut writer);
    assert_eq!(read(dir.path(), 0, Isolation::Committed), ["prepared"]);
    drop(writer);

    let mut writer = open(dir.path());
    assert_eq!(writer.commit_prepared("sink", 17).expect("it is remembered"), Outcome::Repeated);
    assert_eq!(writer.producer("sink"), Some((4, Some(17))));
    flush(&mut writer);
    assert_eq!(read(dir.path(), 0, Isolation::Committed), ["prepared"]);
}

#[test]
fn a_newer_epoch_fences_the_older_ones() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut writer = open(dir.path());
    let old = writer.fence("p", 1).expect("the first epoch");
    let (lost, prepared) = (writer.begin(&old).expect("open"), writer.begin(&old).expect("open"));
    writer.append_in(lost, 0, batch(0, "lost")).expect("it fits");
    writer.append_in(prepared, 0, batch(0, "prepared")).expect("it fits");
    writer.prepare(prepared, 1).expect("it is open");
    let new = writer.fence("p", 2).expect("a newer epoch");
    assert!(matches!(writer.begin(&old), Err(TopicError::Fenced { epoch: 1, newest: 2, .. })));
    assert!(matches!(writer.append_in(lost, 0, batch(0, "late")), Err(TopicError::Transaction { .. })));
    assert!(matches!(writer.commit(lost), Err(TopicError::Transaction { .. })));
    let current = writer.begin(&new).expect("not fenced");
    writer.append_in(current, 0, batch(0, "new")).expect("it fits");
    writer.commit(current).expect("it is open");
    flush(&mut writer);
    assert_eq!(writer.commit_prepared("p", 1).expect("still prepared"), Outcome::Committed);
    flush(&mut writer);
    assert_eq!(read(dir.path(), 0, Isolation::Committed), ["prepared", "new"]);
    drop(writer);
    let mut writer = open(dir.path());
    assert!(
        matches!(writer.fence("p", 1), Err(TopicError::Fenced { newest: 2, .. })),
        "also after a restart"
    );
}

#[test]
fn retention_removes_whole_old_segments_and_says_what_is_left() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let retention = Retention { max_age_millis: Some(1000), max_bytes: None };
    let config = config().segment_bytes(1).retention(retention);
    let mut writer =
        block_on(TopicWriter::open_or_create(Rc::new(StdDisk), dir.path(), config)).expect("the disk works");
    for time in [0, 500, 3000, 100] {
        writer.append(0, batch(time, &time.to_string())).expect("it fits");
        flush(&mut writer);
    }
    assert_eq!(block_on(writer.retain(2000)).expect("the disk works"), 2);
    assert_eq!(block_on(writer.retain(2000)).expect("the disk works"), 0);
    // The last one is old, but the segment before it is not, and it is the one that is written.
    assert_eq!(read(dir.path(), 0, Isolation::Committed), ["3000", "100"]);
    block_on(async {
        let mut reader =
            TopicReader::open(Rc::new(StdDisk), dir.path(), Isolation::Committed).await.expect("a topic");
        let outcome = reader.seek(0, 1).await.map(|cursor| cursor.offset());
        assert!(
            matches!(outcome, Err(TopicError::OutOfRange { offset: 1, start: 2, end: 4, .. })),
            "{outcome:?}"
        );
        let outcome = reader.seek(0, 5).await.map(|cursor| cursor.offset());
        assert!(matches!(outcome, Err(TopicError::OutOfRange { offset: 5, start: 2, end: 4, .. })));
    });
    drop(writer);
    let config = config.retention(Retention { max_age_millis: None, max_bytes: Some(1) });
    let mut writer =
        block_on(TopicWriter::open_or_create(Rc::new(StdDisk), dir.path(), config)).expect("the disk works");
    assert_eq!(block_on(writer.retain(0)).expect("the disk works"), 1);
    assert_eq!(read(dir.path(), 0, Isolation::Committed), ["100"]);
}

#[test]
fn a_reader_that_follows_sees_what_is_flushed_later() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut writer = open(dir.path());
    let signal = writer.signal();
    let mut reader =
        block_on(TopicReader::open(Rc::new(StdDisk), dir.path(), Isolation::Committed)).expect("a topic");
    let mut cursor = block_on(reader.seek(0, 0)).expect("in range");
    for round in 0..5_u64 {
        let seen = signal.version();
        assert!(block_on(reader.next(&mut cursor)).expect("nothing is damaged").is_none());
        writer.append(0, batch(0, "x")).expect("it fits");
        assert!(block_on(reader.next(&mut cursor)).expect("nothing is damaged").is_none(), "not flushed");
        flush(&mut writer);
        block_on(signal.after(seen));
        let records = block_on(reader.next(&mut cursor)).expect("nothing is damaged").expect("one batch");
        assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [round]);
    }
}
