//! Stores of some cores, sealed and restored.

use std::rc::Rc;

use millstream_storage::collection::Owner;
use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::expiry::Life;
use millstream_storage::hash::stable_hash;
use millstream_storage::snapshot::{Layout, StoreSnapshot};
use millstream_storage::store::{Store, StoreConfig};
use proptest::prelude::*;
use tempfile::TempDir;

const STATE: u32 = 5;

/// What happens to the stores between operations.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time passes.
    Pass(u16),
    Maintain(usize),
    Checkpoint {
        written: bool,
    },
    Restore {
        cores: u64,
    },
}

pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1..400u16).prop_map(Event::Pass),
        2 => (1..50_000usize).prop_map(Event::Maintain),
        3 => any::<bool>().prop_map(|written| Event::Checkpoint { written }),
        1 => (1..4u64).prop_map(|cores| Event::Restore { cores }),
    ]
}

pub struct World<M> {
    pub stores: Vec<Store>,
    /// What the collections should hold.
    pub model: M,
    pub now: i64,
    /// How long what is written lives.
    after: Option<i64>,
    dir: TempDir,
    epoch: u64,
    durable: (M, Vec<StoreSnapshot>),
}

impl<M: Clone + Default> World<M> {
    pub fn new(after: Option<i64>) -> World<M> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let stores = vec![Store::new(config(0, 0))];
        World { dir, stores, model: M::default(), now: 0, after, epoch: 0, durable: Default::default() }
    }

    pub fn life(&self) -> Option<Life> {
        self.after.map(|after| Life { now: self.now, until: self.now + after })
    }

    /// The store of a key, and the key's collection in it.
    pub fn of(&mut self, key: u8) -> (&mut Store, Owner, Option<Life>) {
        let (key, life) = (key_bytes(key), self.life());
        let core = (stable_hash(&key) % self.stores.len() as u64) as usize;
        let store = &mut self.stores[core];
        let layout = Layout { parts: true, expires: life.is_some() };
        let owner = Owner::new(store.create_table_of(STATE, 0, layout), &key);
        (store, owner, life)
    }

    pub fn apply(&mut self, event: &Event) {
        match *event {
            Event::Pass(millis) => self.now += i64::from(millis),
            Event::Maintain(budget) => self.stores.iter_mut().for_each(|store| {
                store.set_clock(self.now);
                store.maintain(budget);
            }),
            Event::Checkpoint { written } => self.checkpoint(written),
            Event::Restore { cores } => self.restore(cores),
        }
    }

    pub fn checkpoint(&mut self, written: bool) {
        self.epoch += 1;
        let mut parts = Vec::new();
        for store in &mut self.stores {
            let sealed = store.seal(self.epoch);
            if written {
                let dir = self.dir.path().to_owned();
                let part = block_on(sealed.write(Rc::new(StdDisk), dir)).expect("the disk works");
                store.flushed(self.epoch, &part);
                parts.push(part);
            }
        }
        if written {
            self.durable = (self.model.clone(), parts);
        }
    }

    /// Back to the last checkpoint, on so many cores.
    pub fn restore(&mut self, cores: u64) {
        let (model, parts) = &self.durable;
        self.model = model.clone();
        self.epoch += 1;
        let restore = |core| {
            let owns = |_: u32, key: &[u8]| stable_hash(key) % cores == core;
            let config = config(self.epoch, core);
            block_on(Store::restore(Rc::new(StdDisk), self.dir.path(), config, parts, owns))
                .expect("no damage")
        };
        self.stores = (0..cores).map(restore).collect();
    }
}

/// Keys of several lengths.
fn key_bytes(key: u8) -> Vec<u8> {
    vec![key; 1 + usize::from(key % 11)]
}

fn config(incarnation: u64, core: u64) -> StoreConfig {
    StoreConfig {
        segment_bytes: 64 << 10,
        block_bytes: 4 << 10,
        ..StoreConfig::new(format!("c{core}"), incarnation << 8 | core)
    }
}
