//! A state file: raw, healed, or made of the input's records.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use millstream_storage::collection::{Owner, list, map, owners, timeline};
use millstream_storage::disk::{Disk, block_on};
use millstream_storage::expiry::Life;
use millstream_storage::hash::stable_hash;
use millstream_storage::inspect::{self, Replay};
use millstream_storage::read::Reader;
use millstream_storage::snapshot::{DeltaFile, FORMAT, Layout, StoreSnapshot, TableEntry, file_name};
use millstream_storage::store::{Store, StoreConfig, TableId};

use super::disk::MemoryDisk;
use super::heal;

pub const STORE: u64 = 7;
pub const DIR: &str = "dir";

/// The tables by their numbers: one of each layout. The number is also that of the state.
pub const LAYOUTS: [Layout; 4] = [
    Layout::PLAIN,
    Layout { parts: false, expires: true },
    Layout { parts: true, expires: false },
    Layout { parts: true, expires: true },
];

/// What is alive in a table, or in all.
pub type Contents = BTreeMap<(u32, Vec<u8>), Vec<u8>>;

pub fn config() -> StoreConfig {
    StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("fuzz", STORE) }
}

/// A snapshot of these files, which are the checkpoint's own and those that were written ahead after it.
pub fn snapshot(files: &[(u64, u32)]) -> StoreSnapshot {
    let table =
        |(id, layout): (u32, &Layout)| TableEntry { id, state: id, namespace: 0, layout: *layout, keys: 0 };
    let file = |(part, (bytes, blocks)): (u32, &(u64, u32))| DeltaFile {
        name: file_name("fuzz", 1, part),
        epoch: 1,
        bytes: *bytes,
        blocks: *blocks,
        store_id: STORE,
        part,
        index: None,
    };
    StoreSnapshot {
        format: FORMAT,
        name: "fuzz".to_owned(),
        store_id: STORE,
        epoch: 2,
        files: (0..).zip(files).map(file).collect(),
        tables: (0..).zip(&LAYOUTS).map(table).collect(),
        next_table: 4,
        meta: BTreeMap::new(),
    }
}

/// The first byte says how the others are taken: bits 0 and 1 raw, healed or as records.
pub fn file(data: &[u8], part: u32) -> (Vec<u8>, u32) {
    let place = heal::File { store: STORE, epoch: 1, part };
    let (mode, rest) = data.split_first().unwrap_or((&0, &[]));
    let mut bytes = match mode & 3 {
        2 | 3 => heal::wrap_records(rest, place),
        _ => rest.to_vec(),
    };
    let mut scratch = bytes.clone();
    let blocks = heal::blocks(&mut scratch, place);
    if mode & 3 == 1 {
        bytes = scratch;
    }
    (bytes, blocks)
}

/// Restores a store of the input as its one file, reads everything in it, and works with it.
pub fn state(data: &[u8]) {
    let disk = MemoryDisk::default();
    let (bytes, blocks) = file(data, 0);
    let part = snapshot(&[(bytes.len() as u64, blocks)]);
    disk.put(&Path::new(DIR).join(&part.files[0].name), bytes);
    let shared: Rc<dyn Disk> = Rc::new(disk.clone());
    let verified = block_on(inspect::verify(&disk, Path::new(DIR), &part.files[0]));
    let replayed = replay(&disk, &part);
    assert!(verified.is_ok() || replayed.is_none(), "bytes were used that are damaged: {verified:?}");
    for budget in [None, Some(256 << 10)] {
        let config = StoreConfig { budget, ..config() };
        let dir = Path::new(DIR);
        let restored =
            block_on(Store::restore(shared.clone(), dir, config, std::slice::from_ref(&part), |_, _| true));
        let Ok(mut store) = restored else { continue };
        let contents = all(&mut store, &shared);
        assert_eq!(Some(&contents), replayed.as_ref(), "two ways to read a file differ");
        if budget.is_none() {
            read_collections(&store);
            work(&mut store, &shared, contents);
        }
    }
}

