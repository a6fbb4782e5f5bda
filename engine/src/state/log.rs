//! State in the log of its step.

use std::cell::RefCell;
use std::rc::Rc;

use millstream_storage::collection::{self, Owner, list, map, timeline};
use millstream_storage::expiry::{self, Life, UNTIL};
use millstream_storage::planted;
use millstream_storage::snapshot::Layout;
use millstream_storage::store::{Store, TableId, TooLarge};

use crate::error::{Error, ErrorKind, Result};
use crate::state::backend::{At, Backend, Elements, Entries, Moments};
use crate::state::present::Present;
use crate::state::spec::{Kind, Spec};
use crate::state::timers::{Domain, Timers};
use crate::state::ttl::{Prolonged, Ttl};
use crate::time::Timestamp;

/// States whose values are prefetched.
const PREFETCHED: usize = 2;

/// State in the log.
pub(crate) struct LogBackend {
    pub store: Store,
    pub timers: Timers,
    slots: Vec<Slot>,
    /// The latest time that was seen: what has expired stays so, wherever the clock jumps.
    clock: Timestamp,
    /// What was read of states that reading prolongs, to be prolonged once the call is over.
    read: RefCell<Vec<Read>>,
    restored: bool,
    scratch: Vec<u8>,
    present: Present,
}

/// A declared state and its table.
struct Slot {
    spec: Rc<Spec>,
    table: TableId,
    ttl: Option<Ttl>,
}

/// What was read in a call.
enum Read {
    /// The value, or all of a collection.
    All(usize),
    Entry(usize, Vec<u8>),
}

/// What the collections of a state are, if it has any.
pub(crate) fn collections(spec: &Spec) -> Option<collection::Kind> {
    match spec.kind {
        Kind::Value => None,
        Kind::List => Some(collection::Kind::List),
        Kind::Map => Some(collection::Kind::Map),
        Kind::Timeline => Some(collection::Kind::Timeline),
    }
}

/// How the records of a state are laid out.
pub(crate) fn layout(spec: &Spec) -> Layout {
    Layout { parts: spec.kind != Kind::Value, expires: spec.ttl().is_some() }
}

impl LogBackend {
    /// Makes the tables that are missing. The descriptions of those that are there were compared before.
    pub(crate) fn new(
        mut store: Store,
        timers: Timers,
        specs: &[Rc<Spec>],
        restored_clock: Option<Timestamp>,
    ) -> LogBackend {
        let slot = |spec: &Rc<Spec>| {
            let table = store.create_table_of(spec.id, 0, layout(spec));
            if let Some(kind) = collections(spec) {
                store.set_kind(table, kind);
            }
            Slot { spec: spec.clone(), table, ttl: spec.ttl() }
        };
        let slots = specs.iter().map(slot).collect();
        LogBackend {
            store,
            timers,
            slots,
            clock: restored_clock.filter(|_| !planted!(clock_not_restored)).unwrap_or(Timestamp::MIN),
            read: RefCell::default(),
            restored: restored_clock.is_some(),
            scratch: Vec::new(),
            present: Present::default(),
        }
    }

    /// Whether a key's state is more than records of its own.
    pub(crate) fn has_collections(&self) -> bool {
        self.slots.iter().any(|slot| slot.spec.kind != Kind::Value)
    }

    /// Asks for all that is kept of a key. Returns whether it is in memory: if not, once reads have come it is to be asked
    /// for again, as of a collection which parts there are is known when its head has come.
    pub(crate) fn ask(&mut self, hash: u64, key: &[u8]) -> bool {
        let LogBackend { store, slots, present, .. } = self;
        let keeps_parts = slots.iter().any(|slot| slot.spec.kind != Kind::Value);
        if keeps_parts && present.has(store, hash, key) {
            return true;
        }
        let (mut bytes, mut missing) = (0, false);
        for slot in slots.iter() {
            // All of them, also if one is missing: their reads go out together.
            match collections(&slot.spec) {
                None => missing |= !store.is_present(slot.table, hash),
                Some(kind) => match collection::resident_bytes(store, &Owner::new(slot.table, key), kind) {
                    Some(of_slot) => bytes += of_slot,
                    None => missing = true,
                },
            }
        }
        if keeps_parts && !missing {
            present.add(store, hash, key, bytes);
        }
        !missing
    }

