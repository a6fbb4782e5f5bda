//! The life of one process: it restores, compares, works, takes checkpoints, and is killed somewhere.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use millstream::host::Host;
use millstream_storage::collection::{Owner, list, map, owners, timeline};
use millstream_storage::hash::stable_hash;
use millstream_storage::snapshot::Layout;
use millstream_storage::store::{Store, StoreConfig, TableId};

use super::checkpoint::{self, DATA, Manifest, Outcome, UnderWay};
use super::keeper::{Keeper, NAP, Stop};
use super::model::{Ledger, Model, value_in};
use super::{Checkpoints, Plan, Shared};
use crate::random::Random;

/// States by number. Collections stay in memory.
pub(super) const VALUES: u32 = 0;
pub(super) const EXPIRING: u32 = 1;
pub(super) const LISTS: u32 = 2;
pub(super) const MAPS: u32 = 3;
pub(super) const TIMELINES: u32 = 4;

/// Naps until a wait is given up.
const PATIENCE: u32 = 20_000;

/// A process at work.
pub(super) struct Session {
    pub(super) host: Rc<dyn Host>,
    pub(super) shared: Shared,
    pub(super) plan: Plan,
    pub(super) random: Random,
    pub(super) keepers: Vec<Keeper>,
    pub(super) model: Model,
    under_way: Option<UnderWay>,
    /// The last complete checkpoint.
    complete: Option<Manifest>,
}

/// The bytes of a key, of several lengths.
pub(super) fn key_bytes(key: u32) -> Vec<u8> {
    let mut bytes = key.to_le_bytes().to_vec();
    bytes.resize(4 + key as usize % 13, 7);
    bytes
}

pub(super) fn key_in(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(*bytes.first_chunk().expect("keys have four bytes and more"))
}

pub(super) fn layout(state: u32) -> Layout {
    Layout { parts: state >= LISTS, expires: state == EXPIRING }
}

impl Session {
    /// Restores the last checkpoint on as many stores as the plan says.
    pub(super) async fn start(
        host: Rc<dyn Host>,
        shared: Shared,
        plan: Plan,
        random: Random,
        rotten: bool,
    ) -> Result<Session, Stop> {
        let disk = host.disk();
        let complete = checkpoint::latest(&*disk).await?;
        checkpoint::retire(&*disk, complete.as_ref(), None).await?;
        let (incarnation, model) = {
            let mut ledger = shared.get();
            ledger.processes += 1;
            let epoch = complete.as_ref().map(|manifest| manifest.epoch);
            (ledger.processes, ledger.restored(epoch))
        };
        let mut keepers = Vec::new();
        for core in 0..plan.cores {
            let config = StoreConfig {
                segment_bytes: 16 << 10,
                block_bytes: 4 << 10,
                budget: plan.budget,
                pinned_from: Some(LISTS),
                after_epoch: Some(shared.get().epoch),
                ..StoreConfig::new(format!("store-{incarnation}-{core}"), incarnation << 8 | core)
            };
            let mut store = match &complete {
                None => Store::new(config),
                // On as many stores as before each part is one's own.
                Some(manifest) if manifest.parts.len() as u64 == plan.cores => {
                    let part = &manifest.parts[core as usize];
                    Store::restore_whole(disk.clone(), DATA.as_ref(), config, part).await?
                }
                Some(manifest) => {
                    let owns = |_: u32, key: &[u8]| stable_hash(key) % plan.cores == core;
                    Store::restore(disk.clone(), DATA.as_ref(), config, &manifest.parts, owns).await?
                }
            };
            if let Some(damage) = store.damaged_indexes().first().filter(|_| !rotten) {
                return Err(Stop::Wrong(format!("an index is not whole: {damage}")));
            }
            shared.get().lazy += u64::from(store.leaves_unread());
            store.set_clock(model.clock);
            keepers.push(Keeper::new(host.clone(), DATA.into(), store, plan.budget));
        }
        let mut session = Session { host, shared, plan, random, keepers, model, under_way: None, complete };
        session.audit().await?;
        Ok(session)
    }

