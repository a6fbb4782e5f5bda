//! A disk that refuses: the checkpoint fails with the file's name, the store goes on, the next checkpoint is whole.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode, SharedBytes, StdDisk, block_on};
use millstream_storage::error::StoreError;
use millstream_storage::hash::stable_hash;
use millstream_storage::store::{Store, StoreConfig};

/// What still succeeds.
#[derive(Clone, Copy)]
enum Failing {
    WriteAfter(u32),
    Sync,
    /// Reads from this byte on.
    ReadFrom(u64),
    Nothing,
}

#[derive(Clone)]
struct FaultyDisk(Rc<Cell<Failing>>);

struct FaultyFile(Rc<dyn File>, Rc<Cell<Failing>>);

fn refuse<T: 'static>(kind: io::ErrorKind) -> Io<T> {
    Box::pin(std::future::ready(Err(kind.into())))
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        let (opening, failing) = (StdDisk.open(path, mode), self.0.clone());
        Box::pin(async move { Ok(Rc::new(FaultyFile(opening.await?, failing)) as Rc<dyn File>) })
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
        StdDisk.list(path)
    }
    fn lock(&self, path: &Path) -> Io<Lease> {
        StdDisk.lock(path)
    }
}

impl File for FaultyFile {
    fn len(&self) -> Io<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        match self.1.get() {
            Failing::ReadFrom(first) if offset >= first => refuse(io::ErrorKind::Other),
            _ => self.0.read_at(offset, len),
        }
    }
    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()> {
        match self.1.get() {
            Failing::WriteAfter(0) => refuse(io::ErrorKind::StorageFull),
            Failing::WriteAfter(left) => {
                self.1.set(Failing::WriteAfter(left - 1));
                self.0.write_at(offset, bytes)
            }
            _ => self.0.write_at(offset, bytes),
        }
    }
    fn sync(&self) -> Io<()> {
        if matches!(self.1.get(), Failing::Sync) { refuse(io::ErrorKind::Other) } else { self.0.sync() }
    }
}

#[test]
fn what_a_failed_checkpoint_did_not_write_goes_into_the_next() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = FaultyDisk(Rc::new(Cell::new(Failing::Nothing)));
    let mut store = Store::new(StoreConfig::new("step", 1));
    let table = store.create_table(0, 0);
    let faults = [Failing::WriteAfter(0), Failing::WriteAfter(3), Failing::Sync, Failing::Nothing];
    for (epoch, fault) in (1u64..).zip(faults) {
        for key in 0..60_000 * epoch {
            let key = key.to_le_bytes();
            store.put(table, stable_hash(&key), &key, &[epoch as u8; 16]).expect("it fits");
        }
        disk.0.set(fault);
        match block_on(store.seal(epoch).write(Rc::new(disk.clone()), dir.path().to_owned())) {
            Ok(part) => {
                assert!(matches!(fault, Failing::Nothing), "a fault went unnoticed");
                assert_eq!(part.files.len(), 1);
                let config = StoreConfig::new("step", 2);
                let restored =
                    block_on(Store::restore(Rc::new(StdDisk), dir.path(), config, &[part], |_, _| true));
                let restored = restored.expect("nothing is damaged");
                let table = restored.table(0, 0).expect("it was listed");
                assert_eq!(restored.len(table), 240_000);
                restored.for_each(table, |_, value| assert_eq!(value, [4; 16]));
            }
            Err(StoreError::Io { path, .. }) => {
                assert!(path.ends_with(format!("step-{epoch:010}.log")), "{path:?}");
                store.flush_failed(epoch);
            }
            Err(other) => panic!("a failed write is no {other}"),
        }
    }
}

#[test]
fn an_abandoned_write_that_ends_late_does_not_disturb_the_next_one() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut store = Store::new(StoreConfig::new("step", 1));
    let table = store.create_table(0, 0);
    store.put(table, stable_hash(b"key"), b"key", b"one").expect("it fits");
    let abandoned = store.seal(1);
    store.put(table, stable_hash(b"key"), b"key", b"two").expect("it fits");
    let part =
        block_on(store.seal(2).write(Rc::new(StdDisk), dir.path().to_owned())).expect("the disk works");
    let late = block_on(abandoned.write(Rc::new(StdDisk), dir.path().to_owned())).expect("the disk works");
    store.flushed(1, &late);
    store.flushed(2, &part);
    for (part, value) in [(late, b"one"), (part, b"two")] {
        let config = StoreConfig::new("step", 2);
        let restored = block_on(Store::restore(Rc::new(StdDisk), dir.path(), config, &[part], |_, _| true));
        let restored = restored.expect("nothing is damaged");
        let table = restored.table(0, 0).expect("it was listed");
        assert_eq!(restored.get(table, stable_hash(b"key"), b"key"), Some(&value[..]));
    }
}