    /// Asks the processor for the values of keys with these hashes that lie beyond its caches: of the first states, which are
    /// those that most records touch.
    pub(crate) fn prefetch(&self, hashes: &[u64]) {
        let LogBackend { store, slots, .. } = self;
        let values = slots.iter().filter(|slot| slot.spec.kind == Kind::Value).map(|slot| slot.table);
        for table in values.filter(|table| store.wants_prefetch(*table)).take(PREFETCHED) {
            hashes.iter().for_each(|hash| store.prefetch_index(table, *hash));
            hashes.iter().for_each(|hash| store.prefetch_record(table, *hash));
        }
    }

    /// Tells the time, which does not run backwards here.
    pub(crate) fn set_now(&mut self, now: Timestamp) {
        self.clock = self.clock.max(now);
        self.store.set_clock(self.clock);
    }

    /// Prolongs what the call has read.
    pub(crate) fn settle(&mut self, hash: u64, key: &[u8]) {
        if self.read.get_mut().is_empty() {
            return;
        }
        for read in std::mem::take(self.read.get_mut()) {
            let (slot, entry) = match read {
                Read::All(slot) => (slot, None),
                Read::Entry(slot, entry) => (slot, Some(entry)),
            };
            let at = At { slot, hash, key };
            let Some(life) = self.life(slot) else { continue };
            let owner = self.owner(at);
            match (entry, self.slots[slot].spec.kind) {
                (Some(entry), _) => map::touch(&mut self.store, &owner, &entry, life),
                (None, Kind::Value) => _ = self.value_mut(at),
                (None, Kind::List) => list::touch(&mut self.store, &owner, life),
                (None, Kind::Map) => {
                    let seen = map::iter(&self.store, &owner, Some(life));
                    let keys: Vec<Vec<u8>> = seen.map(|entry| entry.key.to_vec()).collect();
                    keys.iter().for_each(|entry| map::touch(&mut self.store, &owner, entry, life));
                }
                (None, Kind::Timeline) => {}
            }
        }
    }

    #[inline]
    fn life(&self, slot: usize) -> Option<Life> {
        let ttl = self.slots[slot].ttl?;
        let forgotten = planted!(expired_after_restore) && self.restored;
        let now = if forgotten { Timestamp::MIN } else { self.clock };
        Some(Life { now, until: ttl.end(self.clock) })
    }

    #[inline]
    fn owner(&self, at: At<'_>) -> Owner {
        Owner::new(self.slots[at.slot].table, at.key)
    }

    fn note_read(&self, slot: usize, read: impl FnOnce() -> Read) {
        if self.slots[slot].ttl.is_some_and(|ttl| ttl.prolonged == Prolonged::ByReadsAndWrites) {
            self.read.borrow_mut().push(read());
        }
    }

    /// Whether writing to what is there leaves its end as it is.
    fn keeps_end(&self, slot: usize) -> bool {
        self.slots[slot].ttl.is_some_and(|ttl| ttl.prolonged == Prolonged::Never)
    }

    /// As [`LogBackend::life`], with the end that an entry of a map has already, if that stays.
    fn life_of_entry(&self, at: At<'_>, owner: &Owner, key: &[u8]) -> Option<Life> {
        let life = self.life(at.slot)?;
        let until = match self.keeps_end(at.slot) {
            true => map::until(&self.store, owner, key, life).unwrap_or(life.until),
            false => life.until,
        };
        Some(Life { until, ..life })
    }

    fn too_large(&self, slot: usize) -> impl FnOnce(TooLarge) -> Error {
        let name = self.slots[slot].spec.name.clone();
        move |error| {
            let message = format!("state `{name}`: a key or value does not fit the state store");
            Error::new(ErrorKind::User, message).caused_by(error)
        }
    }
}

impl Backend for LogBackend {
    fn clock(&self) -> Timestamp {
        self.clock
    }

    #[inline]
    fn value(&self, at: At<'_>) -> Option<&[u8]> {
        let value = self.store.get(self.slots[at.slot].table, at.hash, at.key)?;
        let Some(life) = self.life(at.slot) else { return Some(value) };
        self.note_read(at.slot, || Read::All(at.slot));
        life.sees(expiry::until(value)).then(|| &value[UNTIL..])
    }

    #[inline]
    fn value_mut(&mut self, at: At<'_>) -> Option<&mut [u8]> {
        let table = self.slots[at.slot].table;
        let Some(life) = self.life(at.slot) else { return self.store.get_mut(table, at.hash, at.key) };
        let end = expiry::until(self.store.get(table, at.hash, at.key)?);
        if !life.sees(end) {
            return None;
        }
        let until = if self.keeps_end(at.slot) { end } else { life.until };
        let value = self.store.get_mut(table, at.hash, at.key)?;
        expiry::set_until(value, until);
        Some(&mut value[UNTIL..])
    }

