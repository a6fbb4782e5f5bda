//! What is decided about transactions, and the state that follows from it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// How many commits of a producer are remembered, so that a commit can be repeated.
const REMEMBERED: usize = 1024;

/// A record of the log of decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Decision {
    /// All that was decided before: the first record of every file.
    Snapshot(State),
    /// A producer of this epoch has taken over.
    Fence { producer: String, epoch: u64 },
    /// A transaction may have records from now on.
    Begin { transaction: u64, producer: String },
    /// It is durable, with records below these offsets, and can be committed by its id.
    Prepare { transaction: u64, id: u64, ends: Vec<u64> },
    /// Its records are visible. They lie below these offsets.
    Commit { transaction: u64, ends: Vec<u64> },
    /// They never will be.
    Abort { transaction: u64, ends: Vec<u64> },
    /// Offsets below `start` are gone.
    Trim { partition: u32, start: u64 },
}

/// What was decided so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// The number of the next transaction.
    pub(super) next: u64,
    pub(super) producers: BTreeMap<String, ProducerState>,
    /// Neither committed nor aborted.
    pub(super) open: BTreeMap<u64, Open>,
    /// Aborted, with the offsets that their records lie below. All others below `next` are committed.
    pub(super) aborted: BTreeMap<u64, Vec<u64>>,
    /// The first offset of each partition.
    pub(super) starts: Vec<u64>,
    /// Offsets of each partition below these are known to be durable.
    pub(super) ends: Vec<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProducerState {
    pub(super) epoch: u64,
    /// The ids of its last commits.
    pub(super) committed: BTreeSet<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Open {
    pub(super) producer: String,
    /// The id that it was prepared with.
    pub(super) prepared: Option<u64>,
}

/// What is known of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Committed,
    Aborted,
    /// Not decided yet, or not that is known here.
    Open,
}

impl State {
    pub(super) fn new(partitions: u32) -> State {
        let zeros = vec![0; partitions as usize];
        State { next: 1, starts: zeros.clone(), ends: zeros, ..State::default() }
    }

    /// Whether a snapshot is one of a topic with so many partitions.
    pub(super) fn fits(&self, partitions: u32) -> bool {
        [&self.starts, &self.ends].into_iter().all(|of| of.len() == partitions as usize)
    }

    pub(super) fn apply(&mut self, decision: &Decision) {
        match decision {
            Decision::Snapshot(state) => self.clone_from(state),
            Decision::Fence { producer, epoch } => {
                self.producers.entry(producer.clone()).or_default().epoch = *epoch;
            }
            Decision::Begin { transaction, producer } => {
                self.next = transaction + 1;
                self.open.insert(*transaction, Open { producer: producer.clone(), prepared: None });
            }
            Decision::Prepare { transaction, id, ends } => {
                if let Some(open) = self.open.get_mut(transaction) {
                    open.prepared = Some(*id);
                }
                self.raise_ends(ends);
            }
            Decision::Commit { transaction, ends } => {
                if let Some(Open { producer, prepared: Some(id) }) = self.open.remove(transaction) {
                    let committed = &mut self.producers.entry(producer).or_default().committed;
                    committed.insert(id);
                    if committed.len() > REMEMBERED {
                        committed.pop_first();
                    }
                }
                self.raise_ends(ends);
            }
            Decision::Abort { transaction, ends } => {
                self.open.remove(transaction);
                self.aborted.insert(*transaction, ends.clone());
            }
            Decision::Trim { partition, start } => {
                if let Some(at) = self.starts.get_mut(*partition as usize) {
                    *at = (*at).max(*start);
                }
            }
        }
    }

    fn raise_ends(&mut self, ends: &[u64]) {
        for (known, end) in self.ends.iter_mut().zip(ends) {
            *known = (*known).max(*end);
        }
    }

    /// Forgets the aborted transactions none of whose records are left.
    pub(super) fn forget(&mut self) {
        let starts = &self.starts;
        self.aborted.retain(|_, ends| ends.iter().zip(starts).any(|(end, start)| end > start));
    }

    pub(super) fn fate(&self, transaction: u64) -> Fate {
        if self.open.contains_key(&transaction) || transaction >= self.next {
            Fate::Open
        } else if self.aborted.contains_key(&transaction) {
            Fate::Aborted
        } else {
            Fate::Committed
        }
    }

    /// The transaction that a producer has prepared under an id.
    pub(super) fn prepared(&self, producer: &str, id: u64) -> Option<u64> {
        let is_it = |open: &Open| open.producer == producer && open.prepared == Some(id);
        self.open.iter().find(|(_, open)| is_it(open)).map(|(transaction, _)| *transaction)
    }
}

pub(super) fn encode(decision: &Decision) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(decision).expect("a decision is plain data");
    // Blanks at the end of JSON mean nothing.
    bytes.resize(bytes.len().next_multiple_of(8), b' ');
    bytes
}
