//! State that is several times larger than its memory: the limit is kept, nothing is lost, and damage is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{SECTOR, StdDisk, block_on};
use millstream_storage::error::{Damage, StoreError};
use millstream_storage::hash::stable_hash;
use millstream_storage::read::Reader;
use millstream_storage::snapshot::{Layout, StoreSnapshot};
use millstream_storage::store::{Store, StoreConfig, TableId};
use tempfile::TempDir;

const BUDGET: u64 = 1 << 20;

fn config(name: &str) -> StoreConfig {
    StoreConfig {
        segment_bytes: 32 << 10,
        block_bytes: 4 << 10,
        budget: Some(BUDGET),
        ..StoreConfig::new(name, 7)
    }
}

/// A store and what its owner does for it.
struct Owner {
    store: Store,
    table: TableId,
    reader: Reader,
    dir: TempDir,
}

impl Owner {
    fn new() -> Owner {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut store = Store::new(config("step"));
        let table = store.create_table(1, 0);
        let reader = Reader::new(Rc::new(StdDisk), dir.path().to_owned());
        Owner { store, table, reader, dir }
    }

    /// Makes room, and checks that the limit is kept.
    fn make_room(&mut self) {
        let memory = self.store.memory_bytes();
        assert!(memory <= BUDGET + BUDGET / 10, "{memory} bytes of {BUDGET} are in use");
        self.store.maintain(64 << 10);
        self.read();
        let mut rounds = 0;
        while {
            rounds += 1;
            assert!(rounds < 1000, "no room is made: {:?}", self.store.stats());
            if let Some(spill) = self.store.spill() {
                block_on(spill.write(Rc::new(StdDisk), self.dir.path().to_owned())).expect("the disk works");
            }
            self.store.maintain(0);
            !self.store.has_room()
        } {}
    }

    fn read(&mut self) {
        for read in self.store.take_reads() {
            let fetched = block_on(self.reader.perform(&read)).expect("nothing is damaged");
            self.store.admit(fetched).expect("nothing is damaged");
        }
    }

    fn fetch(&mut self, key: &[u8]) -> u64 {
        let hash = stable_hash(key);
        while !self.store.is_present(self.table, hash) {
            self.read();
        }
        hash
    }

    fn put(&mut self, key: u64, value: &[u8]) {
        self.make_room();
        let key = key.to_le_bytes();
        let hash = self.fetch(&key);
        self.store.put(self.table, hash, &key, value).expect("it fits");
    }

    fn checkpoint(&mut self, epoch: u64) -> StoreSnapshot {
        let sealed = self.store.seal(epoch);
        let part =
            block_on(sealed.write(Rc::new(StdDisk), self.dir.path().to_owned())).expect("the disk works");
        self.store.flushed(epoch, &part);
        part
    }

    fn contents(&mut self) -> BTreeMap<u64, Vec<u8>> {
        let mut found = BTreeMap::new();
        let visit = |key: &[u8], value: &[u8]| {
            let key = u64::from_le_bytes(key.try_into().expect("eight bytes"));
            assert_eq!(found.insert(key, value.to_vec()), None, "a key was visited twice");
        };
        block_on(self.store.visit_all(&self.reader, self.table, visit)).expect("nothing is damaged");
        found
    }
}

/// Four times as much as fits, updated now and then, over several checkpoints.
fn filled() -> (Owner, BTreeMap<u64, Vec<u8>>, StoreSnapshot) {
    let (mut owner, mut model) = (Owner::new(), BTreeMap::new());
    let mut part = None;
    for i in 0..40_000u64 {
        let key = i * 7919 % 20_000;
        let value = [i as u8; 250];
        model.insert(key, value.to_vec());
        owner.put(key, &value);
        if i % 10_000 == 9_999 {
            part = Some(owner.checkpoint(i / 10_000 + 1));
        }
    }
    (owner, model, part.expect("there were four checkpoints"))
}

#[test]
fn the_limit_is_kept_and_nothing_is_lost() {
    let (mut owner, model, part) = filled();
    let stats = owner.store.stats();
    assert!(stats.live_bytes > 4 * BUDGET && stats.evicted_bytes > 3 * BUDGET, "{stats:?}");
    assert!(stats.log_bytes < 3 * stats.live_bytes, "dead records are compacted: {stats:?}");
    assert!(part.files.iter().any(|file| file.part > 0), "a checkpoint names what was written ahead of it");
    assert!(owner.contents() == model);
}

