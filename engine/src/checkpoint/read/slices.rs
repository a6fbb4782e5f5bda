//! A state out of its files, as much of it at a time as memory allows.
//!
//! The keys are cut into slices by their hashes, and for each slice the files are read from the beginning to the end,
//! and its records replayed. A first pass counts, so that no slice is larger than it may be, unless a single key is.
//! Before anything is given out, every byte has been verified once.

use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;

use millstream_storage::disk::Disk;
use millstream_storage::error::StoreError;
use millstream_storage::hash::stable_hash;
use millstream_storage::inspect::{Record, Replay};
use millstream_storage::store::{Store, StoreConfig};

use super::target::{Kind, Target};
use crate::state::timers::key_of_timer;

/// What the keys are counted by: the upper bits of their hashes.
const BITS: u32 = 12;
const BUCKETS: usize = 1 << BITS;

/// What is told of the progress: bytes that were read, and bytes to be read in all.
pub(super) type Tell = Box<dyn FnMut(u64, u64)>;

/// The slices of a state.
pub(super) struct Slices {
    disk: Rc<dyn Disk>,
    dir: PathBuf,
    /// Bytes of records that may be in memory at a time.
    memory: u64,
    /// The one key that is wanted.
    only: Option<Vec<u8>>,
    /// What is still to come, once it is known: buckets.
    plan: Option<Vec<Range<usize>>>,
    read: u64,
    to_read: u64,
    tell: Option<Tell>,
}

impl Slices {
    pub(super) fn new(disk: Rc<dyn Disk>, dir: PathBuf) -> Slices {
        // Few states are larger, and few machines smaller.
        let memory = 512 << 20;
        Slices { disk, dir, memory, only: None, plan: None, read: 0, to_read: 0, tell: None }
    }

    pub(super) fn set_memory(&mut self, bytes: u64) {
        self.memory = bytes;
    }

    pub(super) fn set_only(&mut self, key: Vec<u8>) {
        self.only = Some(key);
    }

    pub(super) fn set_tell(&mut self, tell: Tell) {
        self.tell = Some(tell);
    }

    /// The next slice: a store with the state's tables and no others.
    pub(super) async fn next(&mut self, target: &Target) -> Result<Option<Store>, StoreError> {
        if self.plan.is_none() {
            let plan = self.make_plan(target).await?;
            self.to_read = self.read + plan.len() as u64 * bytes(target);
            self.plan = Some(plan);
        }
        let plan = self.plan.as_mut().expect("it has just been made");
        if plan.is_empty() {
            return Ok(None);
        }
        let buckets = plan.remove(0);
        let only = self.only.take();
        let wanted = |key: &[u8]| match &only {
            Some(only) => only == key,
            None => buckets.contains(&bucket(key)),
        };
        let mut store = Store::new(StoreConfig::new("slice", 0));
        let mut result = Ok(());
        let visit = |record: Record<'_>| {
            if result.is_ok() && wanted(owner(target, &record)) {
                result = apply(&mut store, record);
            }
        };
        self.pass(target, visit).await?;
        result?;
        Ok(Some(store))
    }

    /// How the keys are cut.
    async fn make_plan(&mut self, target: &Target) -> Result<Vec<Range<usize>>, StoreError> {
        let all = bytes(target);
        if all == 0 {
            return Ok(Vec::new());
        }
        if all <= self.memory || self.only.is_some() {
            return Ok(cut(&[0; BUCKETS], self.memory));
        }
        let mut sizes = vec![0; BUCKETS];
        self.to_read = 2 * all;
        self.pass(target, |record| {
            sizes[bucket(owner(target, &record))] +=
                (record.key.len() + record.value.map_or(0, <[u8]>::len)) as u64;
        })
        .await?;
        Ok(cut(&sizes, self.memory))
    }

    /// Reads all files once.
    async fn pass(&mut self, target: &Target, mut visit: impl FnMut(Record<'_>)) -> Result<(), StoreError> {
        for part in target.parts.iter().filter(|part| !part.tables.is_empty()) {
            let mut replay = Replay::new(&*self.disk, &self.dir, part)?;
            while let Some(bytes) = replay.step(&mut visit).await? {
                self.read += bytes;
                if let Some(tell) = &mut self.tell {
                    tell(self.read, self.to_read.max(self.read));
                }
            }
        }
        Ok(())
    }
}

/// Neighbouring buckets together, as long as they are not more than `limit`.
fn cut(sizes: &[u64], limit: u64) -> Vec<Range<usize>> {
    let mut slices: Vec<Range<usize>> = Vec::new();
    let mut sum = 0;
    for (at, size) in sizes.iter().enumerate() {
        match slices.last_mut() {
            Some(last) if sum + size <= limit => last.end = at + 1,
            _ => {
                slices.push(at..at + 1);
                sum = 0;
            }
        }
        sum += size;
    }
    slices
}

/// Bytes of the files that hold it.
fn bytes(target: &Target) -> u64 {
    let parts = target.parts.iter().filter(|part| !part.tables.is_empty());
    parts.flat_map(|part| &part.files).map(|file| file.bytes).sum()
}

fn bucket(key: &[u8]) -> usize {
    (stable_hash(key) >> (u64::BITS - BITS)) as usize
}

/// The user's key in a record's.
fn owner<'r>(target: &Target, record: &Record<'r>) -> &'r [u8] {
    let key = record.table.layout.owner(record.key);
    match target.kind {
        Kind::Timers => key_of_timer(key).map_or(key, |(_, key)| key),
        _ => key,
    }
}

fn apply(store: &mut Store, record: Record<'_>) -> Result<(), StoreError> {
    let Record { table, key, value } = record;
    let (table, hash) = (store.create_table_of(table.state, table.namespace, table.layout), stable_hash(key));
    match value {
        Some(value) => store.put(table, hash, key, value)?,
        None => _ = store.remove(table, hash, key),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn slices_are_no_larger_than_they_may_be_and_leave_nothing_out() {
        assert_eq!(cut(&[3, 3, 3, 9, 0, 20, 1], 9), [0..3, 3..5, 5..6, 6..7]);
        assert_eq!(cut(&[0, 0, 10], 9), [0..2, 2..3]);
    }
}
