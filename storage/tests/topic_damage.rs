//! Damage is refused by the name of the file and the place in it; a tail that was never acknowledged is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::error::StoreError;
use millstream_storage::topic::{BatchBuilder, Isolation, TopicConfig, TopicError, TopicReader, TopicWriter};
use tempfile::TempDir;

/// Bytes of the header of a frame.
const HEADER: usize = 96;
/// Bytes of each of the three frames.
const FRAME: usize = HEADER + 16;

fn push(writer: &mut TopicWriter, value: &str) {
    let mut batch = BatchBuilder::new();
    batch.push(0, None, value.as_bytes(), &[]);
    writer.append(0, batch.finish()).expect("it fits");
    block_on(writer.flush()).expect("the disk works");
}

/// Three batches, each flushed for itself. The writer ends as in a crash of the process.
fn topic() -> (TempDir, PathBuf) {
    topic_of(["first", "second", "third"])
}

fn topic_of(values: [&str; 3]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let opened = TopicWriter::open_or_create(Rc::new(StdDisk), dir.path(), TopicConfig::new(3));
    let mut writer = block_on(opened).expect("the disk works");
    values.into_iter().for_each(|value| push(&mut writer, value));
    let file = dir.path().join("partition-00000/00000000000000000000-0000000001.segment");
    assert!(file.is_file());
    (dir, file)
}

fn read(dir: &Path) -> Result<Vec<String>, TopicError> {
    block_on(async {
        let mut reader = TopicReader::open(Rc::new(StdDisk), dir, Isolation::Committed).await?;
        let (mut cursor, mut seen) = (reader.seek(0, 0).await?, Vec::new());
        while let Some(records) = reader.next(&mut cursor).await? {
            seen.extend(records.iter().map(|record| String::from_utf8_lossy(record.value).into_owned()));
        }
        Ok(seen)
    })
}

fn open(dir: &Path) -> Result<TopicWriter, TopicError> {
    block_on(TopicWriter::open(Rc::new(StdDisk), dir))
}

#[track_caller]
fn assert_refused<T>(outcome: Result<T, TopicError>, file: &Path, at: u64) {
    match outcome {
        Err(TopicError::Store(StoreError::Damaged { path, offset, .. })) => {
            assert_eq!((path.as_path(), offset), (file, at));
        }
        Err(other) => panic!("damage must be refused as such, not as {other}"),
        Ok(_) => panic!("damage went unseen"),
    }
}

#[test]
fn every_flipped_bit_of_what_is_durable_is_refused_where_it_is() {
    let (dir, file) = topic();
    let good = fs::read(&file).expect("it was written");
    let frames = [0, FRAME, 2 * FRAME, good.len() - HEADER];
    for place in 0..frames[3] {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        fs::write(&file, &bad).expect("it can be written");
        let frame = *frames.iter().rev().find(|start| **start <= place).expect("the first is 0");
        // The last mark says that all of it was durable.
        assert_refused(open(dir.path()), &file, frame as u64);
        if frame == 0 {
            // Readers that meet it do not wait for something better.
            assert_refused(read(dir.path()), &file, 0);
        }
    }
}

#[test]
fn what_vouches_for_a_damaged_frame_may_lie_far_behind_it() {
    // It is looked for in pieces of a mebibyte, which end before, in and behind the header that vouches.
    let lengths = (0..32).map(|step| (1 << 20) - 224 + 8 * step).chain([(5 << 20) / 2]);
    for len in lengths {
        let (dir, file) = topic_of(["first", &"x".repeat(len), "third"]);
        let mut bytes = fs::read(&file).expect("it was written");
        bytes[FRAME + 20] ^= 1;
        fs::write(&file, &bytes).expect("it can be written");
        assert_refused(open(dir.path()), &file, FRAME as u64);
    }
}

#[test]
fn a_torn_tail_is_dropped_and_written_over() {
    let (dir, file) = topic();
    let good = fs::read(&file).expect("it was written");
    // The last group, without the mark behind it: it may never have been acknowledged.
    let third = 2 * FRAME;
    for cut in [third, third + 1, third + HEADER, good.len() - HEADER - 1] {
        let (dir, file) = topic();
        fs::write(&file, &good[..cut]).expect("it can be written");
        let mut writer = open(dir.path()).expect("a torn tail is no damage");
        assert_eq!(writer.end(0), 2);
        push(&mut writer, "another");
        assert_eq!(read(dir.path()).expect("nothing is damaged"), ["first", "second", "another"]);
    }
    drop(dir);
}

