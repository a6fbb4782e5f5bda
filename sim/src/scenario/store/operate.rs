//! What a process does to its stores, one operation at a time, each compared with the model.

use millstream_storage::collection::{Owner, list, map, timeline};
use millstream_storage::expiry;
use millstream_storage::hash::stable_hash;
use millstream_storage::store::TooLarge;

use super::keeper::Stop;
use super::model::{Value, stamp, value_in};
use super::session::{EXPIRING, LISTS, MAPS, Session, TIMELINES, VALUES, key_bytes};

impl From<TooLarge> for Stop {
    fn from(error: TooLarge) -> Stop {
        Stop::Wrong(error.to_string())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, key: u32, found: T, expected: T) -> Result<(), Stop> {
    if found == expected {
        return Ok(());
    }
    Err(Stop::Wrong(format!("{what} {key} is {found:?}, not {expected:?}")))
}

impl Session {
    fn stamp(&mut self) -> u64 {
        let mut ledger = self.ledger();
        ledger.stamps += 1;
        ledger.stamps
    }

    fn draw_key(&mut self) -> u32 {
        let keys = self.plan.keys;
        (if self.random.coin() { self.random.below(keys) } else { self.random.magnitude(keys) - 1 }) as u32
    }

    fn draw_namespace(&mut self) -> i64 {
        self.random.below(self.plan.namespaces) as i64
    }

    fn draw_len(&mut self) -> usize {
        let random = &mut self.random;
        match random.below(8) {
            0 => 700,
            1 => random.range(8, 40) as usize,
            _ => self.plan.usual_len,
        }
    }

    /// One operation, or a few.
    pub(super) async fn operate(&mut self) -> Result<(), Stop> {
        let count = match self.random.below(100) {
            0..20 => self.put().await?,
            20..40 => self.get().await?,
            40..50 => self.change().await?,
            50..60 => self.remove().await?,
            60..66 => self.batch().await?,
            66..80 => self.expiring().await?,
            80..88 => self.collection()?,
            88..92 => self.ask(),
            92..97 => self.maintain()?,
            97..99 => self.spill(),
            _ => self.rarely().await?,
        };
        self.ledger().operations += count;
        Ok(())
    }

    async fn put(&mut self) -> Result<u64, Stop> {
        let (namespace, key, len) = (self.draw_namespace(), self.draw_key(), self.draw_len());
        let value = Value { stamp: self.stamp(), len };
        let bytes = key_bytes(key);
        let (core, hash) = self.owner(&bytes);
        let table = self.table(core, VALUES, namespace);
        self.fetch(core, table, &[hash]).await?;
        self.keepers[core].store.put(table, hash, &bytes, &value.bytes())?;
        self.model.values.insert((namespace, key), value);
        Ok(1)
    }

    async fn get(&mut self) -> Result<u64, Stop> {
        let (namespace, key) = (self.draw_namespace(), self.draw_key());
        let bytes = key_bytes(key);
        let (core, hash) = self.owner(&bytes);
        let table = self.table(core, VALUES, namespace);
        self.fetch(core, table, &[hash]).await?;
        let found = self.keepers[core].store.get(table, hash, &bytes).map(value_in);
        same("value", key, found, self.model.values.get(&(namespace, key)).copied().map(Some))?;
        Ok(1)
    }

    async fn change(&mut self) -> Result<u64, Stop> {
        let (namespace, key, number) = (self.draw_namespace(), self.draw_key(), self.stamp());
        let bytes = key_bytes(key);
        let (core, hash) = self.owner(&bytes);
        let table = self.table(core, VALUES, namespace);
        self.fetch(core, table, &[hash]).await?;
        let changed = self.keepers[core].store.get_mut(table, hash, &bytes).map(|value| {
            let before = value_in(value);
            stamp(value, number);
            before
        });
        let expected = self
            .model
            .values
            .get_mut(&(namespace, key))
            .map(|value| Some(std::mem::replace(value, Value { stamp: number, ..*value })));
        same("value", key, changed, expected)?;
        Ok(1)
    }

