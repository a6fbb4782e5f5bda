//! What is known outside the world of what was appended to a topic and decided about it.

use std::collections::{BTreeMap, BTreeSet};

use crate::trace::mix;

/// A transaction, as whoever asked for it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nobody asked for a commit.
    Open,
    /// It was acknowledged as prepared, and nothing was asked for since.
    Prepared,
    /// A commit was asked for; nobody knows what came of it.
    Asked,
    /// Acknowledged.
    Committed,
    /// Never to be seen.
    Aborted,
}

/// One record that was appended, perhaps.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    partition: u32,
    transaction: Option<u64>,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    attempts: BTreeMap<u64, Attempt>,
    /// Records at their offsets, once that was acknowledged or read: for ever.
    places: BTreeMap<(u32, u64), u64>,
    /// Acknowledged records of no transaction, with their places.
    acknowledged: BTreeSet<(u32, u64)>,
    /// Places of records that a reader was given.
    shown: BTreeSet<(u32, u64)>,
    pub(super) transactions: BTreeMap<u64, Fate>,
    /// The records of each transaction, where they were to go.
    parts: BTreeMap<u64, BTreeMap<(u32, u64), u64>>,
    pub(super) broken: Option<String>,
    /// How often the topic was found complete after all was done.
    pub(super) done: bool,
}

/// The bytes of a record: its number, and as many more as follow from it.
pub(super) fn value_of(id: u64) -> Vec<u8> {
    let words = mix(id, 3) % if id.is_multiple_of(9) { 200 } else { 20 };
    let rest = (0..words).flat_map(|word| mix(id, word).to_le_bytes());
    id.to_le_bytes().into_iter().chain(rest).collect()
}

fn id_of(value: &[u8]) -> Option<u64> {
    let id = u64::from_le_bytes(value.get(..8)?.try_into().expect("8 bytes"));
    (value == value_of(id)).then_some(id)
}

impl Ledger {
    fn complain(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// The numbers of the next records.
    pub(super) fn attempt(&mut self, partition: u32, transaction: Option<u64>, count: u64) -> Vec<u64> {
        let first = self.attempts.len() as u64;
        let ids: Vec<u64> = (first..first + count).collect();
        self.attempts.extend(ids.iter().map(|id| (*id, Attempt { partition, transaction })));
        ids
    }

    /// Records of a transaction are on their way to their places.
    pub(super) fn append(&mut self, transaction: u64, partition: u32, first: u64, ids: &[u64]) {
        let places = (first..).map(|offset| (partition, offset)).zip(ids.iter().copied());
        self.parts.entry(transaction).or_default().extend(places);
    }

    /// An append was acknowledged.
    pub(super) fn acknowledge(&mut self, partition: u32, first: u64, ids: &[u64]) {
        for (offset, id) in (first..).zip(ids) {
            self.place(partition, offset, *id);
            if self.attempts[id].transaction.is_none() {
                self.acknowledged.insert((partition, offset));
            }
        }
    }

    /// A record is at an offset: now and for ever.
    fn place(&mut self, partition: u32, offset: u64, id: u64) {
        let there = *self.places.entry((partition, offset)).or_insert(id);
        if there != id {
            self.complain(format!("offset {offset} of partition {partition} was record {there}, is {id}"));
        }
    }

    /// A reader of committed records was given this one.
    pub(super) fn read(&mut self, partition: u32, offset: u64, value: &[u8]) -> Option<u64> {
        let attempt = id_of(value).and_then(|id| Some((id, *self.attempts.get(&id)?)));
        let Some((id, attempt)) = attempt.filter(|(_, attempt)| attempt.partition == partition) else {
            self.complain(format!(
                "offset {offset} of partition {partition}: {value:02x?} was never appended"
            ));
            return None;
        };
        if let Some(of) = attempt.transaction
            && !matches!(self.transactions[&of], Fate::Asked | Fate::Committed)
        {
            let fate = self.transactions[&of];
            self.complain(format!("record {id} of transaction {of} was read, which is {fate:?}"));
        }
        self.place(partition, offset, id);
        self.shown.insert((partition, offset));
        Some(id)
    }

    /// All that can be read, after everything is decided: every acknowledged record from `starts` on is among it, every
    /// one that was read, and of each transaction all or nothing.
    pub(super) fn audit(&mut self, seen: &BTreeMap<(u32, u64), u64>, starts: &[u64]) {
        let left = |(partition, offset): &(u32, u64)| *offset >= starts[*partition as usize];
        let gone = |place: &&(u32, u64)| left(place) && !seen.contains_key(place);
        if let Some(place) = self.acknowledged.iter().find(gone) {
            self.complain(format!("the acknowledged record at {place:?} is gone"));
        }
        if let Some(place) = self.shown.iter().find(gone) {
            self.complain(format!("the record at {place:?} was read, and is gone"));
        }
        for (of, fate) in self.transactions.clone() {
            let places = self.parts.get(&of).into_iter().flatten().filter(|(place, _)| left(place));
            let is_there = |(place, id): &(&(u32, u64), &u64)| seen.get(place) == Some(id);
            let (there, gone): (Vec<_>, Vec<_>) = places.partition(is_there);
            let fate = match (fate, there.is_empty(), gone.is_empty()) {
                (Fate::Asked, false, true) => Fate::Committed,
                (Fate::Asked, true, false) => Fate::Aborted,
                (Fate::Committed, _, false) => {
                    self.complain(format!(
                        "the record at {:?} of committed transaction {of} is gone",
                        gone[0]
                    ));
                    fate
                }
                (_, false, false) => {
                    self.complain(format!(
                        "of transaction {of}, {:?} is there and {:?} is not",
                        there[0], gone[0]
                    ));
                    fate
                }
                _ => fate,
            };
            self.transactions.insert(of, fate);
        }
    }
}