#[test]
fn what_is_not_known_to_be_durable_is_copied_and_then_shown() {
    let (dir, file) = topic();
    let good = fs::read(&file).expect("it was written");
    fs::write(&file, &good[..good.len() - HEADER]).expect("it can be written");
    assert_eq!(read(dir.path()).expect("nothing is damaged"), ["first", "second"]);
    drop(open(dir.path()).expect("nothing is damaged"));
    assert_eq!(read(dir.path()).expect("nothing is damaged"), ["first", "second", "third"]);
    assert!(!file.exists(), "the copy replaces it");
}

#[test]
fn what_a_commit_vouches_for_is_missed() {
    let (dir, file) = topic();
    let mut writer = open(dir.path()).expect("nothing is damaged");
    let producer = writer.fence("p", 1).expect("the first epoch");
    let transaction = writer.begin(&producer).expect("not fenced");
    let mut batch = BatchBuilder::new();
    batch.push(0, None, b"in a transaction", &[]);
    writer.append_in(transaction, 0, batch.finish()).expect("it fits");
    writer.commit(transaction).expect("it is open");
    block_on(writer.flush()).expect("the disk works");
    drop(writer);
    let file = file.with_file_name("00000000000000000000-0000000002.segment");
    let good = fs::read(&file).expect("it was written");
    let last = good.len() - 2 * HEADER - 24;
    fs::write(&file, &good[..last + 10]).expect("it can be written");
    assert_refused(open(dir.path()), &file, last as u64);
}

#[test]
fn a_segment_of_another_topic_partition_or_place_is_refused() {
    let (dir, file) = topic();
    let (_other, theirs) = topic();
    let good = fs::read(&file).expect("it was written");
    // As a newer generation of the same partition, under its own name.
    let renamed = file.with_file_name("00000000000000000000-0000000005.segment");
    fs::rename(&theirs, &renamed).expect("it can be moved");
    assert_refused(open(dir.path()), &renamed, 0);
    assert!(file.exists(), "what it seems to replace is kept");
    fs::remove_file(&renamed).expect("it is there");
    fs::write(&file, &good).expect("it can be written");
    // Its own second batch in the place of the first.
    let mut moved = good.clone();
    moved.copy_within(FRAME..2 * FRAME, 0);
    fs::write(&file, &moved).expect("it can be written");
    assert_refused(open(dir.path()), &file, 0);
}

/// As [`topic`], and behind it a record of a transaction that is committed; the length of the file before that, too.
fn vouched_for() -> (TempDir, PathBuf, usize) {
    let (dir, file) = topic();
    let mut writer = open(dir.path()).expect("nothing is damaged");
    push(&mut writer, "fourth");
    let file = file.with_file_name("00000000000000000000-0000000002.segment");
    let before = fs::read(&file).expect("it was written").len() - HEADER;
    let producer = writer.fence("p", 1).expect("the first epoch");
    let transaction = writer.begin(&producer).expect("not fenced");
    let mut batch = BatchBuilder::new();
    batch.push(0, None, b"in a transaction", &[]);
    writer.append_in(transaction, 0, batch.finish()).expect("it fits");
    writer.commit(transaction).expect("it is open");
    block_on(writer.close()).expect("the disk works");
    (dir, file, before)
}

fn range(dir: &Path, isolation: Isolation) -> Result<std::ops::Range<u64>, TopicError> {
    block_on(async { TopicReader::open(Rc::new(StdDisk), dir, isolation).await?.range(0).await })
}

#[test]
fn a_reader_alone_misses_what_a_commit_vouches_for() {
    let (dir, file, before) = vouched_for();
    let good = fs::read(&file).expect("it was written");
    let mut bad_header = good[..good.len() - HEADER].to_vec();
    bad_header[before + 10] ^= 1;
    for bytes in [&good[..before], &good[..before + 10], &bad_header] {
        fs::write(&file, bytes).expect("it can be written");
        for isolation in [Isolation::Committed, Isolation::Uncommitted] {
            assert_refused(range(dir.path(), isolation), &file, before as u64);
        }
        assert_refused(read(dir.path()), &file, before as u64);
        let sought = block_on(async {
            let mut reader = TopicReader::open(Rc::new(StdDisk), dir.path(), Isolation::Committed).await?;
            reader.seek(0, 5).await.map(drop)
        });
        assert_refused(sought, &file, before as u64);
    }
    fs::write(&file, &good).expect("it can be written");
    assert_eq!(range(dir.path(), Isolation::Committed).expect("nothing is damaged"), 0..5);
    assert_eq!(read(dir.path()).expect("nothing is damaged").len(), 5);
}

#[test]
fn a_reader_alone_misses_all_segments_of_a_partition() {
    let (dir, file, _) = vouched_for();
    let partition = file.parent().expect("it is in a directory");
    for entry in fs::read_dir(partition).expect("a partition") {
        fs::remove_file(entry.expect("it can be listed").path()).expect("it can be removed");
    }
    assert_refused(range(dir.path(), Isolation::Committed), partition, 0);
    assert_refused(read(dir.path()), partition, 0);
}