    async fn remove(&mut self) -> Result<u64, Stop> {
        let (namespace, first) = (self.draw_namespace(), self.draw_key());
        let count = if self.random.one_in(8) { self.random.magnitude(40) } else { 1 };
        for key in (u64::from(first)..).take(count as usize) {
            let key = (key % self.plan.keys) as u32;
            let bytes = key_bytes(key);
            let (core, hash) = self.owner(&bytes);
            let table = self.table(core, VALUES, namespace);
            self.fetch(core, table, &[hash]).await?;
            let removed = self.keepers[core].store.remove(table, hash, &bytes);
            let expected = self.model.values.remove(&(namespace, key)).is_some();
            same("removal of", key, removed, expected)?;
        }
        Ok(count)
    }

    /// Keys in a row, those of one store at a time.
    async fn batch(&mut self) -> Result<u64, Stop> {
        let (namespace, first, number) = (self.draw_namespace(), self.draw_key(), self.stamp());
        let count = self.random.magnitude(32).min(self.plan.keys);
        let len = self.draw_len();
        let keys = (0..count).map(|n| ((u64::from(first) + n) % self.plan.keys) as u32);
        let mut by_core = vec![Vec::new(); self.keepers.len()];
        for key in keys {
            let bytes = key_bytes(key);
            by_core[self.owner(&bytes).0].push((key, bytes));
        }
        for (core, keys) in by_core.into_iter().enumerate().filter(|(_, keys)| !keys.is_empty()) {
            let hashes: Vec<u64> = keys.iter().map(|(_, bytes)| stable_hash(bytes)).collect();
            let table = self.table(core, VALUES, namespace);
            self.fetch(core, table, &hashes).await?;
            let change = |_: usize, _: bool, value: &mut [u8]| stamp(value, number);
            let store = &mut self.keepers[core].store;
            store.upsert_batch(table, &hashes, &|at: usize| &keys[at].1, len, change)?;
            for (key, _) in keys {
                self.model.values.entry((namespace, key)).or_insert(Value { stamp: 0, len }).stamp = number;
            }
        }
        Ok(count)
    }

    /// A value that expires is put, looked at or removed.
    async fn expiring(&mut self) -> Result<u64, Stop> {
        let (key, what) = (self.draw_key(), self.random.below(8));
        let bytes = key_bytes(key);
        let (core, hash) = self.owner(&bytes);
        let table = self.table(core, EXPIRING, 0);
        self.fetch(core, table, &[hash]).await?;
        let alive = self.model.expiring.get(&key).copied().filter(|(until, _)| *until > self.model.clock);
        match what {
            0..4 => {
                let (until, number) = (self.model.clock + self.random.magnitude(1000) as i64, self.stamp());
                let mut value = vec![0; 8 + self.draw_len()];
                stamp(&mut value[8..], number);
                expiry::set_until(&mut value, until);
                self.keepers[core].store.put(table, hash, &bytes, &value)?;
                self.model.expiring.insert(key, (until, number));
            }
            4..7 => {
                let found = self.keepers[core].store.get(table, hash, &bytes);
                let found = found.filter(|value| !expiry::expired(value, self.model.clock));
                let found =
                    found.map(|value| (expiry::until(value), value_in(&value[8..]).map_or(0, |v| v.stamp)));
                same("expiring value", key, found, alive)?;
            }
            _ => {
                let removed = self.keepers[core].store.remove(table, hash, &bytes);
                if alive.is_some() {
                    same("removal of expiring", key, removed, true)?;
                }
                self.model.expiring.remove(&key);
            }
        }
        Ok(1)
    }

    /// A list, a map or a timeline of one of a few keys, which stay in memory.
    fn collection(&mut self) -> Result<u64, Stop> {
        let (key, what) = (self.random.below(12) as u32, self.random.below(10));
        let (core, _) = self.owner(&key_bytes(key));
        self.keepers[core].collect()?;
        match what {
            0..3 => self.list(core, key)?,
            3..7 => self.map(core, key)?,
            _ => self.timeline(core, key)?,
        }
        Ok(1)
    }

    fn list(&mut self, core: usize, key: u32) -> Result<(), Stop> {
        let owner = Owner::new(self.table(core, LISTS, 0), &key_bytes(key));
        let number = self.stamp();
        let expected = self.model.lists.entry(key).or_default();
        let store = &mut self.keepers[core].store;
        if expected.len() >= 150 {
            list::clear(store, &owner, None);
            expected.clear();
        } else {
            list::push(store, &owner, &number.to_le_bytes(), None)?;
            expected.push(number);
        }
        same("length of list", key, list::len(store, &owner, None), expected.len() as u64)?;
        self.model.lists.retain(|_, list| !list.is_empty());
        Ok(())
    }

