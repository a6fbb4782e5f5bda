//! When a reader lists a directory, and that it is not listed in one moment: what is made meanwhile may be left out,
//! though newer files are shown.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode, StdDisk, block_on};
use millstream_storage::topic::{BatchBuilder, Isolation, TopicConfig, TopicReader, TopicWriter};
use tempfile::TempDir;

/// Leaves a file out of the next listing that has it, and counts listings.
#[derive(Clone, Default)]
struct RacingDisk {
    hidden: Rc<RefCell<Option<String>>>,
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
        let (listed, hidden) = (StdDisk.list(path), self.hidden.clone());
        Box::pin(async move {
            let mut entries = listed.await?;
            let is_hidden = |entry: &DirEntry| hidden.borrow().as_ref() == Some(&entry.name);
            if let Some(at) = entries.iter().position(is_hidden) {
                entries.remove(at);
                hidden.replace(None);
            }
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

/// The segment with the offsets 2 and 3.
fn second() -> Option<String> {
    Some(format!("{:020}-{:010}.segment", 2, 2))
}

#[test]
fn a_cursor_goes_on_into_a_segment_that_a_listing_left_out() {
    block_on(async {
        let (_dir, mut writer, disk, mut reader) = topic(1).await;
        let mut cursor = reader.seek(0, 2).await.expect("the end");
        assert!(reader.next(&mut cursor).await.expect("nothing is damaged").is_none());
        push(&mut writer);
        push(&mut writer);
        disk.hidden.replace(second());
        let records = reader.next(&mut cursor).await.expect("nothing is damaged").expect("it is durable");
        assert_eq!((records.offset(), disk.hidden.take()), (2, None));
    });
}

#[test]
fn an_offset_is_found_in_a_segment_that_a_listing_left_out() {
    block_on(async {
        let (_dir, mut writer, disk, mut reader) = topic(1).await;
        push(&mut writer);
        push(&mut writer);
        disk.hidden.replace(second());
        let mut cursor = reader.seek(0, 3).await.expect("it is there");
        let records = reader.next(&mut cursor).await.expect("nothing is damaged").expect("it is durable");
        assert_eq!((records.offset(), disk.hidden.take()), (3, None));
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