#[test]
fn what_could_not_be_written_ahead_is_in_the_next_checkpoint_whatever_write_failed() {
    let faults = (0..12).map(Failing::WriteAfter).chain([Failing::Sync]);
    for fault in faults {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let disk = FaultyDisk(Rc::new(Cell::new(Failing::Nothing)));
        let small = StoreConfig { segment_bytes: 64 << 10, block_bytes: 4096, ..StoreConfig::new("step", 1) };
        let mut store = Store::new(StoreConfig { budget: Some(2 << 20), ..small.clone() });
        let table = store.create_table(0, 0);
        for key in 0..15_000u64 {
            let key = key.to_le_bytes();
            store.put(table, stable_hash(&key), &key, &[5; 100]).expect("it fits");
        }
        // Twice: the second file holds what the first did not, from a copy.
        for fault in [fault, Failing::Nothing, fault] {
            disk.0.set(fault);
            let Some(spill) = store.spill() else { continue };
            let written = block_on(spill.write(Rc::new(disk.clone()), dir.path().to_owned()));
            assert!(written.is_ok() || store.failed_spills() > 0);
        }
        disk.0.set(Failing::Nothing);
        let part = block_on(store.seal(1).write(Rc::new(disk.clone()), dir.path().to_owned()));
        let part = part.expect("nothing fails any more");
        store.flushed(1, &part);
        let restored = block_on(Store::restore(Rc::new(StdDisk), dir.path(), small, &[part], |_, _| true));
        let restored = restored.expect("nothing is damaged");
        assert_eq!(restored.len(restored.table(0, 0).expect("it was listed")), 15_000);
    }
}

#[test]
fn a_checkpoint_writes_what_was_being_written_ahead_when_that_fails() {
    for fails in [true, false] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let small = StoreConfig { segment_bytes: 64 << 10, block_bytes: 4096, ..StoreConfig::new("step", 1) };
        let mut store = Store::new(StoreConfig { budget: Some(2 << 20), ..small.clone() });
        let table = store.create_table(0, 0);
        for key in 0..15_000u64 {
            let key = key.to_le_bytes();
            store.put(table, stable_hash(&key), &key, &[5; 100]).expect("it fits");
        }
        let spill = store.spill().expect("there is more than may stay mutable");
        let sealed = store.seal(1);
        for key in 0..15_000u64 {
            let key = key.to_le_bytes();
            assert!(store.remove(table, stable_hash(&key), &key));
        }
        if fails {
            drop(spill);
        } else {
            block_on(spill.write(Rc::new(StdDisk), dir.path().to_owned())).expect("the disk works");
        }
        let part = block_on(sealed.write(Rc::new(StdDisk), dir.path().to_owned())).expect("the disk works");
        assert_eq!(part.files.len(), if fails { 1 } else { 2 });
        store.flushed(1, &part);
        let next = block_on(store.seal(2).write(Rc::new(StdDisk), dir.path().to_owned())).expect("it works");
        for (part, keys) in [(part, 15_000), (next, 0)] {
            let restored =
                block_on(Store::restore(Rc::new(StdDisk), dir.path(), small.clone(), &[part], |_, _| true));
            let restored = restored.expect("nothing is damaged");
            assert_eq!(restored.len(restored.table(0, 0).expect("it was listed")), keys);
        }
    }
}

#[test]
fn an_index_that_cannot_be_read_is_not_taken_for_a_damaged_one() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = FaultyDisk(Rc::new(Cell::new(Failing::Nothing)));
    let small = StoreConfig { segment_bytes: 32 << 10, block_bytes: 4 << 10, ..StoreConfig::new("store", 1) };
    let mut store = Store::new(StoreConfig { budget: Some(16 << 20), ..small.clone() });
    let table = store.create_table(0, 0);
    for n in 0..4_000_u32 {
        store.put(table, stable_hash(&n.to_le_bytes()), &n.to_le_bytes(), &[7; 500]).expect("it fits");
    }
    let part = block_on(store.seal(1).write(Rc::new(disk.clone()), dir.path().to_owned()));
    let part = part.expect("nothing fails yet");
    let config = StoreConfig { budget: Some(512 << 10), after_epoch: Some(1), ..small };
    let restore = || block_on(Store::restore_whole(Rc::new(disk.clone()), dir.path(), config.clone(), &part));
    assert!(restore().expect("nothing fails yet").leaves_unread());
    disk.0.set(Failing::ReadFrom(part.files[0].bytes));
    match restore() {
        Err(StoreError::Io { action: "read", path, .. }) => {
            assert_eq!(path, dir.path().join(&part.files[0].name));
        }
        other => panic!("the disk has failed, not {:?}", other.map(|store| store.stats())),
    }
}
