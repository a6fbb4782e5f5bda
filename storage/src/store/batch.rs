//! Work on many keys at once: memory is asked for ahead of its use, so that its latencies overlap.

use super::operate::{append, check_size};
use super::{Store, TableId, TooLarge};
use crate::log::record;

/// Keys looked up together: enough to cover the latency of memory, few enough to stay in the nearest cache.
const TOGETHER: usize = 64;

/// The keys of a batch, each encoded only while it is looked at.
///
/// A function from a position to a key will do, and a type of one's own need not copy:
///
/// ```
/// # use millstream_storage::hash::stable_hash;
/// # use millstream_storage::store::{Store, StoreConfig};
/// use millstream_storage::store::Keys;
///
/// struct Column<'a>(&'a [&'a str]);
/// impl Keys for Column<'_> {
///     fn with<R>(&self, position: usize, f: impl FnOnce(&[u8]) -> R) -> R {
///         f(self.0[position].as_bytes())
///     }
/// }
///
/// assert_eq!(Column(&["JFK", "LAX"]).with(1, |key| key[0]), b'L');
/// assert_eq!((|n: usize| n.to_le_bytes()).with(1, |key| key[0]), 1);
/// ```
pub trait Keys {
    /// Calls `f` with the key at a position.
    fn with<R>(&self, position: usize, f: impl FnOnce(&[u8]) -> R) -> R;
}

/// Keys that a function makes.
impl<K: AsRef<[u8]>, F: Fn(usize) -> K> Keys for F {
    #[inline]
    fn with<R>(&self, position: usize, f: impl FnOnce(&[u8]) -> R) -> R {
        f(self(position).as_ref())
    }
}

impl Store {
    /// Whether prefetching pays: the table is larger than a core's own caches.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// let keys = [b"JFK", b"LAX"];
    /// let hashes = keys.map(|key| stable_hash(key));
    /// if store.wants_prefetch(table) {
    ///     hashes.iter().for_each(|hash| store.prefetch_index(table, *hash));
    ///     hashes.iter().for_each(|hash| store.prefetch_record(table, *hash));
    /// }
    /// for (hash, key) in hashes.into_iter().zip(keys) {
    ///     assert_eq!(store.get(table, hash, key), None);
    /// }
    /// ```
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
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// let keys = ["JFK", "LAX", "JFK"];
    /// let hashes = keys.map(|key| stable_hash(key.as_bytes()));
    /// let mut new_keys = 0;
    /// store.upsert_batch(table, &hashes, &|position: usize| keys[position], 8, |_, is_new, count| {
    ///     new_keys += usize::from(is_new);
    ///     count[0] += 1;
    /// })?;
    /// assert_eq!(new_keys, 2);
    /// assert_eq!(store.get(table, hashes[0], b"JFK").unwrap()[0], 2);
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::upsert`]: the keys before the one that is too large were changed.
    #[inline]
    pub fn upsert_batch(
        &mut self,
        table: TableId,
        hashes: &[u64],
        keys: &impl Keys,
        len: usize,
        mut change: impl FnMut(usize, bool, &mut [u8]),
    ) -> Result<(), TooLarge> {
        let prefetch = self.wants_prefetch(table);
        let mut candidates = [std::ptr::null_mut(); TOGETHER];
        for (chunk, hashes) in hashes.chunks(TOGETHER).enumerate() {
            self.look_up(table, hashes, prefetch, &mut candidates);
            for (i, &hash) in hashes.iter().enumerate() {
                let position = chunk * TOGETHER + i;
                keys.with(position, |key| {
                    // SAFETY: `look_up` gave the pointer, and nothing it depends on changed since: see there.
                    match unsafe { record::value_if_key(candidates[i], key) } {
                        Some(value) => {
                            change(position, false, value);
                            Ok(())
                        }
                        None => {
                            self.upsert_one(table, hash, key, len, |new, value| change(position, new, value))
                        }
                    }
                })?;
            }
        }
        Ok(())
    }

    /// Finds where the records of up to [`TOGETHER`] keys likely are, null where it cannot tell.
    ///
    /// Only records above the seal line become candidates. The batch itself moves, and so kills, none but records
    /// below it: hence a candidate stays the newest record of its key, in a segment that is not freed, and may be
    /// changed where it lies, until the batch ends.
    #[inline]
    fn look_up(&self, table: TableId, hashes: &[u64], prefetch: bool, candidates: &mut [*mut u8; TOGETHER]) {
        let (index, log) = (&self.table_ref(table).index, &self.log);
        if prefetch {
            hashes.iter().for_each(|&hash| index.prefetch(hash));
        }
        index.candidates(hashes, candidates, |address| {
            let record = log.pointer(address);
            crate::prefetch::read(record);
            if log.is_mutable(address) { record } else { std::ptr::null_mut() }
        });
    }

    #[inline(never)]
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