#[test]
fn it_is_restored_within_the_limit_at_any_number_of_cores() {
    let (owner, model, part) = filled();
    for cores in [1, 2] {
        let mut found = BTreeMap::new();
        for core in 0..cores {
            let owns = |_: u32, key: &[u8]| stable_hash(key) % cores == core;
            let config = config(&format!("restored-{cores}-{core}"));
            let parts = std::slice::from_ref(&part);
            let restored = block_on(Store::restore(Rc::new(StdDisk), owner.dir.path(), config, parts, owns));
            let store = restored.expect("nothing is damaged");
            assert!(store.memory_bytes() <= BUDGET, "{:?}", store.stats());
            assert!(!store.is_resident());
            let table = store.table(1, 0).expect("it was listed");
            let dir = tempfile::tempdir().expect("a temporary directory");
            let reader = Reader::new(Rc::new(StdDisk), owner.dir.path().to_owned());
            let mut restored = Owner { store, table, reader, dir };
            let contents = restored.contents();
            assert!(contents.keys().all(|key| !found.contains_key(key)));
            found.extend(contents);
        }
        assert!(found == model, "on {cores} cores");
    }
}

#[test]
#[should_panic(expected = "`missing` must be asked")]
fn a_key_that_was_not_asked_for_is_refused_not_taken_for_absent() {
    let (owner, model, _) = filled();
    for key in model.keys() {
        let key = key.to_le_bytes();
        assert!(owner.store.get(owner.table, stable_hash(&key), &key).is_some());
    }
}

#[test]
fn absent_keys_cost_no_reads() {
    let (mut owner, ..) = filled();
    let absent = (1u64 << 40..).take(20_000).map(|key| stable_hash(&key.to_le_bytes()));
    let presence = owner.store.missing(owner.table, absent);
    assert!(presence.complete && owner.store.take_reads().len() <= 1);
}

/// What reading everything says once the files were changed.
fn refusal(change: impl Fn(&mut Vec<u8>)) -> (String, Damage) {
    let (mut owner, ..) = filled();
    for entry in std::fs::read_dir(owner.dir.path()).expect("it is there") {
        let path = entry.expect("it can be read").path();
        let mut bytes = std::fs::read(&path).expect("it was written");
        change(&mut bytes);
        std::fs::write(&path, bytes).expect("it can be written");
    }
    let result = block_on(owner.store.visit_all(&owner.reader, owner.table, |_, _| ()));
    match result {
        Err(StoreError::Damaged { path, damage, .. }) => (name(&path), damage),
        other => panic!("damage must be refused as such, not {other:?}"),
    }
}

fn name(path: &Path) -> String {
    path.file_name().expect("a file").to_string_lossy().into_owned()
}

#[test]
fn a_damaged_block_is_refused_when_it_is_read_back() {
    let (file, damage) =
        refusal(|bytes| bytes.iter_mut().skip(200).step_by(SECTOR).for_each(|byte| *byte ^= 4));
    assert!(file.starts_with("step-"), "{file}");
    assert!(matches!(damage, Damage::Checksum { .. }), "{damage:?}");
}

#[test]
fn a_block_that_belongs_elsewhere_is_refused_when_it_is_read_back() {
    let (_, damage) = refusal(|bytes| bytes.rotate_left(SECTOR));
    assert!(matches!(damage, Damage::Misplaced { .. }), "{damage:?}");
}

#[test]
fn expired_records_die_at_compaction_and_stay_dead() {
    let mut owner = Owner::new();
    owner.table = owner.store.create_table_of(2, 0, Layout { parts: false, expires: true });
    owner.store.set_clock(1_000);
    // Three of four have ended.
    let value = |until: i64| [&until.to_le_bytes()[..], &[0; 242]].concat();
    for i in 0..20_000u64 {
        owner.put(i, &value(if i % 4 > 0 { 1_000 } else { 1_001 }));
    }
    // Makes most of the log worth compacting.
    for _ in 0..4 {
        (0..20_000).step_by(4).for_each(|i| owner.put(i, &value(1_001)));
    }
    while owner.store.maintain(64 << 10) > 0 {
        owner.read();
    }
    let left = owner.contents();
    assert!(left.len() < 17_000, "{} keys are left", left.len());
    assert!((0..20_000).step_by(4).all(|key| left.contains_key(&key)), "what has not expired is left");
    let part = owner.checkpoint(1);
    let config = config("restored");
    let parts = std::slice::from_ref(&part);
    let restored = block_on(Store::restore(Rc::new(StdDisk), owner.dir.path(), config, parts, |_, _| true));
    owner.store = restored.expect("nothing is damaged");
    owner.table = owner.store.table(2, 0).expect("it was listed");
    assert!(owner.contents() == left, "what died has come back");
}

