//! Timers: unique by key and time, fired in (time, insertion) order, kept in the log with the rest of the state.

use std::collections::BTreeSet;

use millstream_storage::hash::stable_hash;
use millstream_storage::planted;
use millstream_storage::store::Store;

use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// Which time a timer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domain {
    Event,
    Processing,
}

impl Domain {
    /// The state id of its timers in the store.
    pub(crate) const fn state(self) -> u32 {
        match self {
            Domain::Event => u32::MAX,
            Domain::Processing => u32::MAX - 1,
        }
    }
}

/// Whether a state id is that of timers.
pub(crate) fn is_timer_state(state: u32) -> bool {
    state >= Domain::Processing.state()
}

/// The key of a timer's record: its time, then the user's key.
pub(crate) fn key_of_timer(record_key: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (at, key) = record_key.split_first_chunk()?;
    Some((Timestamp::from_le_bytes(*at), key))
}

/// A timer: its time, its place among those of the same time, and the key. Two cores of a restored checkpoint may have
/// given the same place: the key decides then, so that the order is the same on every restore.
type Timer = (Timestamp, u64, Box<[u8]>);
/// In order of firing: what is in the log has no order.
type Queue = BTreeSet<Timer>;

/// The timers of one step on one core.
#[derive(Default)]
pub(crate) struct Timers {
    event: Queue,
    processing: Queue,
    /// The next timer's place among those of the same time.
    next: u64,
    scratch: Vec<u8>,
}

impl Timers {
    /// The timers that a restored store holds.
    ///
    /// # Errors
    /// If a record is not one of a timer.
    pub(crate) fn restore(store: &Store) -> Result<Timers> {
        let mut timers = Timers::default();
        if planted!(timers_not_restored) {
            return Ok(timers);
        }
        let mut last = 0;
        for domain in [Domain::Event, Domain::Processing] {
            if planted!(processing_timers_forgotten) && domain == Domain::Processing {
                continue;
            }
            let Some(table) = store.table(domain.state(), 0) else { continue };
            let (queue, mut damaged) = (timers.queue(domain), false);
            store.for_each(table, |record, value| match (key_of_timer(record), value.try_into()) {
                (Some((at, key)), Ok(seq)) => {
                    let seq = u64::from_le_bytes(seq);
                    last = last.max(seq);
                    queue.insert((at, seq, key.into()));
                }
                _ => damaged = true,
            });
            if damaged {
                return Err(Error::new(ErrorKind::Restore, "a restored timer cannot be read"));
            }
        }
        // A timer set from now on comes after them.
        timers.next = last.saturating_add(1);
        Ok(timers)
    }

    pub(crate) fn set(&mut self, store: &mut Store, domain: Domain, at: Timestamp, key: &[u8]) -> Result<()> {
        self.record_key(at, key);
        let hash = stable_hash(&self.scratch);
        let table = store.create_table(domain.state(), 0);
        if store.get(table, hash, &self.scratch).is_some() && !planted!(equal_timers_kept) {
            return Ok(());
        }
        let seq = self.next;
        self.next += 1;
        store.put(table, hash, &self.scratch, &seq.to_le_bytes()).map_err(|error| {
            Error::new(ErrorKind::User, "a timer's key does not fit the state store").caused_by(error)
        })?;
        self.queue(domain).insert((at, seq, key.into()));
        Ok(())
    }

    pub(crate) fn delete(&mut self, store: &mut Store, domain: Domain, at: Timestamp, key: &[u8]) {
        self.record_key(at, key);
        let hash = stable_hash(&self.scratch);
        let Some(table) = store.table(domain.state(), 0) else { return };
        let Some(seq) = store.get(table, hash, &self.scratch) else { return };
        let seq =
            u64::from_le_bytes(seq.try_into().expect("it was written as a number, or checked on restore"));
        store.remove(table, hash, &self.scratch);
        let found = self.queue(domain).remove(&(at, seq, key.into()));
        assert!(found, "the queue holds what the store holds");
    }

    /// Takes the next timer that is due, out of the store too.
    pub(crate) fn pop(
        &mut self,
        store: &mut Store,
        domain: Domain,
        until: Timestamp,
    ) -> Option<(Timestamp, Box<[u8]>)> {
        let queue = self.queue(domain);
        queue.first().filter(|timer| timer.0 <= until)?;
        let (at, _, key) = queue.pop_first()?;
        self.record_key(at, &key);
        let table = store.table(domain.state(), 0).expect("the store holds what the queue holds");
        if !(planted!(fired_timer_stays) && domain == Domain::Processing) {
            store.remove(table, stable_hash(&self.scratch), &self.scratch);
        }
        Some((at, key))
    }

    /// The keys of the next timers that are due, in order.
    pub(crate) fn due(&self, domain: Domain, until: Timestamp) -> impl Iterator<Item = &[u8]> {
        self.pending(domain, until).map(|(_, key)| key)
    }

    /// The times and keys of the timers up to a time, in order.
    pub(crate) fn pending(
        &self,
        domain: Domain,
        until: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, &[u8])> {
        let queue = match domain {
            Domain::Event => &self.event,
            Domain::Processing => &self.processing,
        };
        queue.iter().take_while(move |timer| timer.0 <= until).map(|(at, _, key)| (*at, &**key))
    }

    /// The time of the next timer.
    pub(crate) fn next_time(&self, domain: Domain) -> Option<Timestamp> {
        let queue = match domain {
            Domain::Event => &self.event,
            Domain::Processing => &self.processing,
        };
        queue.first().map(|timer| timer.0)
    }

    fn queue(&mut self, domain: Domain) -> &mut Queue {
        match domain {
            Domain::Event => &mut self.event,
            Domain::Processing => &mut self.processing,
        }
    }

    fn record_key(&mut self, at: Timestamp, key: &[u8]) {
        self.scratch.clear();
        self.scratch.extend_from_slice(&at.to_le_bytes());
        self.scratch.extend_from_slice(key);
    }
}

#[cfg(test)]
mod tests;
