//! A state larger than memory is restored by the indexes of its files: nothing else is read, nothing is lost, and damage
//! to an index or to what was left on disk is found.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{SECTOR, StdDisk, block_on};
use millstream_storage::error::{Damage, StoreError};
use millstream_storage::hash::stable_hash;
use millstream_storage::inspect;
use millstream_storage::read::Reader;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig, TableId};
use tempfile::TempDir;

const BUDGET: u64 = 1 << 20;
const TIMERS: u32 = 100;

fn config(name: &str) -> StoreConfig {
    StoreConfig {
        segment_bytes: 32 << 10,
        block_bytes: 4 << 10,
        budget: Some(BUDGET),
        pinned_from: Some(TIMERS),
        ..StoreConfig::new(name, stable_hash(name.as_bytes()))
    }
}

type Model = BTreeMap<u64, Vec<u8>>;

/// A store, and what must be in it.
struct Owner {
    store: Store,
    table: TableId,
    timers: TableId,
    model: Model,
    alarms: Model,
    reader: Reader,
    dir: TempDir,
    epoch: u64,
}

impl Owner {
    fn new() -> Owner {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut store = Store::new(config("step-0"));
        let (table, timers) = (store.create_table(1, 0), store.create_table(TIMERS, 0));
        let reader = Reader::new(Rc::new(StdDisk), dir.path().to_owned());
        Owner { store, table, timers, model: Model::new(), alarms: Model::new(), reader, dir, epoch: 0 }
    }

    fn make_room(&mut self) {
        for _ in 0..1000 {
            if let Some(spill) = self.store.spill() {
                block_on(spill.write(Rc::new(StdDisk), self.dir.path().to_owned())).expect("the disk works");
            }
            self.store.maintain(64 << 10);
            self.read();
            if self.store.has_room() {
                return;
            }
        }
        panic!("no room is made: {:?}", self.store.stats());
    }

    fn read(&mut self) {
        for read in self.store.take_reads() {
            let fetched = block_on(self.reader.perform(&read)).expect("nothing is damaged");
            self.store.admit(fetched).expect("nothing is damaged");
        }
    }

    fn bring_in(&mut self, key: u64) -> u64 {
        self.make_room();
        let hash = stable_hash(&key.to_le_bytes());
        while !self.store.is_present(self.table, hash) {
            self.read();
        }
        hash
    }

    fn put(&mut self, key: u64, value: &[u8]) {
        let hash = self.bring_in(key);
        self.store.put(self.table, hash, &key.to_le_bytes(), value).expect("it fits");
        self.model.insert(key, value.to_vec());
    }

    fn remove(&mut self, key: u64) {
        let hash = self.bring_in(key);
        let was = self.store.remove(self.table, hash, &key.to_le_bytes());
        assert_eq!(was, self.model.remove(&key).is_some());
    }

    fn set_timer(&mut self, at: u64) {
        let key = at.to_le_bytes();
        self.store.put(self.timers, stable_hash(&key), &key, b"timer").expect("it fits");
        self.alarms.insert(at, b"timer".to_vec());
    }

    fn checkpoint(&mut self) -> StoreSnapshot {
        self.epoch += 1;
        let sealed = self.store.seal(self.epoch);
        let part = block_on(sealed.write(Rc::new(StdDisk), self.dir.path().to_owned()));
        let part = part.expect("the disk works");
        self.store.flushed(self.epoch, &part);
        part
    }

    fn try_restore(&self, part: &StoreSnapshot) -> Result<Store, StoreError> {
        let config = config(&format!("step-{}", self.epoch));
        block_on(Store::restore_whole(Rc::new(StdDisk), self.dir.path(), config, part))
    }

    fn restore(&mut self, part: &StoreSnapshot) {
        self.store = self.try_restore(part).expect("nothing is damaged");
        self.table = self.store.table(1, 0).expect("it was listed");
        self.timers = self.store.table(TIMERS, 0).expect("it was listed");
        assert!(self.store.memory_bytes() <= BUDGET, "{:?}", self.store.stats());
    }