    pub(super) fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.shared.get()
    }

    /// Everything that was planned for this process.
    pub(super) async fn work(&mut self) -> Result<(), Stop> {
        for step in 0..self.plan.steps {
            self.operate().await?;
            if step % self.plan.breath == 0 {
                self.host.yield_now().await;
            }
            match self.plan.checkpoints {
                Checkpoints::OneIn(every) if self.random.one_in(every) => self.checkpoint(),
                Checkpoints::At(every) if step % every == every - 1 => {
                    self.checkpoint();
                    self.settle_at_last().await?;
                }
                _ => {}
            }
            self.settle().await?;
        }
        self.settle_at_last().await?;
        self.audit().await?;
        if self.plan.last {
            self.ledger().done = true;
        }
        Ok(())
    }

    /// Begins a checkpoint; one that is under way is given up, or this one is not begun.
    fn checkpoint(&mut self) {
        if let Some(under_way) = &self.under_way {
            if !under_way.give_up() {
                return;
            }
            // Now and then nobody tells the stores: the next seal does.
            let tells = self.random.coin();
            let epoch = under_way.epoch;
            self.keepers.iter_mut().filter(|_| tells).for_each(|keeper| keeper.store.flush_failed(epoch));
        }
        let epoch = self.shared.get().begin(&self.model);
        let sealed = self.keepers.iter_mut().map(|keeper| keeper.store.seal(epoch)).collect();
        self.under_way = Some(UnderWay::start(&self.host, epoch, self.model.clock, sealed));
    }

    /// Takes note of a checkpoint that has come to its end.
    async fn settle(&mut self) -> Result<(), Stop> {
        let Some(outcome) = self.under_way.as_ref().and_then(UnderWay::outcome) else { return Ok(()) };
        let epoch = self.under_way.take().expect("it was there").epoch;
        match outcome {
            Outcome::Void => self.keepers.iter_mut().for_each(|keeper| keeper.store.flush_failed(epoch)),
            Outcome::Unknown(error) => return Err(Stop::Store(error)),
            Outcome::Complete(manifest) => {
                self.ledger().acknowledge(epoch);
                for (keeper, part) in self.keepers.iter_mut().zip(&manifest.parts) {
                    keeper.store.flushed(epoch, part);
                }
                checkpoint::retire(&*self.host.disk(), Some(&manifest), Some(epoch)).await?;
                self.complete = Some(manifest);
            }
        }
        Ok(())
    }

    /// Waits until all of some keys are in memory, and there is room to work on them. Meanwhile a checkpoint may come
    /// to its end: a store learns only then which of its memory can be given up.
    pub(super) async fn fetch(&mut self, core: usize, table: TableId, hashes: &[u64]) -> Result<(), Stop> {
        self.keepers[core].check_memory()?;
        let mut has_room = false;
        for _ in 0..PATIENCE {
            let keeper = &mut self.keepers[core];
            // Room is made before keys are asked for: they might be evicted again.
            has_room = has_room || keeper.makes_room()?;
            if has_room && keeper.has(table, hashes)? {
                return Ok(());
            }
            self.host.sleep(NAP).await;
            self.settle().await?;
        }
        let lacking = if has_room { "keys do not come" } else { "no room is made" };
        Err(Stop::Stuck(format!("{lacking}: {}", self.keepers[core].state())))
    }

    async fn settle_at_last(&mut self) -> Result<(), Stop> {
        for _ in 0..100_000 {
            if self.under_way.is_none() {
                return Ok(());
            }
            self.host.sleep(Duration::from_millis(1)).await;
            self.settle().await?;
        }
        Err(Stop::Stuck("a checkpoint does not end".to_owned()))
    }

    /// Compares everything with the model.
    pub(super) async fn audit(&mut self) -> Result<(), Stop> {
        let (mut found, mut wrong) = (Model { clock: self.model.clock, ..Model::default() }, None);
        let mut records = 0;
        for keeper in &mut self.keepers {
            keeper.rest().await?;
            let tables: Vec<_> = [VALUES, EXPIRING]
                .into_iter()
                .flat_map(|state| keeper.store.tables(state).map(move |(of, table)| (state, of, table)))
                .collect();
            for (state, namespace, table) in tables {
                let visit = |key: &[u8], value: &[u8]| {
                    records += 1;
                    let new = match state {
                        VALUES => value_in(value).is_some_and(|value| {
                            found.values.insert((namespace, key_in(key)), value).is_none()
                        }),
                        _ => {
                            let (until, value) = value.split_at(8);
                            let until = i64::from_le_bytes(until.try_into().expect("eight bytes"));
                            let stamp = value_in(value).map_or(0, |value| value.stamp);
                            found.expiring.insert(key_in(key), (until, stamp)).is_none()
                        }
                    };
                    if !new {
                        wrong.get_or_insert_with(|| format!("key {} is twice, or not whole", key_in(key)));
                    }
                };
                keeper.store.visit_all(&keeper.reader, table, visit).await?;
            }
            collections(&keeper.store, &mut found);
        }
        self.ledger().operations += records;
        wrong = wrong.or_else(|| difference(&self.model, &found));
        wrong.map_or(Ok(()), |wrong| Err(Stop::Wrong(wrong)))
    }

    /// The store that a key belongs to, and the key's hash.
    pub(super) fn owner(&self, key: &[u8]) -> (usize, u64) {
        let hash = stable_hash(key);
        ((hash % self.plan.cores) as usize, hash)
    }

    pub(super) fn table(&mut self, core: usize, state: u32, namespace: i64) -> TableId {
        self.keepers[core].store.create_table_of(state, namespace, layout(state))
    }
}

/// Reads the collections of a store.
fn collections(store: &Store, found: &mut Model) {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    let all = |state: u32| {
        let tables = store.tables(state).map(|(_, table)| table);
        let of =
            |table| owners(store, table).into_iter().map(move |key| (key_in(&key), Owner::new(table, &key)));
        tables.flat_map(of).collect::<BTreeMap<_, _>>()
    };
    for (key, owner) in all(LISTS) {
        found.lists.insert(key, list::iter(store, &owner, None).map(|(value, _)| number(value)).collect());
    }
    for (key, owner) in all(MAPS) {
        let entries = map::iter(store, &owner, None);
        found.maps.insert(key, entries.map(|entry| (key_in(entry.key), number(entry.value))).collect());
    }
    for (key, owner) in all(TIMELINES) {
        let times = found.timelines.entry(key).or_default();
        for entry in timeline::range(store, &owner, i64::MIN, i64::MAX) {
            times.entry(entry.time).or_default().push(number(entry.value));
        }
    }
}

/// Where what was found is not what must be.
fn difference(model: &Model, found: &Model) -> Option<String> {
    fn first<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
        what: &str,
        expected: &BTreeMap<K, V>,
        found: &BTreeMap<K, V>,
    ) -> Option<String> {
        let keys = expected.keys().chain(found.keys());
        let key = keys.into_iter().find(|key| expected.get(key) != found.get(key))?;
        Some(format!("{what} {key:?} is {:?}, not {:?}", found.get(key), expected.get(key)))
    }
    first("value", &model.values, &found.values)
        .or_else(|| first("expiring value", &model.alive(), &found.alive()))
        .or_else(|| first("list", &model.lists, &found.lists))
        .or_else(|| first("map", &model.maps, &found.maps))
        .or_else(|| first("timeline", &model.timelines, &found.timelines))
}
