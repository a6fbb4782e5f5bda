//! Operations on one key, and the scan of a table.

use super::{MAX_KEY, MAX_VALUE, Store, TableId, TooLarge};
use crate::hash::stable_hash;
use crate::log::{Address, Log, record};
use crate::table::Table;

impl Store {
    /// The value of a key.
    ///
    /// # Panics
    /// If the table was dropped, as all operations do.
    #[inline]
    pub fn get(&self, table: TableId, hash: u64, key: &[u8]) -> Option<&[u8]> {
        debug_assert_eq!(hash, stable_hash(key), "a key came with another key's hash");
        let table = self.table_ref(table);
        let (_, address) = table.index.find(hash, |address| self.log.key_is(address, key))?;
        Some(self.log.value(address))
    }

    /// The value of a key, to be changed within its length.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// let hash = stable_hash(b"JFK");
    /// store.put(table, hash, b"JFK", &[1, 2])?;
    /// store.get_mut(table, hash, b"JFK").unwrap()[1] += 5;
    /// assert_eq!(store.get(table, hash, b"JFK"), Some(&[1, 7][..]));
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    #[inline]
    pub fn get_mut(&mut self, table: TableId, hash: u64, key: &[u8]) -> Option<&mut [u8]> {
        debug_assert_eq!(hash, stable_hash(key), "a key came with another key's hash");
        let Store { tables, log, appended_bytes, .. } = self;
        let table = Store::table_mut(tables, table);
        let (found, address) = table.index.find(hash, |address| log.key_is(address, key))?;
        if log.is_mutable(address) {
            return Some(log.value_mut(address));
        }
        let new = log.append_copy(address);
        *appended_bytes += log.header(new).size() as u64;
        table.index.replace(found, hash, new);
        table.supersede(log, address, new);
        Some(log.value_mut(new))
    }

    /// Sets the value of a key.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// let hash = stable_hash(b"JFK");
    /// store.put(table, hash, b"JFK", b"Idlewild")?;
    /// store.put(table, hash, b"JFK", b"John F. Kennedy")?;
    /// assert_eq!(store.get(table, hash, b"JFK"), Some(&b"John F. Kennedy"[..]));
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    ///
    /// # Errors
    /// [`TooLarge`] for keys over [`MAX_KEY`] and values over [`MAX_VALUE`] bytes; the store is unchanged then.
    #[inline]
    pub fn put(&mut self, table: TableId, hash: u64, key: &[u8], value: &[u8]) -> Result<(), TooLarge> {
        debug_assert_eq!(hash, stable_hash(key), "a key came with another key's hash");
        check_size(&self.log, key.len(), value.len())?;
        let Store { tables, log, appended_bytes, .. } = self;
        let table = Store::table_mut(tables, table);
        let found = table.index.find(hash, |address| log.key_is(address, key));
        if let Some((_, address)) = found
            && log.is_mutable(address)
            && log.header(address).value_len() == value.len()
        {
            log.value_mut(address).copy_from_slice(value);
            return Ok(());
        }
        let new = append(log, appended_bytes, table.id, key, value.len());
        log.value_mut(new).copy_from_slice(value);
        match found {
            Some((found, old)) => {
                table.index.replace(found, hash, new);
                table.supersede(log, old, new);
            }
            None => table.enter(log, hash, new),
        }
        Ok(())
    }

