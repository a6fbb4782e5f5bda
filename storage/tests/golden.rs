//! The bytes on disk and the hash of keys, pinned: what an older version wrote must stay readable.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use millstream_storage::collection::{Owner, list, map, timeline};
use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::expiry::{Life, UNTIL};
use millstream_storage::hash::stable_hash;
use millstream_storage::read::Reader;
use millstream_storage::snapshot::{Layout, StoreSnapshot};
use millstream_storage::store::{Store, StoreConfig, TableId};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
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

fn finish(store: &mut Store, dir: &Path, epoch: u64) -> StoreSnapshot {
    let part = block_on(store.seal(epoch).write(Rc::new(StdDisk), dir.to_owned())).expect("the disk works");
    store.flushed(epoch, &part);
    let json = serde_json::to_string_pretty(&part).expect("it is plain data");
    fs::write(dir.join("snapshot.json"), json + "\n").expect("it can be written");
    part
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

/// More than memory holds: files that are written ahead between two checkpoints, and named by the second.
fn write_ahead(dir: &Path) -> StoreSnapshot {
    let small =
        StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("golden", 0xA4EAD) };
    let mut store = Store::new(StoreConfig { budget: Some(96 << 10), ..small });
    let table = store.create_table(1, 0);
    let put = |store: &mut Store, n: u64| {
        let (key, value) = (n.to_le_bytes(), [n as u8; 1000]);
        store.put(table, stable_hash(&key), &key, &value).expect("it fits");
    };
    put(&mut store, 0);
    finish(&mut store, dir, 8);
    for n in 1..=AHEAD {
        put(&mut store, n);
        while store.maintain(64 << 10) > 0 || !store.has_room() {
            if let Some(spill) = store.spill() {
                block_on(spill.write(Rc::new(StdDisk), dir.to_owned())).expect("the disk works");
            }
        }
    }
    finish(&mut store, dir, 9)
}

/// Keys after the first checkpoint.
const AHEAD: u64 = 70;

/// A table of each kind of collection, some of them larger than their heads, and values that expire.
fn write_collections(dir: &Path) -> StoreSnapshot {
    let mut store = Store::new(StoreConfig::new("golden", 0xC0_11EC));
    let life = Some(Life { now: 0, until: 1_700_000_000_000 });
    let layouts = [(true, false), (true, true), (true, false), (true, true), (true, false), (false, true)];
    let make = |(state, (parts, expires))| store.create_table_of(state, 0, Layout { parts, expires });
    let tables: Vec<TableId> = (0..).zip(layouts).map(make).collect();
    let owner = |state: usize, key: &[u8]| Owner::new(tables[state], key);
    for (key, entries) in [(&b"few"[..], 2), (b"many", 80)] {
        for n in 0..entries {
            let value = format!("value {n}");
            let fits = "it fits";
            list::push(&mut store, &owner(0, key), value.as_bytes(), None).expect(fits);
            list::push(&mut store, &owner(1, key), value.as_bytes(), life).expect(fits);
            map::put(&mut store, &owner(2, key), &[n as u8], value.as_bytes(), None).expect(fits);
            map::put(&mut store, &owner(3, key), &[n as u8], value.as_bytes(), life).expect(fits);
            timeline::insert(&mut store, &owner(4, key), 40 - n, value.as_bytes()).expect(fits);
        }
    }
    let value = [&1_700_000_000_000_i64.to_le_bytes()[..], b"token"].concat();
    store.put(tables[5], stable_hash(b"JFK"), b"JFK", &value).expect("it fits");
    finish(&mut store, dir, 8)
}

/// Two files with an index: puts, and then an update, removals and a second table. Memory is limited, and holds it all.
fn write_indexed(dir: &Path) -> StoreSnapshot {
    let small =
        StoreConfig { segment_bytes: 64 << 10, block_bytes: 4 << 10, ..StoreConfig::new("golden", 0x1DE8) };
    let mut store = Store::new(StoreConfig { budget: Some(1 << 20), ..small });
    let table = store.create_table(1, 0);
    let put = |store: &mut Store, table, n: u64, value: u8| {
        let key = n.to_le_bytes();
        store.put(table, stable_hash(&key), &key, &[value; 700]).expect("it fits");
    };
    (0..60).for_each(|n| put(&mut store, table, n, 1));
    finish(&mut store, dir, 8);
    let other = store.create_table(2, -5);
    (50..100).for_each(|n| put(&mut store, table, n, 2));
    (0..20).for_each(|n| put(&mut store, other, n, 3));
    for n in 0..10_u64 {
        assert!(store.remove(table, stable_hash(&n.to_le_bytes()), &n.to_le_bytes()));
    }
    finish(&mut store, dir, 9)
}

/// What must be in the store that [`write_indexed`] has left: of two tables, by key and the byte that fills the value.
fn indexed() -> [Vec<(u64, u8)>; 2] {
    [(10..50).map(|n| (n, 1)).chain((50..100).map(|n| (n, 2))).collect(), (0..20).map(|n| (n, 3)).collect()]
}

#[test]
fn a_file_with_an_index_is_written_byte_by_byte_as_it_always_was() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write_indexed(dir.path());
    for name in ["golden-0000000008.log", "golden-0000000009.log", "snapshot.json"] {
        let was = fs::read(Path::new(FIXTURES).join("indexed-1").join(name)).expect("a fixture");
        let is = fs::read(dir.path().join(name)).expect("just written");
        assert!(is == was, "{name} changed: that is a new format");
    }
}

