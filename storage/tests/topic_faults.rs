//! A disk that refuses, once, at every operation in turn: what was acknowledged stays, what was not may be tried again,
//! and no file is synced again whose sync has failed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode, SharedBytes, StdDisk, block_on};
use millstream_storage::error::StoreError;
use millstream_storage::topic::{BatchBuilder, Isolation, TopicConfig, TopicError, TopicReader, TopicWriter};

/// Counts what changes the disk, and lets some of these operations fail.
#[derive(Clone, Default)]
struct FaultyDisk {
    done: Rc<Cell<u64>>,
    /// From which turn on, before which other, and how.
    failing: Rc<Cell<Option<(u64, u64, i32)>>>,
    given_up: Rc<RefCell<BTreeSet<PathBuf>>>,
}

struct FaultyFile {
    file: Rc<dyn File>,
    /// As it was created: a rename does not make it another file.
    path: PathBuf,
    disk: FaultyDisk,
}

impl FaultyDisk {
    fn turn(&self) -> io::Result<()> {
        let turn = self.done.replace(self.done.get() + 1);
        match self.failing.get() {
            Some((from, until, number)) if (from..until).contains(&turn) => {
                Err(io::Error::from_raw_os_error(number))
            }
            _ => Ok(()),
        }
    }

    fn then<T: 'static>(&self, operation: impl FnOnce() -> Io<T>) -> Io<T> {
        match self.turn() {
            Ok(()) => operation(),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        let opening = match mode {
            OpenMode::Read | OpenMode::ReadDirect => StdDisk.open(path, mode),
            _ => self.then(|| StdDisk.open(path, mode)),
        };
        let (path, disk) = (path.to_owned(), self.clone());
        Box::pin(async move { Ok(Rc::new(FaultyFile { file: opening.await?, path, disk }) as Rc<dyn File>) })
    }
    fn rename(&self, from: &Path, to: &Path) -> Io<()> {
        self.then(|| StdDisk.rename(from, to))
    }
    fn remove(&self, path: &Path) -> Io<()> {
        self.then(|| StdDisk.remove(path))
    }
    fn create_dir_all(&self, path: &Path) -> Io<()> {
        self.then(|| StdDisk.create_dir_all(path))
    }
    fn sync_dir(&self, path: &Path) -> Io<()> {
        self.then(|| StdDisk.sync_dir(path))
    }
    fn list(&self, path: &Path) -> Io<Vec<DirEntry>> {
        StdDisk.list(path)
    }
    fn lock(&self, path: &Path) -> Io<Lease> {
        StdDisk.lock(path)
    }
}

impl File for FaultyFile {
    fn len(&self) -> Io<u64> {
        self.file.len()
    }
    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        self.file.read_at(offset, len)
    }
    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()> {
        let half = bytes.slice(0..bytes.len() / 2);
        match self.disk.turn() {
            Ok(()) => self.file.write_at(offset, bytes),
            Err(error) => {
                // A part of it may have got there.
                let partly = self.file.write_at(offset, half);
                Box::pin(async move { partly.await.and(Err(error)) })
            }
        }
    }
    fn sync(&self) -> Io<()> {
        assert!(!self.disk.given_up.borrow().contains(&self.path), "{} is synced again", self.path.display());
        if self.disk.turn().is_err() {
            self.disk.given_up.borrow_mut().insert(self.path.clone());
            return Box::pin(std::future::ready(Err(io::Error::from_raw_os_error(5))));
        }
        self.file.sync()
    }
}

fn batch(values: &[String]) -> millstream_storage::topic::Batch {
    let mut batch = BatchBuilder::new();
    values.iter().for_each(|value| batch.push(7, None, value.as_bytes(), &[]));
    batch.finish()
}

/// What two rounds of appends and transactions acknowledged.
async fn work(disk: &FaultyDisk, dir: &Path, acknowledged: &mut Vec<String>) -> Result<(), TopicError> {
    let config = TopicConfig::new(9).partitions(1).segment_bytes(300);
    let mut writer = TopicWriter::open_or_create(Rc::new(disk.clone()), dir, config).await?;
    let producer = writer.fence("p", 1)?;
    for round in 0..4 {
        let (plain, kept, lost) =
            (format!("plain {round}"), format!("kept {round}"), format!("lost {round}"));
        writer.append(0, batch(std::slice::from_ref(&plain)))?;
        let (keep, lose) = (writer.begin(&producer)?, writer.begin(&producer)?);
        writer.append_in(keep, 0, batch(std::slice::from_ref(&kept)))?;
        writer.append_in(lose, 0, batch(&[lost]))?;
        writer.prepare(keep, round)?;
        let mut flushed = writer.flush().await;
        if flushed.is_err() {
            flushed = writer.flush().await;
        }
        flushed?;
        acknowledged.push(plain);
        writer.commit_prepared("p", round)?;
        writer.abort(lose)?;
        writer.flush().await?;
        acknowledged.push(kept);
    }
    writer.close().await
}

async fn read(dir: &Path) -> Result<Vec<String>, TopicError> {
    let mut reader = TopicReader::open(Rc::new(StdDisk), dir, Isolation::Committed).await?;
    let (mut cursor, mut seen) = (reader.seek(0, 0).await?, Vec::new());
    while let Some(records) = reader.next(&mut cursor).await? {
        seen.extend(records.iter().map(|record| String::from_utf8_lossy(record.value).into_owned()));
    }
    Ok(seen)
}

