//! Situations that chance brings about too seldom, made on purpose; with the feature `planted`, each with the bug that it
//! is to find.

use std::rc::Rc;

use millstream_storage::collection::{Kind, Owner, list, map, resident_bytes};
use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::expiry::Life;
use millstream_storage::hash::stable_hash;
use millstream_storage::read::Reader;
use millstream_storage::snapshot::Layout;
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

/// Lists that expire.
const LISTS: Layout = Layout { parts: true, expires: true };
const OWNER: &[u8] = b"owner";

impl World {
    fn owner(&mut self) -> Owner {
        let lists = self.store.create_table_of(2, 0, LISTS);
        self.store.set_kind(lists, Kind::List);
        Owner::new(lists, OWNER)
    }

    /// Appends to the list of the owner, which is long enough to have chunks.
    fn push(&mut self, elements: std::ops::Range<u8>, life: Life) {
        let owner = self.bring_in_list();
        for element in elements {
            list::push(&mut self.store, &owner, &[element; 150], Some(life)).expect("it fits");
        }
    }

    /// Brings the owner's list in.
    fn bring_in_list(&mut self) -> Owner {
        let owner = self.owner();
        let reader = Reader::new(Rc::new(StdDisk), self.dir.path().to_owned());
        for _ in 0..10 {
            if resident_bytes(&mut self.store, &owner, Kind::List).is_some() {
                return owner;
            }
            for read in self.store.take_reads() {
                let fetched = block_on(reader.perform(&read)).expect("nothing is damaged");
                self.store.admit(fetched).expect("it is what was asked for");
            }
        }
        panic!("the list does not come in");
    }

    /// Puts so much that all that was there before is evicted.
    fn crowd_out(&mut self, keys: std::ops::Range<u64>) {
        for key in keys {
            self.put(key);
            self.make_room();
        }
    }
}

fn a_list_that_begins_anew_meets_nothing_of_the_one_that_expired() {
    let mut world = World::new(None);
    let (early, late) = (Life { now: 0, until: 1_000 }, Life { now: 2_000, until: 3_000 });
    // The first chunks lie in the oldest segment, which shares its file with one that lives on.
    world.push(0..20, early);
    (0..400).for_each(|key| world.put(key));
    world.checkpoint();
    // The head moves on with the last chunk.
    world.push(20..21, early);
    world.checkpoint();
    // Everything of it expires; the sweep drops what lies in the oldest segment, and then the list is cleared.
    world.store.set_clock(late.now);
    let log_bytes = world.store.stats().log_bytes;
    while world.store.maintain(1 << 10) > 0 {}
    assert!(world.store.stats().log_bytes < log_bytes, "a segment was freed");
    let owner = world.owner();
    list::clear(&mut world.store, &owner, Some(late));
    let parts = [world.checkpoint()];
    // What comes back is evicted before the list begins anew, under the same numbers.
    let limit = config(Some(512 << 10));
    let restored = Store::restore(Rc::new(StdDisk), world.dir.path(), limit, &parts, |_, _| true);
    world.store = block_on(restored).expect("nothing is damaged");
    world.store.set_clock(late.now);
    world.table = world.store.create_table(1, 0);
    world.crowd_out(1_000..5_000);
    world.push(100..120, late);
    world.crowd_out(5_000..9_000);
    let owner = world.bring_in_list();
    let elements = list::iter(&world.store, &owner, Some(late)).map(|(element, _)| element[0]);
    assert_eq!(elements.collect::<Vec<_>>(), (100..120).collect::<Vec<_>>());
}

#[test]
fn a_map_lives_as_long_as_what_was_written_last() {
    let mut world = World::new(None);
    let table = world.store.create_table_of(2, 0, LISTS);
    world.store.set_kind(table, Kind::Map);
    let (early, late) = (Life { now: 0, until: 1_000 }, Life { now: 500, until: 3_000 });
    let owners = [b"grows", b"stays", b"large"].map(|owner| Owner::new(table, owner));
    let put = |store: &mut Store, owner: usize, key: u32, life| {
        map::put(store, &owners[owner], &key.to_le_bytes(), &[7; 40], Some(life)).expect("it fits")
    };
    // What dies lies before them and behind them, so that their segments are worth compacting.
    (0..300).for_each(|key| world.put(key));
    (0..3).for_each(|owner| assert!(put(&mut world.store, owner, 0, early)));
    (1..200).for_each(|key| assert!(put(&mut world.store, 2, key, early)));
    put(&mut world.store, 0, 1, late);
    put(&mut world.store, 1, 0, late);
    put(&mut world.store, 2, 1, late);
    (300..5_000).for_each(|key| world.put(key));
    (0..5_000).for_each(|key| world.remove(key));
    world.store.set_clock(2_000);
    let log_bytes = world.store.stats().log_bytes;
    while world.store.maintain(16 << 10) > 0 {}
    assert!(world.store.stats().log_bytes < log_bytes / 4, "it is compacted");
    let now = Life { now: 2_000, until: 4_000 };
    for (owner, key) in [(0, 1_u32), (1, 0), (2, 1)] {
        let entry = map::get(&world.store, &owners[owner], &key.to_le_bytes(), Some(now));
        assert_eq!(entry, Some(&[7; 40][..]), "entry {key} of map {owner}");
        assert!(map::get(&world.store, &owners[owner], &(1 - key).to_le_bytes(), Some(now)).is_none());
    }
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

#[test]
fn expired_parts_stay_away() {
    finds("expired_part_unburied", a_list_that_begins_anew_meets_nothing_of_the_one_that_expired);
}
