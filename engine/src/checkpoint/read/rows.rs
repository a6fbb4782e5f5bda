//! The entries of a state as bytes, in an order that depends on the keys.

use std::collections::VecDeque;

use millstream_storage::collection::{self, Owner, list, map, timeline};
use millstream_storage::expiry::{self, Life, UNTIL};
use millstream_storage::hash::stable_hash;
use millstream_storage::store::{Store, TableId};

use super::slices::Slices;
use super::target::{Kind, Target};
use crate::checkpoint::manifest::StepManifest;
use crate::error::{Error, ErrorKind, Result};
use crate::state::operator::unhex;
use crate::state::timers::key_of_timer;
use crate::time::Timestamp;

/// Keys of values that are made ready together.
const TOGETHER: usize = 1024;

/// An entry of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The encoded key; none of the states of cores.
    pub key: Vec<u8>,
    pub place: Place,
    /// The archive.
    pub value: Vec<u8>,
    /// Until when it lives, if it expires.
    pub until: Option<Timestamp>,
}

/// Where among a key's entries one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the only one.
    Only,
    /// The place in a list.
    Index(u64),
    /// The encoded key of a map's entry.
    Entry(Vec<u8>),
    /// The time of a timeline's entry, or of a timer.
    Time(Timestamp),
    /// The end of a window.
    Window(Timestamp),
    /// The core, and the place in its list.
    Core(usize, u64),
}

/// The rows of a state.
pub(super) struct Rows {
    pub(super) target: Target,
    pub(super) slices: Slices,
    slice: Option<Slice>,
    ready: VecDeque<Row>,
}

/// What is in memory, and how much of it was visited.
struct Slice {
    store: Store,
    /// The tables still to be visited, last first, and where to go on in the last: a hash.
    tables: Vec<(i64, TableId)>,
    from: u64,
    /// The keys still to be visited of a collection, last first.
    owners: Vec<Vec<u8>>,
}

impl Rows {
    pub(super) fn new(target: Target, slices: Slices, step: &StepManifest) -> Result<Rows> {
        let ready = match target.kind {
            Kind::CoreList | Kind::Broadcast => of_cores(&target, step)?,
            _ => VecDeque::new(),
        };
        Ok(Rows { target, slices, slice: None, ready })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Ok(Some(row));
            }
            if let Some(slice) = &mut self.slice {
                if slice.fill(&self.target, &mut self.ready)? {
                    continue;
                }
                self.slice = None;
            }
            let next = self.slices.next(&self.target).await.map_err(|error| {
                let message = format!("{} cannot be read", self.target.called());
                Error::new(ErrorKind::Restore, message).caused_by(error)
            })?;
            let Some(store) = next else { return Ok(None) };
            self.slice = Some(Slice::new(store, &self.target));
        }
    }
}

impl Slice {
    fn new(store: Store, target: &Target) -> Slice {
        let states = target.parts.iter().flat_map(|part| &part.tables).map(|table| table.state).next();
        let mut tables: Vec<_> = states.into_iter().flat_map(|state| store.tables(state)).collect();
        tables.reverse();
        let mut slice = Slice { store, tables, from: 0, owners: Vec::new() };
        if matches!(target.kind, Kind::List | Kind::Map | Kind::Timeline) {
            slice.owners =
                slice.tables.iter().flat_map(|(_, table)| collection::owners(&slice.store, *table)).collect();
            slice.owners.sort_by_cached_key(|key| std::cmp::Reverse((stable_hash(key), key.clone())));
        }
        slice
    }

    /// Makes the next rows ready. Returns whether there may be more.
    fn fill(&mut self, target: &Target, ready: &mut VecDeque<Row>) -> Result<bool> {
        let Some(&(namespace, table)) = self.tables.last() else { return Ok(false) };
        match target.kind {
            Kind::List | Kind::Map | Kind::Timeline => {
                let Some(key) = self.owners.pop() else { return Ok(false) };
                collect(&self.store, table, &key, target, ready);
                return Ok(true);
            }
            Kind::Timers => {
                self.tables.pop();
                return timers(&self.store, table, ready).map(|()| true);
            }
            _ => {}
        }
        let mut result = Ok(());
        let visit = |key: &[u8], value: &[u8]| {
            let place = if target.kind == Kind::Windows { Place::Window(namespace) } else { Place::Only };
            match value_row(key, place, value, target) {
                Ok(row) => ready.extend(row),
                Err(error) => result = Err(error),
            }
        };
        match self.store.for_each_from(table, self.from, TOGETHER, visit) {
            Some(next) => self.from = next,
            None => {
                self.tables.pop();
                self.from = 0;
            }
        }
        result.map(|()| true)
    }
}