    /// Gives `init` a value of `len` zero bytes if the key is absent, and `update` the value that it has, of
    /// whatever length, if it is present. Returns whether it was absent.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// let hash = stable_hash(b"JFK");
    /// let mut count = || store.upsert(table, hash, b"JFK", 1, |new| new[0] = 1, |old| old[0] += 1);
    /// assert_eq!((count()?, count()?), (true, false));
    /// assert_eq!(store.get(table, hash, b"JFK"), Some(&[2][..]));
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::put`]; neither closure was called then.
    #[inline]
    pub fn upsert(
        &mut self,
        table: TableId,
        hash: u64,
        key: &[u8],
        len: usize,
        init: impl FnOnce(&mut [u8]),
        update: impl FnOnce(&mut [u8]),
    ) -> Result<bool, TooLarge> {
        check_size(&self.log, key.len(), len)?;
        if let Some(value) = self.get_mut(table, hash, key) {
            update(value);
            return Ok(false);
        }
        let Store { tables, log, appended_bytes, .. } = self;
        let table = Store::table_mut(tables, table);
        let new = append(log, appended_bytes, table.id, key, len);
        table.enter(log, hash, new);
        init(log.value_mut(new));
        Ok(true)
    }

    /// Removes a key. Returns whether it was present.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// let hash = stable_hash(b"JFK");
    /// store.put(table, hash, b"JFK", b"1")?;
    /// assert!(store.remove(table, hash, b"JFK"));
    /// assert!(!store.remove(table, hash, b"JFK"));
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    pub fn remove(&mut self, table: TableId, hash: u64, key: &[u8]) -> bool {
        debug_assert_eq!(hash, stable_hash(key), "a key came with another key's hash");
        let Store { tables, log, appended_bytes, .. } = self;
        let table = Store::table_mut(tables, table);
        let Some((found, address)) = table.index.find(hash, |address| log.key_is(address, key)) else {
            return false;
        };
        table.index.remove(found);
        if log.is_mutable(address) {
            log.bury_in_place(address);
            log.count_tombstone(address, log.header(address).size());
        } else {
            let tombstone = log.append_tombstone(table.id, key);
            let size = log.header(tombstone).size();
            log.count_tombstone(tombstone, size);
            *appended_bytes += size as u64;
        }
        table.forget(log, address);
        true
    }

    /// Visits every key with its value, by ascending hash: an order that depends on nothing but the keys.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// for key in [b"JFK", b"LAX"] {
    ///     store.put(table, stable_hash(key), key, b"1")?;
    /// }
    /// let mut keys = Vec::new();
    /// store.for_each(table, |key, _| keys.push(key.to_vec()));
    /// assert!(keys.is_sorted_by_key(|key| stable_hash(key)));
    /// assert_eq!(keys.len(), 2);
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    pub fn for_each(&self, table: TableId, mut visit: impl FnMut(&[u8], &[u8])) {
        let mut from = Some(0);
        while let Some(hash) = from {
            from = self.for_each_from(table, hash, usize::MAX, &mut visit);
        }
    }

    /// As [`Store::for_each`], from the keys with this hash on, and only about `limit` of them; returns where to go
    /// on. A table of any size can so be visited in steps; keys that are written in between may be missed.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// for n in 0..1_000_u32 {
    ///     store.put(table, stable_hash(&n.to_le_bytes()), &n.to_le_bytes(), b"")?;
    /// }
    /// let (mut visited, mut steps, mut next) = (0, 0, Some(0));
    /// while let Some(from) = next {
    ///     next = store.for_each_from(table, from, 100, |_, _| visited += 1);
    ///     steps += 1;
    /// }
    /// assert_eq!(visited, 1_000);
    /// assert!(steps > 1);
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    pub fn for_each_from(
        &self,
        table: TableId,
        from: u64,
        limit: usize,
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> Option<u64> {
        let log = &self.log;
        self.table_ref(table).index.scan(
            from,
            limit,
            |address| log.hash(address),
            |a, b| log.key(a).cmp(log.key(b)),
            |address| crate::prefetch::read(log.pointer(address)),
            |address| visit(log.key(address), log.value(address)),
        )
    }
}

/// Appends a record of an operation, with a value of zeros.
#[inline]
pub(super) fn append(log: &mut Log, appended: &mut u64, table: u32, key: &[u8], value_len: usize) -> Address {
    *appended += record::size(key.len(), value_len) as u64;
    log.append(table, key, value_len)
}

/// Whether the log takes a record with a key and a value of these lengths.
#[inline]
pub(super) fn check_size(log: &Log, key: usize, value: usize) -> Result<(), TooLarge> {
    let fits = record::size(key, value) <= log.geometry().largest_record();
    if key <= MAX_KEY && value <= MAX_VALUE && fits { Ok(()) } else { Err(too_large(log, key, value)) }
}

#[cold]
fn too_large(log: &Log, key: usize, value: usize) -> TooLarge {
    if key > MAX_KEY {
        return TooLarge { what: "key", bytes: key, limit: MAX_KEY };
    }
    let room = log.geometry().largest_record() - record::size(key, 0);
    TooLarge { what: "value", bytes: value, limit: room.min(MAX_VALUE) }
}

impl Table {
    /// Whether its index and records outgrow the caches that a core has for itself.
    pub(super) fn outgrows_cache(&self) -> bool {
        const PRIVATE_CACHE: usize = 1 << 20;
        self.index.bytes() > PRIVATE_CACHE / 4
    }
}