    fn map(&mut self, core: usize, key: u32) -> Result<(), Stop> {
        let owner = Owner::new(self.table(core, MAPS, 0), &key_bytes(key));
        let (entry, number, what) = (self.random.below(100) as u32, self.stamp(), self.random.below(4));
        let expected = self.model.maps.entry(key).or_default();
        let (store, name) = (&mut self.keepers[core].store, key_bytes(entry));
        let held = expected.get(&entry).copied();
        match what {
            0 => {
                let removed = map::remove(store, &owner, &name, None);
                same("removal of entry", entry, removed, expected.remove(&entry).is_some())?;
            }
            1 => {
                let found = map::get(store, &owner, &name, None).map(<[u8]>::to_vec);
                same("entry", entry, found, held.map(|number| number.to_le_bytes().to_vec()))?;
            }
            _ => {
                let new = map::put(store, &owner, &name, &number.to_le_bytes(), None)?;
                same("news of entry", entry, new, expected.insert(entry, number).is_none())?;
            }
        }
        same("size of map", key, map::len(store, &owner, None), expected.len() as u64)?;
        self.model.maps.retain(|_, map| !map.is_empty());
        Ok(())
    }

    fn timeline(&mut self, core: usize, key: u32) -> Result<(), Stop> {
        let owner = Owner::new(self.table(core, TIMELINES, 0), &key_bytes(key));
        let (time, number, what) = (self.random.below(200) as i64, self.stamp(), self.random.below(6));
        let expected = self.model.timelines.entry(key).or_default();
        let store = &mut self.keepers[core].store;
        if what == 0 {
            let until = time + 20;
            let count: usize = expected.range(time..=until).map(|(_, numbers)| numbers.len()).sum();
            expected.retain(|of, _| !(time..=until).contains(of));
            same("removal from timeline", key, timeline::remove(store, &owner, time, until), count as u64)?;
        } else {
            timeline::insert(store, &owner, time, &number.to_le_bytes())?;
            expected.entry(time).or_default().push(number);
        }
        let found = timeline::first(store, &owner).map(|entry| (entry.time, entry.value.to_vec()));
        let first = expected.first_key_value().map(|(time, all)| (*time, all[0].to_le_bytes().to_vec()));
        same("start of timeline", key, found, first)?;
        self.model.timelines.retain(|_, times| !times.is_empty());
        Ok(())
    }

    /// Asks for keys that something else may change before they come.
    fn ask(&mut self) -> u64 {
        let (namespace, first) = (self.draw_namespace(), self.draw_key());
        let count = self.random.magnitude(64);
        for core in 0..self.keepers.len() {
            let keys = (u64::from(first)..u64::from(first) + count)
                .map(|key| key_bytes((key % self.plan.keys) as u32));
            let hashes: Vec<u64> =
                keys.map(|key| self.owner(&key)).filter(|of| of.0 == core).map(|of| of.1).collect();
            let table = self.table(core, VALUES, namespace);
            self.keepers[core].ask(table, &hashes);
        }
        1
    }

    fn maintain(&mut self) -> Result<u64, Stop> {
        let budget = self.random.magnitude(100_000) as usize;
        for keeper in &mut self.keepers {
            keeper.maintain(budget)?;
        }
        Ok(1)
    }

    fn spill(&mut self) -> u64 {
        self.keepers.iter_mut().for_each(super::keeper::Keeper::spill);
        1
    }

    /// Time passes, a namespace is dropped, or everything is compared.
    async fn rarely(&mut self) -> Result<u64, Stop> {
        match self.random.below(40) {
            0..30 => {
                self.model.clock += self.random.magnitude(200) as i64;
                let clock = self.model.clock;
                self.keepers.iter_mut().for_each(|keeper| keeper.store.set_clock(clock));
            }
            30..34 => {
                let namespace = self.draw_namespace();
                for keeper in &mut self.keepers {
                    if let Some(table) = keeper.store.table(VALUES, namespace) {
                        keeper.store.drop_table(table);
                    }
                }
                self.model.values.retain(|(of, _), _| *of != namespace);
            }
            34..36 => self.audit().await?,
            _ => {}
        }
        Ok(1)
    }
}