    fn contents(&mut self) -> Result<Model, StoreError> {
        let mut found = Model::new();
        let visit = |key: &[u8], value: &[u8]| {
            let key = u64::from_le_bytes(key.try_into().expect("eight bytes"));
            assert_eq!(found.insert(key, value.to_vec()), None, "a key was visited twice");
        };
        block_on(self.store.visit_all(&self.reader, self.table, visit))?;
        Ok(found)
    }

    /// Compares everything, also what must be in memory without being asked for.
    fn check(&mut self) {
        assert!(self.contents().expect("nothing is damaged") == self.model, "it differs from the model");
        let mut found = Model::new();
        self.store.for_each(self.timers, |key, value| {
            found.insert(u64::from_le_bytes(key.try_into().expect("eight bytes")), value.to_vec());
        });
        assert!(found == self.alarms, "timers differ");
    }
}

/// Several times as much as fits, with timers among it, over some checkpoints.
fn filled() -> (Owner, StoreSnapshot) {
    let mut owner = Owner::new();
    let mut part = None;
    for i in 0..12_000u64 {
        owner.put(i * 7919 % 8_000, &[i as u8; 400]);
        if i % 50 == 0 {
            owner.set_timer(i);
        }
        if i % 11 == 0 {
            owner.remove(i * 31 % 8_000);
        }
        if i % 3_000 == 2_999 {
            part = Some(owner.checkpoint());
        }
    }
    (owner, part.expect("there were four checkpoints"))
}

/// The files that have an index, with their paths.
fn indexed(owner: &Owner, part: &StoreSnapshot) -> Vec<(PathBuf, usize, usize)> {
    let files = part.files.iter().filter_map(|file| Some((file, file.index?)));
    let place = |name: &str| owner.dir.path().join(name);
    files.map(|(file, index)| (place(&file.name), file.bytes as usize, index.bytes as usize)).collect()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("it was written");
    change(&mut bytes);
    fs::write(path, bytes).expect("it can be written");
}

#[test]
fn nothing_is_lost_over_many_restores() {
    let (mut owner, mut part) = filled();
    for round in 0..6u64 {
        owner.restore(&part);
        assert!(owner.store.leaves_unread() && owner.store.stats().damaged_indexes == 0);
        owner.check();
        for i in 0..1_500 {
            let key = (round * 977 + i * 13) % 8_000;
            match i % 5 {
                0 => owner.remove(key),
                _ => owner.put(key, &[round as u8 ^ i as u8; 410]),
            }
        }
        owner.set_timer(1 << 40 | round);
        part = owner.checkpoint();
        let seeds: Vec<u64> = part.files.iter().filter_map(|file| file.index).map(|i| i.seed).collect();
        assert!(seeds.iter().all(|seed| *seed == seeds[0]), "indexes must go on to be comparable");
        for file in &part.files {
            block_on(inspect::verify(&StdDisk, owner.dir.path(), file)).expect("nothing is damaged");
        }
    }
    owner.restore(&part);
    owner.check();
}

#[test]
fn a_damaged_record_is_found_when_it_is_read_and_not_before() {
    let (mut owner, part) = filled();
    let (path, bytes, _) = indexed(&owner, &part).remove(0);
    change(&path, |file| file[..bytes].iter_mut().skip(200).step_by(SECTOR).for_each(|byte| *byte ^= 4));
    // Timers are in the damaged blocks, and always read.
    let config = StoreConfig { pinned_from: None, ..config("late") };
    let restored = Store::restore_whole(Rc::new(StdDisk), owner.dir.path(), config, &part);
    owner.store = block_on(restored).expect("the index is whole");
    assert_eq!(owner.store.stats().damaged_indexes, 0);
    match owner.contents() {
        Err(StoreError::Damaged { path: found, damage: Damage::Checksum { .. }, .. }) => {
            assert_eq!(found, path);
        }
        other => panic!("damage must be refused as such, not {other:?}"),
    }
}

