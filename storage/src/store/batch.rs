//! Work on many keys at once: memory is asked for ahead of its use, so that its latencies overlap.

use super::operate::{append, check_size};
use super::{Store, TableId, TooLarge};
use crate::log::Address;

/// Keys looked up together: enough to cover the latency of memory, few enough to stay in the nearest cache.
const TOGETHER: usize = 64;

/// The keys of a batch, each encoded only while it is looked at.
pub trait Keys {
    /// Calls `f` with the key at a position.
    fn with<R>(&self, position: usize, f: impl FnOnce(&[u8]) -> R) -> R;
}

/// Keys that are all at hand.
impl<K: AsRef<[u8]>> Keys for [K] {
    #[inline]
    fn with<R>(&self, position: usize, f: impl FnOnce(&[u8]) -> R) -> R {
        f(self[position].as_ref())
    }
}

impl Store {
    /// Whether prefetching pays: the table is larger than a core's own caches.
    #[inline]
    pub fn wants_prefetch(&self, table: TableId) -> bool {
        self.table_ref(table).outgrows_cache()
    }

    /// First pass over a batch: asks the CPU for the index line of a key.
    #[inline]
    pub fn prefetch_index(&self, table: TableId, hash: u64) {
        self.table_ref(table).index.prefetch(hash);
    }

    /// Second pass over a batch: asks the CPU for the record of a key.
    #[inline]
    pub fn prefetch_record(&self, table: TableId, hash: u64) {
        if let Some(address) = self.table_ref(table).index.candidate(hash) {
            crate::prefetch::read(self.log.pointer(address));
        }
    }

    /// [`Store::upsert`] for a batch, as fast as the memory allows: for each position of `hashes`, `keys` tells
    /// the key, and `change` is given the position, whether the key was absent (its value is `len` zero bytes then),
    /// and the value.
    ///
    /// # Errors
    /// As [`Store::upsert`]: the keys before the one that is too large were changed.
    #[inline]
    pub fn upsert_batch(
        &mut self,
        table: TableId,
        hashes: &[u64],
        keys: &(impl Keys + ?Sized),
        len: usize,
        mut change: impl FnMut(usize, bool, &mut [u8]),
    ) -> Result<(), TooLarge> {
        let prefetch = self.wants_prefetch(table);
        let mut candidates = [Address::MAX; TOGETHER];
        for (chunk, hashes) in hashes.chunks(TOGETHER).enumerate() {
            if prefetch {
                self.look_up(table, hashes, &mut candidates);
            }
            for (i, &hash) in hashes.iter().enumerate() {
                let position = chunk * TOGETHER + i;
                keys.with(position, |key| {
                    let candidate = candidates[i];
                    if candidate != Address::MAX && self.log.key_is(candidate, key) {
                        change(position, false, self.log.value_mut(candidate));
                        return Ok(());
                    }
                    self.upsert_one(table, hash, key, len, |new, value| change(position, new, value))
                })?;
            }
        }
        Ok(())
    }

    /// Finds where the records of up to [`TOGETHER`] keys likely are, and asks the CPU for them.
    ///
    /// Only records above the seal line become candidates: the batch itself moves, and so kills, none but records
    /// below it, hence a candidate stays the newest record of its key, in a segment that is not freed.
    #[inline]
    fn look_up(&self, table: TableId, hashes: &[u64], candidates: &mut [Address; TOGETHER]) {
        let index = &self.table_ref(table).index;
        for &hash in hashes {
            index.prefetch(hash);
        }
        for (candidate, &hash) in candidates.iter_mut().zip(hashes) {
            *candidate = match index.candidate(hash) {
                Some(address) => {
                    crate::prefetch::read(self.log.pointer(address));
                    if self.log.is_mutable(address) { address } else { Address::MAX }
                }
                None => Address::MAX,
            };
        }
    }

    #[inline]
    fn upsert_one(
        &mut self,
        table: TableId,
        hash: u64,
        key: &[u8],
        len: usize,
        change: impl FnOnce(bool, &mut [u8]),
    ) -> Result<(), TooLarge> {
        if let Some(value) = self.get_mut(table, hash, key) {
            change(false, value);
            return Ok(());
        }
        check_size(&self.log, key.len(), len)?;
        let Store { tables, log, appended_bytes, .. } = self;
        let table = Store::table_mut(tables, table);
        let new = append(log, appended_bytes, table.id, key, len);
        table.enter(log, hash, new);
        change(true, log.value_mut(new));
        Ok(())
    }
}
