//! What retention leaves when a power failure interrupts it: any of the removals may be lost, in any order.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::error::StoreError;
use millstream_storage::topic::{
    BatchBuilder, Isolation, Retention, TopicConfig, TopicError, TopicReader, TopicWriter,
};
use tempfile::TempDir;

/// Bytes of a mark.
const MARK: usize = 96;

/// One partition of four segments, with a record each, of which retention keeps the last.
fn topic() -> (TempDir, TopicWriter) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let retention = Retention { max_age_millis: None, max_bytes: Some(1) };
    let config = TopicConfig::new(5).partitions(1).segment_bytes(1).retention(retention);
    let opened = TopicWriter::open_or_create(Rc::new(StdDisk), dir.path(), config);
    let mut writer = block_on(opened).expect("the disk works");
    for value in ["first", "second", "third", "fourth"] {
        let mut batch = BatchBuilder::new();
        batch.push(0, None, value.as_bytes(), &[]);
        writer.append(0, batch.finish()).expect("it fits");
        block_on(writer.flush()).expect("the disk works");
    }
    (dir, writer)
}

fn segment(dir: &Path, offset: u64) -> PathBuf {
    dir.join(format!("partition-00000/{offset:020}-{:010}.segment", offset + 1))
}

/// The topic as it may be after a power failure: of three removals only the second has lasted, and so has what was
/// synced, which no mark is.
fn interrupted() -> TempDir {
    let (dir, mut writer) = topic();
    let kept = [0, 2].map(|offset| (segment(dir.path(), offset), fs::read(segment(dir.path(), offset))));
    assert_eq!(block_on(writer.retain(0)).expect("the disk works"), 3);
    drop(writer);
    for (path, bytes) in kept {
        fs::write(path, bytes.expect("it was written")).expect("it can be written");
    }
    let decisions = dir.path().join("decisions/00000000000000000000-0000000001.segment");
    let bytes = fs::read(&decisions).expect("it was written");
    fs::write(&decisions, &bytes[..bytes.len() - MARK]).expect("it can be written");
    dir
}

async fn open(dir: &Path) -> TopicReader {
    TopicReader::open(Rc::new(StdDisk), dir, Isolation::Committed).await.expect("a topic")
}

#[test]
fn a_reader_does_not_take_interrupted_retention_for_damage() {
    let dir = interrupted();
    block_on(async {
        let mut reader = open(dir.path()).await;
        assert_eq!(reader.range(0).await.expect("nothing is damaged"), 3..4);
        match reader.seek(0, 0).await {
            Err(TopicError::OutOfRange { start: 3, end: 4, .. }) => {}
            other => panic!("{:?}", other.map(|cursor| cursor.offset())),
        }
    });
}

#[test]
fn what_was_aborted_is_not_read_after_it_was_trimmed_and_forgotten() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let retention = Retention { max_age_millis: None, max_bytes: Some(1) };
    let config = TopicConfig::new(5).partitions(1).segment_bytes(1).retention(retention);
    let batch = |value: &[u8]| {
        let mut batch = BatchBuilder::new();
        batch.push(0, None, value, &[]);
        batch.finish()
    };
    block_on(async {
        let disk = Rc::new(StdDisk);
        let opened = TopicWriter::open_or_create(disk.clone(), dir.path(), config).await;
        let mut writer = opened.expect("the disk works");
        let producer = writer.fence("p", 1).expect("the first epoch");
        let transaction = writer.begin(&producer).expect("not fenced");
        writer.append_in(transaction, 0, batch(b"lost")).expect("it fits");
        writer.flush().await.expect("the disk works");
        let mut reader = open(dir.path()).await;
        // From here on it has the first segment open.
        let mut cursor = reader.seek(0, 0).await.expect("in range");
        writer.abort(transaction).expect("it is open");
        writer.flush().await.expect("the disk works");
        writer.append(0, batch(b"kept")).expect("it fits");
        assert_eq!(writer.retain(0).await.expect("the disk works"), 1);
        drop(writer);
        // Its decisions begin with what is left.
        let writer = TopicWriter::open(disk, dir.path()).await.expect("nothing is damaged");
        match reader.next(&mut cursor).await {
            Err(TopicError::OutOfRange { start: 1, end: 2, .. }) => {}
            other => panic!("{:?}", other.map(|records| records.is_some())),
        }
        drop(writer);
    });
}

#[test]
fn a_writer_finishes_interrupted_retention() {
    let dir = interrupted();
    let writer = block_on(TopicWriter::open(Rc::new(StdDisk), dir.path())).expect("nothing is damaged");
    assert!([0, 1, 2].iter().all(|offset| !segment(dir.path(), *offset).exists()));
    drop(writer);
}

#[test]
fn a_segment_that_is_missing_and_was_not_to_go_is_damage() {
    let (dir, writer) = topic();
    drop(writer);
    fs::remove_file(segment(dir.path(), 2)).expect("it is there");
    block_on(async {
        let mut reader = open(dir.path()).await;
        let mut cursor = reader.seek(0, 0).await.expect("the first is there");
        let outcome = loop {
            match reader.next(&mut cursor).await {
                Ok(Some(_)) => {}
                outcome => break outcome,
            }
        };
        assert_eq!(cursor.offset(), 2, "what is there is read");
        match outcome {
            Err(TopicError::Store(StoreError::Damaged { path, .. })) => {
                assert_eq!(path, segment(dir.path(), 1));
            }
            other => panic!("{:?}", other.map(|records| records.is_some())),
        }
    });
}

#[test]
fn a_first_segment_that_is_missing_and_was_not_to_go_is_damage() {
    let (dir, writer) = topic();
    drop(writer);
    fs::remove_file(segment(dir.path(), 0)).expect("it is there");
    block_on(async {
        let mut reader = open(dir.path()).await;
        let ranged = reader.range(0).await.map(|range| range.start);
        let sought = reader.seek(0, 0).await.map(|cursor| cursor.offset());
        for outcome in [ranged, sought] {
            match outcome {
                Err(error @ TopicError::Store(StoreError::Damaged { .. })) => {
                    let missing = "the segment with offset 0 is missing";
                    assert!(format!("{error}").contains(missing), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
    });
}
