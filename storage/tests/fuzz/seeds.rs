//! Valid files, to begin with.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use millstream_storage::collection::{Owner, list, map, timeline};
use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::expiry::Life;
use millstream_storage::hash::stable_hash;
use millstream_storage::manifest::write_atomically;
use millstream_storage::snapshot::Layout;
use millstream_storage::store::{Store, StoreConfig};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// Target, name and input.
type Seed = (&'static str, String, Vec<u8>);

/// All of them.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let dir = tempfile::tempdir().expect("a temporary directory");
    block_on(write_atomically(&StdDisk, dir.path(), "manifest", b"{\"format\":1}")).expect("the disk works");
    let read = |path: &Path| fs::read(path).expect("a file");
    seeds.push(("manifest", "whole".to_owned(), read(&dir.path().join("manifest"))));
    seeds.push(("manifest", "contents".to_owned(), b"{}".to_vec()));
    seeds.push(("snapshot", "fixture".to_owned(), read(&Path::new(FIXTURES).join("format-1/snapshot.json"))));
    seeds.push((
        "snapshot",
        "indexed".to_owned(),
        read(&Path::new(FIXTURES).join("indexed-1/snapshot.json")),
    ));
    let files = files();
    for (name, (file, snapshot)) in ["values", "collections", "changes"].into_iter().zip(&files) {
        seeds.push(("snapshot", name.to_owned(), snapshot.clone()));
        seeds.push(("state", format!("{name}-raw"), [&[0], &file[..]].concat()));
        seeds.push(("state", format!("{name}-healed"), [&[1], &file[..]].concat()));
        seeds.push(("state", format!("{name}-records"), [&[2], &records(file)[..]].concat()));
    }
    let (before, behind) = (records(&files[0].0), records(&files[2].0));
    for (name, mode) in [("together", 2), ("damaged-later", 2 | 4)] {
        let cut = u16::try_from(before.len()).expect("a small file");
        seeds.push(("spill", name.to_owned(), [&cut.to_le_bytes()[..], &[mode], &before, &behind].concat()));
    }
    let (sectors, file) = indexed();
    for (name, mode) in [("raw", 0), ("healed", 1)] {
        seeds.push(("index", name.to_owned(), [&[mode], &sectors.to_le_bytes()[..], &file].concat()));
    }
    for (name, healed) in [("raw", 0), ("healed", 8)] {
        seeds.push(("topic", name.to_owned(), topic(healed)));
    }
    seeds
}

/// Three epochs of a store with a table of each layout, each with the snapshot that it ends with: values; collections;
/// changes and removals.
fn files() -> Vec<(Vec<u8>, Vec<u8>)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("fuzz", 7) };
    let mut store = Store::new(config);
    let layouts = [(false, false), (false, true), (true, false), (true, true)];
    let make = |(state, (parts, expires))| store.create_table_of(state, 0, Layout { parts, expires });
    let tables: Vec<_> = (0..).zip(layouts).map(make).collect();
    let mut files = Vec::new();
    for epoch in 1..=3_u64 {
        match epoch {
            1 => (0..20_u64).for_each(|n| {
                let (key, value) = (n.to_le_bytes(), [&1_500_i64.to_le_bytes()[..], &[7; 9]].concat());
                store.put(tables[0], stable_hash(&key), &key, &value[..n as usize % 17]).expect("it fits");
                store.put(tables[1], stable_hash(&key), &key, &value).expect("it fits");
            }),
            2 => collections(&mut store, &[Owner::new(tables[2], b"a"), Owner::new(tables[3], b"b")]),
            _ => (5..10_u64).for_each(|n| {
                let key = n.to_le_bytes();
                store.remove(tables[0], stable_hash(&key), &key);
                store.put(tables[1], stable_hash(&key), &key, &[0xFF; 12]).expect("it fits");
            }),
        }
        let part =
            block_on(store.seal(epoch).write(Rc::new(StdDisk), dir.path().into())).expect("the disk works");
        store.flushed(epoch, &part);
        let newest = part.files.iter().find(|file| file.epoch == epoch).expect("something has changed");
        let file = fs::read(dir.path().join(&newest.name)).expect("it was written");
        files.push((file, serde_json::to_vec(&part).expect("plain data")));
    }
    files
}

/// A file with an index, and how many sectors come before that: records, changes of them, removals.
fn indexed() -> (u16, Vec<u8>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let small = StoreConfig { segment_bytes: 64 << 10, block_bytes: 4 << 10, ..StoreConfig::new("fuzz", 7) };
    let mut store = Store::new(StoreConfig { budget: Some(1 << 20), ..small });
    let tables = [false, true]
        .map(|expires| store.create_table_of(u32::from(expires), 0, Layout { parts: false, expires }));
    for n in 0..60_u64 {
        let key = (n % 45).to_le_bytes();
        let value = [&(1_500 + n).to_le_bytes()[..], &[n as u8; 500]].concat();
        store.put(tables[n as usize % 2], stable_hash(&key), &key, &value).expect("it fits");
        if n == 30 {
            drop(store.seal(1));
        }
    }
    (0..9_u64).for_each(|n| _ = store.remove(tables[0], stable_hash(&n.to_le_bytes()), &n.to_le_bytes()));
    let part = block_on(store.seal(2).write(Rc::new(StdDisk), dir.path().into())).expect("the disk works");
    let file = &part.files[0];
    assert!(file.index.is_some(), "{file:?}");
    let sectors = u16::try_from(file.bytes / 4096).expect("a small file");
    (sectors, fs::read(dir.path().join(&file.name)).expect("it was written"))
}

/// Some that fit into their heads, and some that do not.
fn collections(store: &mut Store, owners: &[Owner; 2]) {
    let life = Some(Life { now: 0, until: 1_500 });
    for n in 0..60_u64 {
        let value = [n as u8; 20];
        map::put(store, &owners[1], &n.to_le_bytes(), &value, life).expect("it fits");
        timeline::insert(store, &owners[0], n as i64 - 30, &value).expect("it fits");
    }
    let [plain, expiring] = [2, 3].map(|state| store.table(state, 0).expect("it was made"));
    list::push(store, &Owner::new(plain, b"list"), b"element", None).expect("it fits");
    for n in 0..30_u64 {
        list::push(store, &Owner::new(expiring, b"long"), &[n as u8; 30], life).expect("it fits");
    }
}

/// The records of a file's blocks, without headers and padding.
fn records(file: &[u8]) -> Vec<u8> {
    let half = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes")) as usize;
    let (mut out, mut at) = (Vec::new(), 0);
    while at < file.len() {
        out.extend_from_slice(&file[at + 64..at + half(at + 16)]);
        at += half(at + 12);
    }
    out
}

/// The files of the fixture.
fn topic(healed: u8) -> Vec<u8> {
    let root = Path::new(FIXTURES).join("topic-1");
    let mut out = Vec::new();
    for (kind, dir) in [(1, "decisions"), (3, "partition-00000"), (5, "partition-00001")] {
        let entries = fs::read_dir(root.join(dir)).expect("a directory");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a plain name");
            let (base, generation) = name.split_once('-').expect("the name of a segment");
            let number = |text: &str| text.parse::<u8>().expect("a small number");
            let bytes = fs::read(&path).expect("a file");
            let len = u16::try_from(bytes.len()).expect("a small file").to_le_bytes();
            out.extend_from_slice(&[kind | healed, number(base), number(generation), len[0], len[1]]);
            out.extend_from_slice(&bytes);
        }
    }
    out
}
