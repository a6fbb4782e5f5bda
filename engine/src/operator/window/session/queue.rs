//! When which key has something to do: in memory only, as it follows from the sessions.

use std::collections::{BTreeMap, VecDeque};

use crate::time::Timestamp;

/// Keys in the order of (time, insertion).
///
/// A key may be in it more than once: only the time that its sessions say is true, the others are passed over.
pub(crate) struct Queue<K> {
    keys: BTreeMap<Timestamp, VecDeque<K>>,
}

impl<K> Queue<K> {
    pub(crate) fn new() -> Queue<K> {
        Queue { keys: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, at: Timestamp, key: K) {
        self.keys.entry(at).or_default().push_back(key);
    }

    /// The earliest time.
    pub(crate) fn first_time(&self) -> Option<Timestamp> {
        self.keys.first_key_value().map(|(at, _)| *at)
    }

    /// The next key that is due.
    pub(crate) fn pop(&mut self, until: Timestamp) -> Option<(Timestamp, K)> {
        let mut first = self.keys.first_entry().filter(|first| *first.key() <= until)?;
        let at = *first.key();
        let key = first.get_mut().pop_front().expect("no empty queue is kept");
        if first.get().is_empty() {
            first.remove();
        }
        Some((at, key))
    }

    /// The next keys that are due, in order.
    pub(crate) fn due(&self, until: Timestamp) -> impl Iterator<Item = &K> {
        self.keys.range(..=until).flat_map(|(_, keys)| keys)
    }
}
