//! What must be in the stores, kept in ordered maps; and what is known of it outside the world.

use std::collections::BTreeMap;

/// A value: the number that it is made from, and its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub stamp: u64,
    pub len: usize,
}

impl Value {
    pub(super) fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        stamp(&mut bytes, self.stamp);
        bytes
    }
}

/// Fills bytes, eight at least, with what follows from a number.
pub(super) fn stamp(bytes: &mut [u8], stamp: u64) {
    bytes.fill(stamp as u8);
    bytes[..8].copy_from_slice(&stamp.to_le_bytes());
}

/// The value that bytes are, if they are one.
pub(super) fn value_in(bytes: &[u8]) -> Option<Value> {
    let stamp = u64::from_le_bytes(*bytes.first_chunk()?);
    let whole = bytes[8..].iter().all(|byte| *byte == stamp as u8);
    whole.then_some(Value { stamp, len: bytes.len() })
}

/// Everything, by what it is kept as and by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    /// The time by which values expire.
    pub clock: i64,
    /// By namespace and key.
    pub values: BTreeMap<(i64, u32), Value>,
    /// Until when, and a number.
    pub expiring: BTreeMap<u32, (i64, u64)>,
    pub lists: BTreeMap<u32, Vec<u64>>,
    pub maps: BTreeMap<u32, BTreeMap<u32, u64>>,
    /// By time; of one time in the order in which they came.
    pub timelines: BTreeMap<u32, BTreeMap<i64, Vec<u64>>>,
}

impl Model {
    /// The expiring values that are to be seen.
    pub(super) fn alive(&self) -> BTreeMap<u32, (i64, u64)> {
        let seen = |(_, (until, _)): &(&u32, &(i64, u64))| *until > self.clock;
        self.expiring.iter().filter(seen).map(|(key, value)| (*key, *value)).collect()
    }
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// What each checkpoint that was begun must restore, if it came to be.
    pub begun: BTreeMap<u64, Model>,
    /// The newest checkpoint that was acknowledged.
    pub acknowledged: u64,
    /// How many were.
    pub checkpoints: u64,
    pub epoch: u64,
    /// Numbers of values that were given out.
    pub stamps: u64,
    /// Processes that were started.
    pub processes: u64,
    /// Stores that were restored without reading all of their records.
    pub lazy: u64,
    /// Operations on the stores.
    pub operations: u64,
    pub broken: Option<String>,
    pub done: bool,
}

impl Ledger {
    /// A checkpoint is begun: its epoch.
    pub(super) fn begin(&mut self, model: &Model) -> u64 {
        self.epoch += 1;
        self.begun.insert(self.epoch, model.clone());
        self.epoch
    }

    /// It is durable: nothing older may be restored from now on.
    pub(super) fn acknowledge(&mut self, epoch: u64) {
        self.acknowledged = self.acknowledged.max(epoch);
        self.checkpoints += 1;
        self.begun = self.begun.split_off(&self.acknowledged);
    }

    /// What must be found after a restore of this checkpoint, or of none.
    pub(super) fn restored(&mut self, epoch: Option<u64>) -> Model {
        let found = epoch.unwrap_or(0);
        if found < self.acknowledged {
            let newest = self.acknowledged;
            self.complain(format!("checkpoint {found} was restored, and {newest} was acknowledged"));
        }
        if found == 0 {
            return Model::default();
        }
        // It is durable as it was restored.
        let model = self.begun.get(&found).cloned();
        self.acknowledge(found);
        model.unwrap_or_else(|| {
            self.complain(format!("checkpoint {found} was never begun"));
            Model::default()
        })
    }

    pub(super) fn complain(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }
}