#[test]
fn any_damage_to_an_index_costs_nothing_but_time() {
    let (mut owner, part) = filled();
    let (path, bytes, of_index) = indexed(&owner, &part).remove(0);
    let good = fs::read(&path).expect("it was written");
    // Every byte of a header, then some entries, and padding.
    let places = (0..64).step_by(3).chain((64..of_index).step_by(1371)).chain([of_index - 1]);
    for place in places {
        change(&path, |file| file[bytes + place] ^= 1 << (place % 8));
        owner.restore(&part);
        assert_eq!(owner.store.stats().damaged_indexes, 1, "byte {place} went unnoticed");
        let told = owner.store.damaged_indexes()[0].to_string();
        assert!(told.contains(path.to_str().expect("plain names")), "{told}");
        assert!(owner.contents().expect("the records are whole") == owner.model, "byte {place}");
        let file = part.files.iter().find(|file| path.ends_with(&file.name)).expect("it is named");
        block_on(inspect::verify(&StdDisk, owner.dir.path(), file)).expect_err("the index is damaged");
        fs::write(&path, &good).expect("it can be written");
    }
    owner.restore(&part);
    owner.check();
}

#[test]
fn an_index_that_was_found_damaged_is_not_read_again() {
    let (mut owner, mut part) = filled();
    let (path, bytes, _) = indexed(&owner, &part).remove(0);
    change(&path, |file| file[bytes + 100] ^= 1);
    for damaged in [1, 0, 0] {
        owner.restore(&part);
        assert_eq!(owner.store.stats().damaged_indexes, damaged);
        part = owner.checkpoint();
        let marked = |part: &StoreSnapshot| {
            let indexes = part.files.iter().filter_map(|file| Some((&file.name, file.index?.damaged)));
            indexes.filter(|index| index.1).map(|index| owner.dir.path().join(index.0)).collect::<Vec<_>>()
        };
        assert_eq!(marked(&part), std::slice::from_ref(&path));
    }
}

#[test]
fn what_is_known_of_blocks_on_disk_counts_as_memory() {
    let (mut owner, part) = filled();
    owner.restore(&part);
    let besides_segments = |store: &Store| {
        let stats = store.stats();
        (stats.memory_bytes - stats.index_bytes - stats.read_bytes) % (32 << 10)
    };
    // Of each block where it starts, and a digest.
    let blocks = owner.store.stats().evicted_bytes / SECTOR as u64;
    let known = besides_segments(&owner.store);
    assert!(blocks > 500 && known >= 6 * blocks * 9 / 10, "{known} bytes tell of {blocks} blocks");
    owner.store.drop_table(owner.table);
    owner.store.drop_table(owner.timers);
    assert_eq!((owner.store.evicted_bytes(), besides_segments(&owner.store)), (0, 0));
}

/// The bug that all of these checks are against.
#[cfg(feature = "planted")]
#[test]
fn an_index_that_is_taken_at_its_word_loses_keys() {
    let (mut owner, part) = filled();
    let (path, bytes, of_index) = indexed(&owner, &part).remove(0);
    change(&path, |file| {
        file[bytes + 72..bytes + of_index].iter_mut().step_by(140).for_each(|byte| *byte ^= 1)
    });
    let mut is_lost = |bug| {
        millstream_storage::planted::set(bug);
        owner.restore(&part);
        let lost = owner.contents().is_ok_and(|found| found != owner.model);
        millstream_storage::planted::set(None);
        lost
    };
    assert!(!is_lost(None) && is_lost(Some("index_trusted")));
}

#[test]
fn an_index_of_another_file_is_not_used() {
    let (mut owner, part) = filled();
    let files = indexed(&owner, &part);
    let of = |(path, bytes, _): &(PathBuf, usize, usize)| fs::read(path).expect("written").split_off(*bytes);
    let (one, other) = (&files[0], &files[1]);
    let mut foreign = of(other);
    foreign.resize(one.2, 0);
    change(&one.0, |file| file[one.1..].copy_from_slice(&foreign));
    owner.restore(&part);
    assert_eq!(owner.store.stats().damaged_indexes, 1);
    owner.check();
}

/// Changes an entry of the first block of an index, which passes for whole afterwards.
fn forge(path: &Path, bytes: usize, at: usize) {
    change(path, |file| {
        let index = &mut file[bytes..];
        let len = u32::from_le_bytes(index[12..16].try_into().expect("four bytes")) as usize;
        index[at] ^= 0x40;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&index[..8]);
        hasher.update(&index[12..len]);
        index[8..12].copy_from_slice(&hasher.finalize().to_le_bytes());
    });
}

