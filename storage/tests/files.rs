//! The files that a checkpoint names: few, and none for nothing.

use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::hash::stable_hash;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig};

fn checkpoint(store: &mut Store, dir: &std::path::Path, epoch: u64) -> StoreSnapshot {
    let part = block_on(store.seal(epoch).write(Rc::new(StdDisk), dir.to_owned())).expect("the disk works");
    store.flushed(epoch, &part);
    part
}

#[test]
fn many_small_checkpoints_name_few_files_and_restore_to_the_last() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut store = Store::new(StoreConfig::new("small", 1));
    let table = store.create_table(0, 0);
    let (mut most, mut written) = (0, 0);
    for epoch in 1..=300u64 {
        let key = (epoch % 10).to_le_bytes();
        store.put(table, stable_hash(&key), &key, &epoch.to_le_bytes()).expect("it fits");
        let part = checkpoint(&mut store, dir.path(), epoch);
        most = most.max(part.files.len());
        written += part.files.last().expect("something changed").bytes;
        store.maintain(1 << 20);
        if epoch % 50 == 0 {
            let config = StoreConfig::new("small", 1);
            store = block_on(Store::restore(Rc::new(StdDisk), dir.path(), config, &[part], |_, _| true))
                .expect("no damage");
        }
    }
    assert!(most <= 20, "a checkpoint named {most} files");
    assert!(written < 300 * 4096 * 8, "{written} bytes were written for 300 blocks of news");
    let table = store.table(0, 0).expect("it was restored");
    for key in 0..10u64 {
        let newest = if key == 0 { 300 } else { 290 + key };
        let key = key.to_le_bytes();
        assert_eq!(store.get(table, stable_hash(&key), &key), Some(&u64::to_le_bytes(newest)[..]));
    }
}

#[test]
fn a_checkpoint_without_news_writes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut store = Store::new(StoreConfig::new("quiet", 1));
    let table = store.create_table(0, 0);
    assert_eq!(checkpoint(&mut store, dir.path(), 1).files, []);
    store.put(table, stable_hash(b"key"), b"key", b"value").expect("it fits");
    let files = checkpoint(&mut store, dir.path(), 2).files;
    assert_eq!(files.len(), 1);
    assert_eq!(checkpoint(&mut store, dir.path(), 3).files, files);
}

#[test]
fn a_restored_store_writes_only_what_changes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut store = Store::new(StoreConfig::new("old", 1));
    let table = store.create_table(0, 0);
    for key in 0..10_000u64 {
        let key = key.to_le_bytes();
        store.put(table, stable_hash(&key), &key, &[1; 16]).expect("it fits");
    }
    let part = checkpoint(&mut store, dir.path(), 1);
    let config = StoreConfig::new("new", 2);
    let mut store = block_on(Store::restore(Rc::new(StdDisk), dir.path(), config, &[part], |_, _| true))
        .expect("no damage");
    let table = store.table(0, 0).expect("it was restored");
    store.put(table, stable_hash(&[0; 8]), &[0; 8], &[2; 16]).expect("it fits");
    let part = checkpoint(&mut store, dir.path(), 2);
    assert_eq!(part.files.iter().map(|file| file.store_id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(part.files[1].bytes, 4096);
}

#[test]
fn dropped_tables_leave_no_files_behind() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut store =
        Store::new(StoreConfig { segment_bytes: 16 << 10, block_bytes: 4096, ..StoreConfig::new("w", 1) });
    for epoch in 1..=20 {
        let slice = store.create_table(0, epoch);
        for key in 0..2000u64 {
            let key = key.to_le_bytes();
            store.put(slice, stable_hash(&key), &key, &[1; 16]).expect("it fits");
        }
        if let Some(closed) = store.table(0, epoch - 1) {
            store.drop_table(closed);
        }
        let files = checkpoint(&mut store, dir.path(), epoch.cast_unsigned()).files;
        assert!(files.len() <= 2, "{files:?}");
    }
}