#[test]
fn what_is_pinned_stays_removed_over_restores_within_the_limit() {
    const TIMERS: u32 = 100;
    let pinned = |name: &str| StoreConfig { pinned_from: Some(TIMERS), ..config(name) };
    let mut owner = Owner::new();
    owner.store = Store::new(pinned("pinned-0"));
    owner.table = owner.store.create_table(1, 0);
    let mut timers = BTreeSet::new();
    for round in 1..=4u64 {
        let table = owner.store.create_table(TIMERS, 0);
        for i in 0..8_000u64 {
            owner.put(i * round % 8_000, &[round as u8; 250]);
            if i % 4 > 0 {
                continue;
            }
            // All are removed some time after they are set, many in the next round only.
            let (set, gone) = (round * 8_000 + i, round * 8_000 + i - 6_000);
            let key = set.to_le_bytes();
            owner.store.put(table, stable_hash(&key), &key, b"timer").expect("it fits");
            timers.insert(set);
            if timers.remove(&gone) {
                let key = gone.to_le_bytes();
                assert!(owner.store.remove(table, stable_hash(&key), &key));
            }
        }
        let part = owner.checkpoint(round);
        let parts = std::slice::from_ref(&part);
        let name = pinned(&format!("pinned-{round}"));
        let restored = block_on(Store::restore(Rc::new(StdDisk), owner.dir.path(), name, parts, |_, _| true));
        owner.store = restored.expect("nothing is damaged");
        owner.table = owner.store.table(1, 0).expect("it was listed");
        let table = owner.store.table(TIMERS, 0).expect("it was listed");
        assert!(!owner.store.is_resident());
        let mut found = BTreeSet::new();
        owner.store.for_each(table, |key, _| {
            found.insert(u64::from_le_bytes(key.try_into().expect("eight bytes")));
        });
        assert!(found == timers, "after restore {round}");
    }
}

#[test]
fn removed_keys_do_not_come_back_with_a_file_whose_records_died_while_it_was_written() {
    // Of the file, nothing or its first key lives on; it is written to its end, or is not.
    for (left, written) in [(0, true), (0, false), (1, true), (1, false)] {
        let mut owner = Owner::new();
        let mut model: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let put = |owner: &mut Owner, model: &mut BTreeMap<u64, Vec<u8>>| {
            let (next, value) = (model.len() as u64, vec![7; 250]);
            let key = next.to_le_bytes();
            owner.store.put(owner.table, stable_hash(&key), &key, &value).expect("it fits");
            model.insert(next, value);
        };
        while owner.store.has_room() {
            put(&mut owner, &mut model);
        }
        let spill = owner.store.spill().expect("the memory is used up");
        // All other keys go, twice: what shares a segment with the tombstones of the first must not keep them.
        let mut gone = left;
        for _ in 0..2 {
            let end = model.len() as u64;
            for key in (gone..end).map(u64::to_le_bytes) {
                assert!(owner.store.remove(owner.table, stable_hash(&key), &key));
            }
            gone = end;
            (0..1_000).for_each(|_| put(&mut owner, &mut model));
        }
        model.retain(|key, _| !(left..gone).contains(key));

        let sealed = owner.store.seal(1);
        match written {
            true => {
                block_on(spill.write(Rc::new(StdDisk), owner.dir.path().to_owned())).expect("the disk works")
            }
            false => drop(spill),
        }
        let part = block_on(sealed.write(Rc::new(StdDisk), owner.dir.path().to_owned()));
        let part = part.expect("the disk works");
        owner.store.flushed(1, &part);
        for part in [part, owner.checkpoint(2)] {
            let (config, parts) = (config("restored"), std::slice::from_ref(&part));
            let restored =
                block_on(Store::restore(Rc::new(StdDisk), owner.dir.path(), config, parts, |_, _| true));
            let mut restored = restored.expect("nothing is damaged");
            let table = restored.table(1, 0).expect("it was listed");
            let mut found = BTreeMap::new();
            let visit = |key: &[u8], value: &[u8]| {
                found.insert(u64::from_le_bytes(key.try_into().expect("eight bytes")), value.to_vec());
            };
            block_on(restored.visit_all(&owner.reader, table, visit)).expect("nothing is damaged");
            assert!(
                found == model,
                "{left} left, written {written}, epoch {}: {} keys instead of {}",
                part.epoch,
                found.len(),
                model.len()
            );
        }
    }
}
