//! The bytes on disk and the hash of keys, pinned: what an older version wrote must stay readable.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::hash::stable_hash;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format-1");

/// A put, an update across a seal, a tombstone, a table that is dropped, a value that fills no word.
fn write_fixture(dir: &Path) {
    let mut store = Store::new(StoreConfig::new("golden", 0x0123_4567_89AB_CDEF));
    let (kept, dropped) = (store.create_table(1, -60_000), store.create_table(2, 0));
    let put = |store: &mut Store, table, key: &[u8], value: &[u8]| {
        store.put(table, stable_hash(key), key, value).expect("it fits");
    };
    put(&mut store, kept, b"JFK", &7u64.to_le_bytes());
    put(&mut store, kept, b"LAX", b"13 bytes long");
    put(&mut store, dropped, b"SFO", b"");
    store.meta_mut().insert("watermark".into(), "1700000000000".into());
    finish(&mut store, dir, 8);
    put(&mut store, kept, b"JFK", &8u64.to_le_bytes());
    assert!(store.remove(kept, stable_hash(b"LAX"), b"LAX"));
    store.drop_table(dropped);
    finish(&mut store, dir, 9);
}

fn finish(store: &mut Store, dir: &Path, epoch: u64) {
    let part = block_on(store.seal(epoch).write(Rc::new(StdDisk), dir.to_owned())).expect("the disk works");
    store.flushed(epoch, &part);
    let json = serde_json::to_string_pretty(&part).expect("it is plain data");
    fs::write(dir.join("snapshot.json"), json + "\n").expect("it can be written");
}

#[test]
fn a_checkpoint_is_written_byte_by_byte_as_it_always_was() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write_fixture(dir.path());
    let files = ["golden-0000000008.log", "golden-0000000009.log", "snapshot.json"];
    for name in files {
        let (is, was) = (fs::read(dir.path().join(name)), fs::read(Path::new(FIXTURE).join(name)));
        assert!(is.expect("just written") == was.expect("a fixture"), "{name} changed: that is a new format");
    }
}

#[test]
fn an_old_checkpoint_is_read() {
    let json = fs::read_to_string(Path::new(FIXTURE).join("snapshot.json")).expect("a fixture");
    let part: StoreSnapshot = serde_json::from_str(&json).expect("a snapshot");
    let config = StoreConfig::new("new", 1);
    let store = block_on(Store::restore(Rc::new(StdDisk), Path::new(FIXTURE), config, &[part], |_, _| true));
    let store = store.expect("fixtures are not damaged");
    let table = store.table(1, -60_000).expect("it was alive");
    assert_eq!(store.get(table, stable_hash(b"JFK"), b"JFK"), Some(&8u64.to_le_bytes()[..]));
    assert_eq!((store.len(table), store.table(2, 0)), (1, None));
    assert_eq!(store.meta()["watermark"], "1700000000000");
}

#[test]
fn the_hash_of_keys_never_changes() {
    let pinned: [(&[u8], u64); 6] = [
        (b"", 0x2D06_8005_38D3_94C2),
        (b"JFK", 0x285B_4886_4138_9EEF),
        (&[0; 8], 0xC77B_3ABB_6F87_ACD9),
        (&1u64.to_le_bytes(), 0x2FBC_5935_64DB_792E),
        (b"a key of seventeen", 0x583B_36A1_2252_E62B),
        (&[0x5A; 300], 0x6154_9840_12EB_9123),
    ];
    for (key, hash) in pinned {
        assert_eq!(stable_hash(key), hash, "the hash of {key:?} is {:#018x}", stable_hash(key));
    }
}