/// A value's row, unless it has expired.
fn value_row(key: &[u8], place: Place, value: &[u8], target: &Target) -> Result<Option<Row>> {
    let (value, until) = match (target.expires, value.get(UNTIL..)) {
        (false, _) => (value, None),
        (true, Some(rest)) => (rest, Some(expiry::until(value))),
        (true, None) => return Err(tampered(target)),
    };
    let seen = until.is_none_or(|until| until > target.clock);
    Ok(seen.then(|| Row { key: key.to_vec(), place, value: value.to_vec(), until }))
}

/// The entries of a key's collection that have not expired.
fn collect(store: &Store, table: TableId, key: &[u8], target: &Target, ready: &mut VecDeque<Row>) {
    let owner = Owner::new(table, key);
    let life = target.expires.then_some(Life { now: target.clock, until: 0 });
    let row = |place, value: &[u8], until: i64| Row {
        key: key.to_vec(),
        place,
        value: value.to_vec(),
        until: life.map(|_| until),
    };
    match target.kind {
        Kind::List => {
            let elements = (0..).zip(list::iter(store, &owner, life));
            ready.extend(elements.map(|(at, (value, until))| row(Place::Index(at), value, until)));
        }
        Kind::Map => {
            let entries = map::iter(store, &owner, life);
            ready
                .extend(entries.map(|entry| row(Place::Entry(entry.key.to_vec()), entry.value, entry.until)));
        }
        _ => {
            let entries = timeline::range(store, &owner, i64::MIN, i64::MAX);
            ready.extend(entries.map(|entry| row(Place::Time(entry.time), entry.value, 0)));
        }
    }
}

/// By time, then by key.
fn timers(store: &Store, table: TableId, ready: &mut VecDeque<Row>) -> Result<()> {
    let mut found = Vec::new();
    let mut unreadable = false;
    store.for_each(table, |record, _| match key_of_timer(record) {
        Some((at, key)) => found.push((at, key.to_vec())),
        None => unreadable = true,
    });
    if unreadable {
        return Err(Error::new(
            ErrorKind::Restore,
            "a timer cannot be read; the checkpoint was tampered with",
        ));
    }
    found.sort();
    let row = |(at, key)| Row { key, place: Place::Time(at), value: Vec::new(), until: None };
    ready.extend(found.into_iter().map(row));
    Ok(())
}

/// What the manifest keeps of the cores' own states. A broadcast state is the same on all of them: the first one's.
fn of_cores(target: &Target, step: &StepManifest) -> Result<VecDeque<Row>> {
    let mut rows = VecDeque::new();
    let row = |place, value| Row { key: Vec::new(), place, value, until: None };
    let cores = if target.kind == Kind::Broadcast { 1 } else { step.parts.len() };
    for part in step.parts.iter().take(cores) {
        let kept = part.meta["operator"]["states"][&target.state].as_array();
        for (at, element) in (0..).zip(kept.into_iter().flatten()) {
            let text =
                |json: &serde_json::Value| json.as_str().and_then(unhex).ok_or_else(|| tampered(target));
            match target.kind {
                Kind::Broadcast => rows.push_back(row(Place::Entry(text(&element[0])?), text(&element[1])?)),
                _ => rows.push_back(row(Place::Core(part.shard, at), text(element)?)),
            }
        }
    }
    Ok(rows)
}

fn tampered(target: &Target) -> Error {
    let message = format!("{}: an entry cannot be read; the checkpoint was tampered with", target.called());
    Error::new(ErrorKind::Restore, message)
}