#[test]
fn old_files_with_an_index_are_read_by_it_and_without_it() {
    let dir = Path::new(FIXTURES).join("indexed-1");
    let json = fs::read_to_string(dir.join("snapshot.json")).expect("a fixture");
    let part: StoreSnapshot = serde_json::from_str(&json).expect("a snapshot");
    assert!(part.files.iter().all(|file| file.index.is_some()), "{:?}", part.files);
    let small = StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("new", 1) };
    for (budget, lazy) in [(None, false), (Some(128 << 10), true)] {
        let config = StoreConfig { budget, ..small.clone() };
        let restored = block_on(Store::restore_whole(Rc::new(StdDisk), &dir, config, &part));
        let mut store = restored.expect("fixtures are not damaged");
        assert_eq!((store.leaves_unread(), store.stats().damaged_indexes), (lazy, 0));
        let reader = Reader::new(Rc::new(StdDisk), dir.clone());
        for (expected, (state, namespace)) in indexed().iter().zip([(1, 0), (2, -5)]) {
            let table = store.table(state, namespace).expect("it was alive");
            let mut found = Vec::new();
            let visit = |key: &[u8], value: &[u8]| {
                assert!(value.len() == 700 && value.iter().all(|byte| *byte == value[0]));
                found.push((u64::from_le_bytes(key.try_into().expect("eight bytes")), value[0]));
            };
            block_on(store.visit_all(&reader, table, visit)).expect("fixtures are not damaged");
            found.sort_unstable();
            assert_eq!(found, *expected);
        }
    }
}

fn restore(fixture: &str) -> Store {
    let dir = Path::new(FIXTURES).join(fixture);
    let json = fs::read_to_string(dir.join("snapshot.json")).expect("a fixture");
    let part: StoreSnapshot = serde_json::from_str(&json).expect("a snapshot");
    let restored =
        block_on(Store::restore(Rc::new(StdDisk), &dir, StoreConfig::new("new", 1), &[part], |_, _| true));
    restored.expect("fixtures are not damaged")
}

/// Where a store writes ahead, and how much, may change; what the blocks say of themselves may not.
#[test]
fn files_written_ahead_say_in_each_block_which_they_are() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let part = write_ahead(dir.path());
    let ahead: Vec<_> = part.files.iter().filter(|file| file.part > 0).collect();
    assert!(ahead.len() >= 2, "{:?}", part.files);
    for file in ahead {
        assert_eq!(file.name, format!("golden-s{:04}-{:010}.log", file.part, file.epoch));
        let bytes = fs::read(dir.path().join(&file.name)).expect("it was written");
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let (mut at, mut blocks) = (0, 0);
        while at < bytes.len() {
            assert_eq!(bytes[at..at + 8], *b"MSlog\0\x001");
            let place = [word(at + 24), word(at + 32), word(at + 40), word(at + 48)];
            assert_eq!(place, [0xA4EAD, 8, at as u64, u64::from(file.part)]);
            let (len, index) = (word(at + 8) >> 32, word(at + 16) >> 32);
            assert_eq!(index, blocks);
            at += len as usize;
            blocks += 1;
        }
        assert_eq!((at as u64, blocks), (file.bytes, u64::from(file.blocks)));
    }
}

#[test]
fn old_files_that_were_written_ahead_are_read() {
    let store = restore("ahead-1");
    let table = store.table(1, 0).expect("it was alive");
    assert_eq!(store.len(table) as u64, AHEAD + 1);
    for n in 0..=AHEAD {
        let key = n.to_le_bytes();
        assert_eq!(store.get(table, stable_hash(&key), &key), Some(&[n as u8; 1000][..]), "{n}");
    }
}

#[test]
fn old_collections_are_read() {
    let store = restore("collections-1");
    let life = Some(Life { now: 1_699_999_999_999, until: 0 });
    for (key, entries) in [(&b"few"[..], 2), (b"many", 80)] {
        let owner = |state: u32| Owner::new(store.table(state, 0).expect("it was alive"), key);
        let values: Vec<String> = (0..entries).map(|n| format!("value {n}")).collect();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        assert!(list::iter(&store, &owner(0), None).map(|(value, _)| text(value)).eq(values.iter().cloned()));
        assert!(list::iter(&store, &owner(1), life).map(|(value, _)| text(value)).eq(values.iter().cloned()));
        for (state, life) in [(2, None), (3, life)] {
            let value = |n: usize| map::get(&store, &owner(state), &[n as u8], life).map(text);
            assert!((0..entries).all(|n| value(n).as_ref() == Some(&values[n])));
        }
        let times = timeline::range(&store, &owner(4), i64::MIN, i64::MAX).map(|entry| text(entry.value));
        assert!(times.eq(values.iter().rev().cloned()));
    }
    let token = store.table(5, 0).and_then(|table| store.get(table, stable_hash(b"JFK"), b"JFK"));
    let (until, rest) = token.expect("it was put").split_at(UNTIL);
    assert_eq!((until, rest), (&1_700_000_000_000_i64.to_le_bytes()[..], &b"token"[..]));
}

#[test]
#[ignore = "writes the fixtures of this version, where there are none"]
fn write_the_fixtures() {
    type Write = fn(&Path) -> StoreSnapshot;
    let fixtures: [(&str, Write); 3] =
        [("ahead-1", write_ahead), ("collections-1", write_collections), ("indexed-1", write_indexed)];
    for (name, write) in fixtures {
        let dir = Path::new(FIXTURES).join(name);
        if dir.exists() {
            eprintln!("{name} is never written again");
            continue;
        }
        fs::create_dir(&dir).expect("a directory");
        write(&dir);
    }
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
