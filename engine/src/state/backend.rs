//! Where a process function's state is: in the log of its step, or, for the reference interpreter, in plain maps.

use millstream_storage::hash::stable_hash;

use crate::error::Result;
use crate::state::timers::Domain;
use crate::time::Timestamp;

/// A state of a key.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    /// The state's place among those that were declared.
    pub slot: usize,
    pub hash: u64,
    pub key: &'a [u8],
}

/// A list's elements, oldest first.
pub(crate) type Elements<'a> = Box<dyn Iterator<Item = &'a [u8]> + 'a>;
/// A map's entries, by ascending order of their keys.
pub(crate) type Entries<'a> = Box<dyn Iterator<Item = (&'a [u8], &'a [u8])> + 'a>;
/// A timeline's entries, by time.
pub(crate) type Moments<'a> = Box<dyn Iterator<Item = (Timestamp, &'a [u8])> + 'a>;

/// State and timers of one step on one core.
pub(crate) trait Backend {
    /// The time by which state expires.
    fn clock(&self) -> Timestamp;

    fn value(&self, at: At<'_>) -> Option<&[u8]>;
    /// The value's bytes, to be changed where they lie.
    fn value_mut(&mut self, at: At<'_>) -> Option<&mut [u8]>;
    fn set_value(&mut self, at: At<'_>, value: &[u8]) -> Result<()>;

    fn list(&self, at: At<'_>) -> Elements<'_>;
    fn list_len(&self, at: At<'_>) -> u64;
    fn push(&mut self, at: At<'_>, element: &[u8]) -> Result<()>;

    fn entry(&self, at: At<'_>, key: &[u8]) -> Option<&[u8]>;
    /// The entry's bytes, to be changed where they lie.
    fn entry_mut(&mut self, at: At<'_>, key: &[u8]) -> Option<&mut [u8]>;
    fn set_entry(&mut self, at: At<'_>, key: &[u8], value: &[u8]) -> Result<()>;
    fn remove_entry(&mut self, at: At<'_>, key: &[u8]) -> bool;
    fn entries(&self, at: At<'_>) -> Entries<'_>;
    fn entries_len(&self, at: At<'_>) -> u64;

    fn moments(&self, at: At<'_>, from: Timestamp, to: Timestamp) -> Moments<'_>;
    /// The newest that is not after `time`.
    fn moment(&self, at: At<'_>, time: Timestamp) -> Option<(Timestamp, &[u8])>;
    fn moments_len(&self, at: At<'_>) -> u64;
    fn insert_moment(&mut self, at: At<'_>, time: Timestamp, value: &[u8]) -> Result<()>;
    fn remove_moments(&mut self, at: At<'_>, from: Timestamp, to: Timestamp) -> u64;

    /// Removes everything that a key has in a state.
    fn clear(&mut self, at: At<'_>);

    /// A timer is unique by key and time: setting it again changes nothing.
    fn set_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]) -> Result<()>;
    fn delete_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]);
}

/// The id of a state: its name's hash, so that it does not depend on the order of declarations.
pub(crate) fn state_id(name: &str) -> u32 {
    // The upper half of the ids belongs to the engine.
    (stable_hash(name.as_bytes()) >> 33) as u32
}
