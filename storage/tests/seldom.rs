//! Situations that chance brings about too seldom, made on purpose; with the feature `planted`, each with the bug that it
//! is to find.

use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::hash::stable_hash;
use millstream_storage::read::Reader;
use millstream_storage::store::{Store, StoreConfig, TableId};
use tempfile::TempDir;

/// Keys whose hashes agree in the 48 bits by which an evicted record is known.
const ALIKE: [u64; 2] = [1_217_509, 31_017_174];

struct World {
    store: Store,
    table: TableId,
    dir: TempDir,
    epoch: u64,
}

fn config(budget: Option<u64>) -> StoreConfig {
    StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, budget, ..StoreConfig::new("step", 7) }
}

impl World {
    fn new(budget: Option<u64>) -> World {
        let mut store = Store::new(config(budget));
        let table = store.create_table(1, 0);
        World { store, table, dir: tempfile::tempdir().expect("a temporary directory"), epoch: 0 }
    }

    fn put(&mut self, key: u64) {
        let key = key.to_le_bytes();
        self.store.put(self.table, stable_hash(&key), &key, &value(&key)).expect("it is small");
    }

    fn remove(&mut self, key: u64) {
        let key = key.to_le_bytes();
        assert!(self.store.remove(self.table, stable_hash(&key), &key), "it was there");
    }

    fn get(&self, key: u64) -> Option<&[u8]> {
        let key = key.to_le_bytes();
        self.store.get(self.table, stable_hash(&key), &key)
    }

    /// Brings a key in, in as many rounds of reads as that may take.
    fn bring_in(&mut self, key: u64) {
        let reader = Reader::new(Rc::new(StdDisk), self.dir.path().to_owned());
        for _ in 0..10 {
            if self.store.is_present(self.table, stable_hash(&key.to_le_bytes())) {
                return;
            }
            for read in self.store.take_reads() {
                let fetched = block_on(reader.perform(&read)).expect("nothing is damaged");
                self.store.admit(fetched).expect("nothing is damaged");
            }
        }
        panic!("key {key} does not come in");
    }

    /// Writes ahead and evicts until there is room.
    fn make_room(&mut self) {
        while !self.store.has_room() {
            if let Some(spill) = self.store.spill() {
                block_on(spill.write(Rc::new(StdDisk), self.dir.path().to_owned())).expect("the disk works");
            }
            self.store.maintain(0);
        }
    }

    fn checkpoint(&mut self) -> millstream_storage::snapshot::StoreSnapshot {
        self.epoch += 1;
        let sealed = self.store.seal(self.epoch);
        let written = block_on(sealed.write(Rc::new(StdDisk), self.dir.path().to_owned()));
        let snapshot = written.expect("the disk works");
        self.store.flushed(self.epoch, &snapshot);
        snapshot
    }
}

fn value(key: &[u8]) -> [u8; 100] {
    [key[0] ^ key[1].rotate_left(4); 100]
}

fn keys_that_look_alike_come_in_each_as_itself() {
    let mut world = World::new(Some(512 << 10));
    for key in ALIKE {
        world.bring_in(key);
        world.store.assume_absent(world.table, stable_hash(&key.to_le_bytes()));
        world.put(key);
    }
    for other in 0..6_000 {
        world.put(other);
        world.make_room();
    }
    for _ in 0..3 {
        for key in ALIKE {
            world.bring_in(key);
        }
    }
    for key in ALIKE {
        assert_eq!(world.get(key), Some(&value(&key.to_le_bytes())[..]), "key {key}");
    }
}

fn what_was_removed_stays_so_when_its_tombstone_lies_among_the_dead() {
    let mut world = World::new(None);
    // The oldest segment is half alive to the end, so that others are compacted before it.
    (0..120).for_each(|key| world.put(key));
    world.checkpoint();
    // Segments that hold one tombstone each, and nothing that will live; each in a file of its own, as a file is read
    // whole as long as something in it lives.
    for i in 0..10 {
        (200 + 150 * i..350 + 150 * i).for_each(|key| world.put(key));
        world.remove(i);
        world.checkpoint();
    }
    (60..120).chain(200..1700).for_each(|key| world.remove(key));
    world.checkpoint();
    while world.store.maintain(16 << 10) > 0 {}
    let parts = [world.checkpoint()];
    let restored = Store::restore(Rc::new(StdDisk), world.dir.path(), config(None), &parts, |_, _| true);
    let restored = block_on(restored).expect("nothing is damaged");
    let table = restored.table(1, 0).expect("it holds keys");
    let mut found = Vec::new();
    restored.for_each(table, |key, _| found.push(u64::from_le_bytes(key.try_into().expect("eight bytes"))));
    found.sort_unstable();
    assert_eq!(found, (10..60).collect::<Vec<u64>>());
}

/// Runs a situation, which ends well; and once more with a bug, which it finds.
fn finds(bug: &'static str, situation: fn()) {
    situation();
    if cfg!(not(feature = "planted")) {
        assert!(!millstream_storage::planted::is(bug), "without the feature no bug is on");
    }
    #[cfg(feature = "planted")]
    {
        millstream_storage::planted::set(Some(bug));
        let found = std::panic::catch_unwind(situation).is_err();
        millstream_storage::planted::set(None);
        assert!(found, "{bug} is not found");
    }
}

#[test]
fn what_comes_late_replaces_nothing_else() {
    finds("stale_fetch", keys_that_look_alike_come_in_each_as_itself);
}

#[test]
fn tombstones_outlive_what_they_hide() {
    finds("tombstone_compacted_early", what_was_removed_stays_so_when_its_tombstone_lies_among_the_dead);
}