/// What is alive by the records in their order; nothing if a file is damaged.
pub fn replay(disk: &MemoryDisk, part: &StoreSnapshot) -> Option<Contents> {
    let mut contents = Contents::new();
    let mut replay = Replay::new(disk, Path::new(DIR), part).ok()?;
    let mut apply = |record: inspect::Record<'_>| {
        let key = (record.table.id, record.key.to_vec());
        match record.value {
            Some(value) => _ = contents.insert(key, value.to_vec()),
            None => _ = contents.remove(&key),
        }
    };
    while block_on(replay.step(&mut apply)).ok()?.is_some() {}
    Some(contents)
}

fn tables(store: &Store) -> impl Iterator<Item = (u32, TableId)> {
    (0..LAYOUTS.len() as u32).filter_map(|state| Some((state, store.table(state, 0)?)))
}

/// What is alive in a restored store, in memory or not.
pub fn all(store: &mut Store, disk: &Rc<dyn Disk>) -> Contents {
    let reader = Reader::new(disk.clone(), DIR.into());
    let mut contents = Contents::new();
    for (state, table) in tables(store).collect::<Vec<_>>() {
        let visit = |key: &[u8], value: &[u8]| {
            contents.insert((state, key.to_vec()), value.to_vec());
        };
        block_on(store.visit_all(&reader, table, visit)).expect("it was verified");
    }
    contents
}

/// Reads each collection as every kind: which it is, only its owner knows.
fn read_collections(store: &Store) {
    for (state, table) in tables(store).filter(|(state, _)| LAYOUTS[*state as usize].parts) {
        let life = LAYOUTS[state as usize].expires.then_some(Life { now: 1_000, until: 2_000 });
        for key in owners(store, table) {
            let owner = Owner::new(table, &key);
            let [first, second] = fields(store, table, &key, life.is_some());
            // Parts that are not there count as empty, one by one: four billion of them take their time.
            if life.is_none() || second.1.wrapping_sub(second.0) < SOME {
                list::iter(store, &owner, life).for_each(drop);
                list::len(store, &owner, life);
            }
            if first.0 < SOME {
                map::iter(store, &owner, life).for_each(drop);
                map::len(store, &owner, life);
            }
            map::get(store, &owner, b"key", life);
            if life.is_none() {
                timeline::range(store, &owner, i64::MIN, i64::MAX).for_each(drop);
                timeline::range(store, &owner, -5, 5).for_each(drop);
                timeline::floor(store, &owner, 0);
                timeline::len(store, &owner);
            }
        }
    }
}

/// More parts than the input can hold.
const SOME: u32 = 100_000;

/// The first four numbers of a head: of a list the last two are those of its first and last chunk, of a map the first is
/// that of its buckets.
fn fields(store: &Store, table: TableId, key: &[u8], expires: bool) -> [(u32, u32); 2] {
    let head = [key, &[0xFF; 4]].concat();
    let record = store.get(table, stable_hash(&head), &head).unwrap_or_default();
    let start = if expires { 12 } else { 4 };
    let number = |i: usize| {
        let bytes = record.get(start + 4 * i..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    [(number(0), number(1)), (number(2), number(3))]
}

/// Compaction, changes and a checkpoint of what was restored: nothing that stays is lost.
fn work(store: &mut Store, disk: &Rc<dyn Disk>, mut contents: Contents) {
    while store.maintain(64 << 10) > 0 {}
    if let Some(table) = store.table(0, 0) {
        store.put(table, stable_hash(b"new"), b"new", b"value").expect("it fits");
        contents.insert((0, b"new".to_vec()), b"value".to_vec());
    }
    let part = block_on(store.seal(3).write(disk.clone(), DIR.into())).expect("the disk works");
    store.flushed(3, &part);
    let restored = block_on(Store::restore(disk.clone(), Path::new(DIR), config(), &[part], |_, _| true));
    assert_eq!(all(&mut restored.expect("it has just been written"), disk), contents);
}