/// Opens again, commits what was prepared, and compares.
async fn verify(dir: &Path, acknowledged: &[String]) {
    let config = TopicConfig::new(9).partitions(1).segment_bytes(300);
    let mut writer =
        TopicWriter::open_or_create(Rc::new(StdDisk), dir, config).await.expect("nothing is damaged");
    for (id, _) in writer.prepared("p") {
        writer.commit_prepared("p", id).expect("it is prepared");
    }
    writer.close().await.expect("the disk works");
    let seen = read(dir).await.expect("nothing is damaged");
    for value in acknowledged {
        assert_eq!(seen.iter().filter(|there| *there == value).count(), 1, "{value:?} among {seen:?}");
    }
    assert!(seen.iter().all(|value| !value.starts_with("lost")), "{seen:?}");
}

#[test]
fn nothing_acknowledged_is_lost_by_an_operation_that_fails() {
    let operations = {
        let (dir, disk) = (tempfile::tempdir().expect("a temporary directory"), FaultyDisk::default());
        block_on(work(&disk, dir.path(), &mut Vec::new())).expect("nothing fails");
        disk.done.get()
    };
    assert!(operations > 50, "{operations} operations");
    for at in 0..operations {
        for number in [28, 5] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let disk = FaultyDisk::default();
            disk.failing.set(Some((at, at + 1, number)));
            let mut acknowledged = Vec::new();
            match block_on(work(&disk, dir.path(), &mut acknowledged)) {
                Ok(()) | Err(TopicError::Store(StoreError::Io { .. })) => {}
                Err(other) => panic!("a fault is no {other}"),
            }
            block_on(verify(dir.path(), &acknowledged));
        }
    }
}

#[test]
fn a_full_disk_is_waited_out_by_flushing_again() {
    let (dir, disk) = (tempfile::tempdir().expect("a temporary directory"), FaultyDisk::default());
    let opened = TopicWriter::open_or_create(Rc::new(disk.clone()), dir.path(), TopicConfig::new(1));
    let mut writer = block_on(opened).expect("the disk works");
    writer.append(0, batch(&["one".to_owned()])).expect("it fits");
    block_on(writer.flush()).expect("the disk works");
    writer.append(0, batch(&["two".to_owned()])).expect("it fits");
    disk.failing.set(Some((disk.done.get(), disk.done.get() + 1, 28)));
    assert!(block_on(writer.flush()).is_err(), "the disk is full");
    writer.append(0, batch(&["three".to_owned()])).expect("it fits");
    block_on(writer.flush()).expect("there is space again");
    assert_eq!(block_on(read(dir.path())).expect("nothing is damaged"), ["one", "two", "three"]);
    let files = std::fs::read_dir(dir.path().join("partition-00000")).expect("a partition").count();
    assert_eq!(files, 1, "the same file was continued");
}

#[test]
fn a_writer_that_cannot_tell_what_is_durable_does_not_close_in_silence() {
    let (dir, disk) = (tempfile::tempdir().expect("a temporary directory"), FaultyDisk::default());
    let opened = TopicWriter::open_or_create(Rc::new(disk.clone()), dir.path(), TopicConfig::new(1));
    let mut writer = block_on(opened).expect("the disk works");
    writer.append(0, batch(&["one".to_owned()])).expect("it fits");
    block_on(writer.flush()).expect("the disk works");
    writer.append(0, batch(&["two".to_owned()])).expect("it fits");
    // The marks behind the group and its sync: that does not touch what was acknowledged.
    disk.failing.set(Some((disk.done.get() + 2, u64::MAX, 28)));
    block_on(writer.flush()).expect("it is durable");
    assert_eq!(block_on(read(dir.path())).expect("nothing is damaged"), ["one"]);
    let closed = block_on(writer.close());
    assert!(matches!(closed, Err(TopicError::Store(StoreError::Io { .. }))), "{closed:?}");
    block_on(verify(dir.path(), &["one".to_owned(), "two".to_owned()]));
}

#[test]
fn a_writer_that_could_not_tell_what_is_durable_is_not_clean() {
    let (dir, disk) = (tempfile::tempdir().expect("a temporary directory"), FaultyDisk::default());
    let opened = TopicWriter::open_or_create(Rc::new(disk.clone()), dir.path(), TopicConfig::new(1));
    let mut writer = block_on(opened).expect("the disk works");
    writer.append(0, batch(&["one".to_owned()])).expect("it fits");
    block_on(writer.flush()).expect("the disk works");
    assert!(writer.is_clean());
    writer.append(0, batch(&["two".to_owned()])).expect("it fits");
    // The mark behind the group and its sync.
    disk.failing.set(Some((disk.done.get() + 2, disk.done.get() + 3, 28)));
    block_on(writer.flush()).expect("it is durable");
    assert_eq!(block_on(read(dir.path())).expect("nothing is damaged"), ["one"]);
    assert!(!writer.is_clean(), "its owner is to flush again");
    block_on(writer.flush()).expect("there is space again");
    assert!(writer.is_clean());
    assert_eq!(block_on(read(dir.path())).expect("nothing is damaged"), ["one", "two"]);
}
