//! A checkpoint with any byte changed is refused, by the name of the file and the place in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{SECTOR, StdDisk, block_on};
use millstream_storage::error::{Damage, StoreError};
use millstream_storage::hash::stable_hash;
use millstream_storage::manifest::{read_verified, write_atomically};
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig};
use tempfile::TempDir;

/// Two epochs of a small store, each a file of several blocks of equal length.
fn checkpoint() -> (TempDir, StoreSnapshot) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut store = Store::new(config());
    let table = store.create_table(1, -5);
    let mut last = None;
    for epoch in 1..=2u64 {
        for key in 0..500 {
            let key = (epoch * 1000 + key).to_le_bytes();
            store.put(table, stable_hash(&key), &key, &[epoch as u8; 16]).expect("it fits");
        }
        let part = block_on(store.seal(epoch).write(Rc::new(StdDisk), dir.path().to_owned()));
        let part = part.expect("the disk works");
        store.flushed(epoch, &part);
        last = Some(part);
    }
    (dir, last.expect("two epochs were written"))
}

fn config() -> StoreConfig {
    StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("step", 42) }
}

fn restore(dir: &Path, part: &StoreSnapshot) -> Result<Store, StoreError> {
    block_on(Store::restore(Rc::new(StdDisk), dir, config(), std::slice::from_ref(part), |_, _| true))
}

/// What a restore says is damaged: the file, the place, and how.
fn refusal(dir: &Path, part: &StoreSnapshot) -> (PathBuf, u64, Damage) {
    match restore(dir, part).map(|_| ()) {
        Err(StoreError::Damaged { path, offset, damage }) => (path, offset, damage),
        other => panic!("damage must be refused as such, not {other:?}"),
    }
}

#[test]
fn an_undamaged_checkpoint_is_restored() {
    let (dir, part) = checkpoint();
    let store = restore(dir.path(), &part).expect("nothing is damaged");
    assert_eq!(store.len(store.table(1, -5).expect("it was listed")), 1000);
}

#[test]
fn every_flipped_bit_is_found_in_its_block() {
    let (dir, part) = checkpoint();
    let path = dir.path().join(&part.files[0].name);
    let good = fs::read(&path).expect("it was written");
    // Every byte of a header, then records and padding of several blocks.
    let places = (0..64).chain((64..good.len()).step_by(397)).chain([good.len() - 1]);
    for place in places {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        fs::write(&path, &bad).expect("it can be written");
        let (file, offset, _) = refusal(dir.path(), &part);
        assert_eq!(file, path);
        assert_eq!(offset as usize, place / SECTOR * SECTOR, "byte {place} lies in another block");
    }
}

#[test]
fn a_shorter_or_longer_file_is_refused() {
    let (dir, part) = checkpoint();
    let path = dir.path().join(&part.files[1].name);
    let good = fs::read(&path).expect("it was written");
    for cut in [0, 1, SECTOR, good.len() - 1] {
        fs::write(&path, &good[..cut]).expect("it can be written");
        let expected = Damage::Truncated { found: cut as u64, expected: good.len() as u64 };
        assert_eq!(refusal(dir.path(), &part), (path.clone(), cut as u64, expected));
    }
    fs::write(&path, [&good[..], &[0]].concat()).expect("it can be written");
    assert!(matches!(refusal(dir.path(), &part).2, Damage::TrailingBytes { .. }));
}

#[test]
fn a_file_that_ends_inside_a_header_is_refused_even_if_the_manifest_says_so() {
    let (dir, mut part) = checkpoint();
    let path = dir.path().join(&part.files[1].name);
    let mut bytes = fs::read(&path).expect("it was written");
    let whole = bytes.len() as u64;
    bytes.extend([0; 10]);
    fs::write(&path, &bytes).expect("it can be written");
    part.files[1].bytes += 10;
    let (file, offset, damage) = refusal(dir.path(), &part);
    assert_eq!((file, offset), (path, whole));
    assert!(matches!(damage, Damage::Malformed(_)), "{damage:?}");
}

#[test]
fn swapped_files_are_refused() {
    let (dir, part) = checkpoint();
    let [one, two] = [0, 1].map(|file| dir.path().join(&part.files[file].name));
    let (a, b) = (fs::read(&one).expect("written"), fs::read(&two).expect("written"));
    assert_eq!(a.len(), b.len());
    fs::write(&one, b).expect("it can be written");
    fs::write(&two, a).expect("it can be written");
    let expected = Damage::Misplaced { field: "epoch", found: 2, expected: 1 };
    assert_eq!(refusal(dir.path(), &part), (one, 0, expected));
}

#[test]
fn swapped_blocks_are_refused() {
    let (dir, part) = checkpoint();
    let path = dir.path().join(&part.files[0].name);
    let good = fs::read(&path).expect("it was written");
    let mut bad = good.clone();
    bad[SECTOR..2 * SECTOR].copy_from_slice(&good[2 * SECTOR..3 * SECTOR]);
    bad[2 * SECTOR..3 * SECTOR].copy_from_slice(&good[SECTOR..2 * SECTOR]);
    fs::write(&path, &bad).expect("it can be written");
    let expected = Damage::Misplaced { field: "offset in the file", found: 8192, expected: 4096 };
    assert_eq!(refusal(dir.path(), &part), (path, 4096, expected));
}

#[test]
fn another_stores_file_is_refused() {
    let (dir, mut part) = checkpoint();
    part.files[1].store_id = 43;
    let expected = Damage::Misplaced { field: "store id", found: 42, expected: 43 };
    assert_eq!(refusal(dir.path(), &part), (dir.path().join(&part.files[1].name), 0, expected));
}

#[test]
fn a_missing_file_is_named() {
    let (dir, part) = checkpoint();
    let path = dir.path().join(&part.files[1].name);
    fs::remove_file(&path).expect("it was written");
    let message = restore(dir.path(), &part).map(|_| ()).expect_err("it is missing").to_string();
    assert!(message.contains(path.to_str().expect("plain names")), "{message}");
}

#[test]
fn a_snapshot_of_another_format_or_with_foreign_paths_is_refused() {
    let (dir, part) = checkpoint();
    let refused = |part: StoreSnapshot| match restore(dir.path(), &part).map(|_| ()) {
        Err(StoreError::Refused { reason, .. }) => reason,
        other => panic!("it must be refused, not {other:?}"),
    };
    assert!(refused(StoreSnapshot { format: 2, ..part.clone() }).contains("format 2"));
    let mut foreign = part.clone();
    foreign.files[0].name = "../step-0000000001.log".into();
    assert!(refused(foreign).contains("not the name of a file"));
    let mut unordered = part;
    unordered.files.reverse();
    assert!(refused(unordered).contains("out of order"));
}

#[test]
fn a_manifest_with_any_byte_changed_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("manifest");
    for contents in ["the first one", "the one that replaces it"] {
        block_on(write_atomically(&StdDisk, dir.path(), "manifest", contents.as_bytes()))
            .expect("the disk works");
        assert_eq!(block_on(read_verified(&StdDisk, &path)).expect("it is whole"), contents.as_bytes());
    }
    assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 1, "the temporary file is gone");
    let good = fs::read(&path).expect("it was written");
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 0x10;
        fs::write(&path, &bad).expect("it can be written");
        assert!(block_on(read_verified(&StdDisk, &path)).is_err(), "byte {place} went unnoticed");
        fs::write(&path, &good[..place]).expect("it can be written");
        assert!(block_on(read_verified(&StdDisk, &path)).is_err(), "{place} bytes were taken for all");
    }
}