#[test]
fn an_index_that_tells_of_other_records_is_found_out_when_they_are_read() {
    // Of the first entry: the hash, the second one, the size, the table.
    for at in [72, 86, 87, 88] {
        let (mut owner, part) = filled();
        let (path, bytes, _) = indexed(&owner, &part).remove(0);
        forge(&path, bytes, at);
        let file = part.files.iter().find(|file| path.ends_with(&file.name)).expect("it is named");
        block_on(inspect::verify(&StdDisk, owner.dir.path(), file)).expect_err("the index lies");
        let restored = owner.try_restore(&part);
        let found = restored.and_then(|store| {
            owner.store = store;
            owner.table = owner.store.table(1, 0).expect("it was listed");
            owner.contents()
        });
        match found {
            Err(StoreError::Damaged { path: found, damage: Damage::Malformed(_), .. }) => {
                assert_eq!(found, path);
            }
            // A size that does not fit shows at once, and then the records are read.
            Ok(found) => {
                assert!(found == owner.model && owner.store.stats().damaged_indexes == 1, "byte {at}")
            }
            Err(other) => panic!("damage must be refused as such, not {other:?}"),
        }
    }
}

#[test]
fn values_that_were_left_on_disk_are_looked_at_when_they_are_read() {
    let (mut owner, part) = filled();
    owner.restore(&part);
    let seen = Rc::new(RefCell::new(0));
    let (counted, model) = (seen.clone(), owner.model.clone());
    // What is wrong with values that were replaced, as they may be of an older type, does not matter.
    owner.store.check_when_read(owner.table, move |key, value| {
        *counted.borrow_mut() += 1;
        let key = u64::from_le_bytes(key.try_into().expect("eight bytes"));
        let alive = model.get(&key).is_some_and(|known| known == value);
        if alive { Ok(()) } else { Err("it was replaced".to_owned()) }
    });
    let mut read_before = 0;
    block_on(owner.store.visit_read(&owner.reader, owner.table, |_, _| read_before += 1))
        .expect("it is whole");
    assert_eq!(*seen.borrow(), 0, "what was read before is not read again");
    owner.check();
    assert!(*seen.borrow() + read_before >= owner.model.len(), "{} and {read_before}", seen.borrow());
    owner.store.check_when_read(owner.table, |_, _| Err("it is not to my taste".to_owned()));
    let refused = owner.contents().expect_err("a value is refused").to_string();
    assert!(refused.contains("not to my taste") && refused.contains("step-"), "{refused}");
}

#[test]
fn files_with_and_without_an_index_are_restored_together() {
    let mut owner = Owner::new();
    let mut part = None;
    for round in 0..8u64 {
        // Of short records there is none.
        let len = if round % 2 == 0 { 20 } else { 600 };
        for i in 0..if len == 20 { 12_000 } else { 1_500 } {
            owner.put((round * 500 + i * 7) % 20_000, &vec![round as u8; len]);
        }
        part = Some(owner.checkpoint());
    }
    let part = part.expect("there were checkpoints");
    let with = part.files.iter().filter(|file| file.index.is_some()).count();
    assert!(with > 1 && with + 1 < part.files.len(), "{:?}", part.files);
    owner.restore(&part);
    owner.check();
    // Without a limit, and where only some keys are owned, indexes are passed over.
    for owns in [|_: u32, _: &[u8]| true, |_: u32, key: &[u8]| key[0].is_multiple_of(2)] {
        let config = StoreConfig { budget: None, ..config("other") };
        let parts = std::slice::from_ref(&part);
        let restored = block_on(Store::restore(Rc::new(StdDisk), owner.dir.path(), config, parts, owns));
        let store = restored.expect("nothing is damaged");
        let owned = owner.model.keys().filter(|key| owns(1, &key.to_le_bytes())).count();
        assert_eq!(store.len(store.table(1, 0).expect("it was listed")), owned);
    }
}
