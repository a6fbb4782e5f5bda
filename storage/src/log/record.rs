//! One record in the log: an 8-byte header, the key and the value, each padded with zeros to 8 bytes.

/// The longest key, in bytes.
///
/// ```
/// use millstream_storage::hash::stable_hash;
/// use millstream_storage::store::{MAX_KEY, Store, StoreConfig};
///
/// let mut store = Store::new(StoreConfig::new("names", 1));
/// let table = store.create_table(0, 0);
/// for (bytes, fits) in [(MAX_KEY, true), (MAX_KEY + 1, false)] {
///     let key = vec![b'k'; bytes];
///     assert_eq!(store.put(table, stable_hash(&key), &key, b"value").is_ok(), fits);
/// }
/// ```
pub const MAX_KEY: usize = (1 << 11) - 1;
/// The longest value, in bytes.
///
/// ```
/// use millstream_storage::hash::stable_hash;
/// use millstream_storage::store::{MAX_VALUE, Store, StoreConfig, TooLarge};
///
/// let mut store = Store::new(StoreConfig::new("names", 1));
/// let table = store.create_table(0, 0);
/// let value = vec![0; MAX_VALUE + 1];
/// let refused = store.put(table, stable_hash(b"key"), b"key", &value);
/// assert_eq!(refused, Err(TooLarge { what: "value", bytes: value.len(), limit: MAX_VALUE }));
/// ```
pub const MAX_VALUE: usize = (1 << 20) - 1;

/// Bytes of the header.
pub(crate) const HEADER: usize = 8;
/// The bit of the lengths word that makes a record a tombstone.
const TOMBSTONE: u32 = 1 << 31;

/// A key or a value longer than the log takes.
///
/// ```
/// use millstream_storage::store::TooLarge;
///
/// let refused = TooLarge { what: "key", bytes: 3_000, limit: 2_047 };
/// assert!(refused.to_string().starts_with("a key of 3000 bytes is longer than the 2047 bytes"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a {what} of {bytes} bytes is longer than the {limit} bytes that the store takes; split it, or store a reference"
)]
pub struct TooLarge {
    /// Which part: "key" or "value".
    pub what: &'static str,
    /// Its length in bytes.
    pub bytes: usize,
    /// The longest allowed, in bytes.
    pub limit: usize,
}

/// The decoded header of a record.
///
/// As a little-endian word: the table in bits 0–31, the value's length in bits 32–51, the key's in bits 52–62, the
/// tombstone flag in bit 63. A tombstone may keep the length of the value it replaced in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) table: u32,
    pub(crate) lengths: u32,
}

impl Header {
    #[inline]
    pub(crate) fn new(table: u32, key: usize, value: usize) -> Header {
        debug_assert!(
            key <= MAX_KEY && value <= MAX_VALUE,
            "lengths are checked where records enter the store"
        );
        Header { table, lengths: (key as u32) << 20 | value as u32 }
    }

    #[inline]
    pub(crate) fn from_word(word: u64) -> Header {
        let word = u64::from_le(word);
        Header { table: word as u32, lengths: (word >> 32) as u32 }
    }

    #[inline]
    pub(crate) fn word(self) -> u64 {
        (u64::from(self.lengths) << 32 | u64::from(self.table)).to_le()
    }

    #[inline]
    pub(crate) fn key_len(self) -> usize {
        (self.lengths >> 20) as usize & MAX_KEY
    }

    #[inline]
    pub(crate) fn value_len(self) -> usize {
        self.lengths as usize & MAX_VALUE
    }

    #[inline]
    pub(crate) fn is_tombstone(self) -> bool {
        self.lengths & TOMBSTONE != 0
    }

    #[inline]
    pub(crate) fn into_tombstone(self) -> Header {
        Header { lengths: self.lengths | TOMBSTONE, ..self }
    }

    /// Bytes of the whole record, header and padding included.
    #[inline]
    pub(crate) fn size(self) -> usize {
        size(self.key_len(), self.value_len())
    }
}

/// Bytes of a record with a key and a value of these lengths.
#[inline]
pub(crate) fn size(key: usize, value: usize) -> usize {
    HEADER + key.next_multiple_of(8) + value.next_multiple_of(8)
}

/// The value of the record at `start`, to be changed, if the record has this key. `None` if `start` is null.
///
/// # Safety
/// `start` must be null, or point to a record above the seal line that nothing else borrows for `'a`.
#[inline(always)]
pub(crate) unsafe fn value_if_key<'a>(start: *mut u8, key: &[u8]) -> Option<&'a mut [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: the caller's promise: a header, then a key and a value of the lengths that it tells.
    unsafe {
        let header = Header::from_word(start.cast::<u64>().read());
        if header.key_len() != key.len() || std::slice::from_raw_parts(start.add(HEADER), key.len()) != key {
            return None;
        }
        let value = start.add(HEADER + key.len().next_multiple_of(8));
        Some(std::slice::from_raw_parts_mut(value, header.value_len()))
    }
}
