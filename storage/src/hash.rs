//! The published hash of keys. It places keys on cores and is written into checkpoints as the key group, so it
//! is an on-disk format: golden tests pin it.

/// XXH3-64 of a key's canonical encoding.
///
/// ```
/// assert_eq!(millstream_storage::hash::stable_hash(b"JFK"), 0x285B_4886_4138_9EEF);
/// ```
#[inline]
pub fn stable_hash(encoded_key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(encoded_key)
}