    fn set_value(&mut self, at: At<'_>, value: &[u8]) -> Result<()> {
        let table = self.slots[at.slot].table;
        let put = match self.life(at.slot) {
            None => self.store.put(table, at.hash, at.key, value),
            Some(life) => {
                let old = self.store.get(table, at.hash, at.key).map(expiry::until);
                let kept = old.filter(|end| self.keeps_end(at.slot) && life.sees(*end));
                self.scratch.clear();
                self.scratch.extend_from_slice(&kept.unwrap_or(life.until).to_le_bytes());
                self.scratch.extend_from_slice(value);
                self.store.put(table, at.hash, at.key, &self.scratch)
            }
        };
        put.map_err(self.too_large(at.slot))
    }

    fn list(&self, at: At<'_>) -> Elements<'_> {
        self.note_read(at.slot, || Read::All(at.slot));
        let elements = list::iter(&self.store, &self.owner(at), self.life(at.slot));
        Box::new(elements.map(|(element, _)| element))
    }

    fn list_len(&self, at: At<'_>) -> u64 {
        list::len(&self.store, &self.owner(at), self.life(at.slot))
    }

    fn push(&mut self, at: At<'_>, element: &[u8]) -> Result<()> {
        let (owner, life) = (self.owner(at), self.life(at.slot));
        list::push(&mut self.store, &owner, element, life).map_err(self.too_large(at.slot))
    }

    fn entry(&self, at: At<'_>, key: &[u8]) -> Option<&[u8]> {
        self.note_read(at.slot, || Read::Entry(at.slot, key.to_vec()));
        map::get(&self.store, &self.owner(at), key, self.life(at.slot))
    }

    fn entry_mut(&mut self, at: At<'_>, key: &[u8]) -> Option<&mut [u8]> {
        let owner = self.owner(at);
        let life = self.life_of_entry(at, &owner, key);
        map::get_mut(&mut self.store, &owner, key, life)
    }

    fn set_entry(&mut self, at: At<'_>, key: &[u8], value: &[u8]) -> Result<()> {
        let owner = self.owner(at);
        let life = self.life_of_entry(at, &owner, key);
        let put = map::put(&mut self.store, &owner, key, value, life);
        put.map(|_| ()).map_err(self.too_large(at.slot))
    }

    fn remove_entry(&mut self, at: At<'_>, key: &[u8]) -> bool {
        let (owner, life) = (self.owner(at), self.life(at.slot));
        map::remove(&mut self.store, &owner, key, life)
    }

    fn entries(&self, at: At<'_>) -> Entries<'_> {
        self.note_read(at.slot, || Read::All(at.slot));
        let entries = map::iter(&self.store, &self.owner(at), self.life(at.slot));
        Box::new(entries.map(|entry| (entry.key, entry.value)))
    }

    fn entries_len(&self, at: At<'_>) -> u64 {
        map::len(&self.store, &self.owner(at), self.life(at.slot))
    }

    fn moments(&self, at: At<'_>, from: Timestamp, to: Timestamp) -> Moments<'_> {
        let range = timeline::range(&self.store, &self.owner(at), from, to);
        Box::new(range.map(|entry| (entry.time, entry.value)))
    }

    fn moment(&self, at: At<'_>, time: Timestamp) -> Option<(Timestamp, &[u8])> {
        timeline::floor(&self.store, &self.owner(at), time).map(|entry| (entry.time, entry.value))
    }

    fn moments_len(&self, at: At<'_>) -> u64 {
        timeline::len(&self.store, &self.owner(at))
    }

    fn insert_moment(&mut self, at: At<'_>, time: Timestamp, value: &[u8]) -> Result<()> {
        let owner = self.owner(at);
        timeline::insert(&mut self.store, &owner, time, value).map_err(self.too_large(at.slot))
    }

    fn remove_moments(&mut self, at: At<'_>, from: Timestamp, to: Timestamp) -> u64 {
        let owner = self.owner(at);
        timeline::remove(&mut self.store, &owner, from, to)
    }

    fn clear(&mut self, at: At<'_>) {
        let (owner, life) = (self.owner(at), self.life(at.slot));
        match self.slots[at.slot].spec.kind {
            Kind::Value => _ = self.store.remove(self.slots[at.slot].table, at.hash, at.key),
            Kind::List => list::clear(&mut self.store, &owner, life),
            Kind::Map => map::clear(&mut self.store, &owner, life),
            Kind::Timeline => timeline::clear(&mut self.store, &owner),
        }
    }

    fn set_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]) -> Result<()> {
        self.timers.set(&mut self.store, domain, at, key)
    }

    fn delete_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]) {
        self.timers.delete(&mut self.store, domain, at, key);
    }
}
