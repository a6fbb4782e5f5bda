//! When a reader lists a directory, and that it is not listed in one moment: what is made meanwhile may be left out,
//! though newer files are shown.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode, StdDisk, block_on};
use millstream_storage::topic::{BatchBuilder, Isolation, TopicConfig, TopicReader, TopicWriter};
use tempfile::TempDir;

/// Leaves files out of the next listings of the partition: of each the next one in turn, if it has it. Counts all
/// listings.
#[derive(Clone, Default)]
struct RacingDisk {
    hidden: Rc<RefCell<VecDeque<Option<String>>>>,
    listings: Rc<Cell<u64>>,
}

impl Disk for RacingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        StdDisk.open(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> Io<()> {
        StdDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> Io<()> {
        StdDisk.remove(path)
    }
    fn create_dir_all(&self, path: &Path) -> Io<()> {
        StdDisk.create_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> Io<()> {
        StdDisk.sync_dir(path)
    }
    fn list(&self, path: &Path) -> Io<Vec<DirEntry>> {
        self.listings.set(self.listings.get() + 1);
        let is_partition = path.ends_with("partition-00000");
        let hidden = if is_partition { self.hidden.borrow_mut().pop_front().flatten() } else { None };
        let listed = StdDisk.list(path);
        Box::pin(async move {
            let mut entries = listed.await?;
            entries.retain(|entry| Some(&entry.name) != hidden.as_ref());
            Ok(entries)
        })
    }
    fn lock(&self, path: &Path) -> Io<Lease> {
        StdDisk.lock(path)
    }
}

/// Two records; so much has each segment of a byte.
fn push(writer: &mut TopicWriter) {
    let mut batch = BatchBuilder::new();
    batch.push(0, None, b"one", &[]);
    batch.push(0, None, b"two", &[]);
    writer.append(0, batch.finish()).expect("it fits");
    block_on(writer.flush()).expect("the disk works");
}

async fn topic(segment_bytes: u64) -> (TempDir, TopicWriter, RacingDisk, TopicReader) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = TopicConfig::new(5).partitions(1).segment_bytes(segment_bytes);
    let opened = TopicWriter::open_or_create(Rc::new(StdDisk), dir.path(), config).await;
    let mut writer = opened.expect("the disk works");
    push(&mut writer);
    let disk = RacingDisk::default();
    let reader =
        TopicReader::open(Rc::new(disk.clone()), dir.path(), Isolation::Committed).await.expect("a topic");
    (dir, writer, disk, reader)
}

/// One of the segments of two records each: the second has the offsets 2 and 3.
fn segment(number: u64) -> Option<String> {
    Some(format!("{:020}-{number:010}.segment", 2 * (number - 1)))
}

#[test]
fn a_cursor_goes_on_into_a_segment_that_a_listing_left_out() {
    block_on(async {
        let (_dir, mut writer, disk, mut reader) = topic(1).await;
        let mut cursor = reader.seek(0, 2).await.expect("the end");
        assert!(reader.next(&mut cursor).await.expect("nothing is damaged").is_none());
        push(&mut writer);
        push(&mut writer);
        disk.hidden.replace([segment(2)].into());
        let records = reader.next(&mut cursor).await.expect("nothing is damaged").expect("it is durable");
        assert_eq!((records.offset(), disk.hidden.take().len()), (2, 0));
    });
}

#[test]
fn an_offset_is_found_in_a_segment_that_a_listing_left_out() {
    block_on(async {
        let (_dir, mut writer, disk, mut reader) = topic(1).await;
        push(&mut writer);
        push(&mut writer);
        disk.hidden.replace([segment(2)].into());
        let mut cursor = reader.seek(0, 3).await.expect("it is there");
        let records = reader.next(&mut cursor).await.expect("nothing is damaged").expect("it is durable");
        assert_eq!((records.offset(), disk.hidden.take().len()), (3, 0));
    });
}

#[test]
fn what_is_appended_to_a_segment_is_read_without_listing() {
    block_on(async {
        let (_dir, mut writer, disk, mut reader) = topic(1 << 20).await;
        let mut cursor = reader.seek(0, 2).await.expect("the end");
        assert!(reader.next(&mut cursor).await.expect("nothing is damaged").is_none());
        let before = disk.listings.get();
        for offset in [2, 4, 6] {
            push(&mut writer);
            let records = reader.next(&mut cursor).await.expect("nothing is damaged").expect("it is durable");
            assert_eq!(records.offset(), offset);
        }
        assert_eq!(disk.listings.get(), before);
    });
}

#[test]
fn each_segment_that_a_listing_left_out_is_looked_for_once_more() {
    block_on(async {
        let (_dir, mut writer, disk, mut reader) = topic(1).await;
        let mut cursor = reader.seek(0, 2).await.expect("the end");
        // The next batch that may be seen lies behind four that are aborted.
        let producer = writer.fence("p", 1).expect("the first epoch");
        for _ in 0..4 {
            let transaction = writer.begin(&producer).expect("not fenced");
            let mut batch = BatchBuilder::new();
            batch.push(0, None, b"one", &[]);
            batch.push(0, None, b"two", &[]);
            writer.append_in(transaction, 0, batch.finish()).expect("it fits");
            writer.flush().await.expect("the disk works");
            writer.abort(transaction).expect("it is open");
        }
        push(&mut writer);
        // The second segment is not listed, then it is. Of what is listed when it is entered, the third one is not there,
        // but is when it is missed.
        disk.hidden.replace([segment(2), None, segment(3)].into());
        let records = reader.next(&mut cursor).await.expect("nothing is damaged").expect("it is durable");
        assert_eq!((records.offset(), disk.hidden.take().len()), (10, 0));
    });
}
