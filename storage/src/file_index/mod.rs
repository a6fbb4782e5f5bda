//! The index of a file of state: of each of its records what a restore needs to know in order to leave the record where
//! it is. It lies behind the blocks of the same file, in blocks of its own; `FORMAT.md` draws it.
//!
//! Of a key there are two hashes: the one that places it, and another whose seed nobody knows before the first run. They
//! tell two keys apart as well as a restore needs it: of 92 bits together, two of a billion keys agree in one of 10^9
//! restores.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod read;

use crate::delta;
use crate::error::Damage;
use crate::hash::stable_hash;
use crate::log::record::Header;
use crate::planted;

/// The first eight bytes of every block of an index: the format's name and version.
pub(crate) const FORMAT: u64 = u64::from_le_bytes(*b"MSidx\x00\x001");
/// Bytes of an entry.
pub(crate) const ENTRY: usize = 20;
/// Bytes before the entries of a block of records: its length, and how many entries there are.
const GROUP: usize = 8;
/// Bits of a second hash that hold the size of its record, in units of eight bytes: more than the largest has by two.
pub(crate) const SIZE_BITS: u32 = 20;
/// Of these, the one that says that the record removes its key.
const REMOVES: u64 = 1 << (SIZE_BITS - 1);

/// What is kept of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Of its key.
    pub(crate) hash: u64,
    /// Another hash of its key above [`SIZE_BITS`], and below the record's size and whether it removes the key.
    pub(crate) second: u64,
    pub(crate) table: u32,
}

impl Entry {
    pub(crate) fn of(header: Header, key: &[u8], seed: u64) -> Entry {
        let removes = header.is_tombstone() && !planted!(index_without_tombstones);
        let second = second_hash(seed, key, header.size()) | if removes { REMOVES } else { 0 };
        Entry { hash: stable_hash(key), second, table: header.table }
    }

    fn encode(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.hash.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.second.to_le_bytes());
        bytes[16..].copy_from_slice(&self.table.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; ENTRY]) -> Entry {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let table = u32::from_le_bytes(bytes[16..].try_into().expect("four bytes"));
        Entry { hash: word(0), second: word(8), table }
    }

    /// Bytes of the record.
    pub(crate) fn size(&self) -> usize {
        size_in(self.second)
    }

    pub(crate) fn removes(&self) -> bool {
        self.second & REMOVES != 0
    }
}

/// A second hash of a key, and the size of its record.
pub(crate) fn second_hash(seed: u64, key: &[u8], size: usize) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(key, seed) << SIZE_BITS | (size as u64 / 8)
}

/// The size of the record that goes with a second hash.
pub(crate) fn size_in(second: u64) -> usize {
    (second & (REMOVES - 1)) as usize * 8
}

/// The entries of a verified block's records, as they stand in the index.
pub(crate) fn entries_of(block: &[u8], seed: u64, out: &mut Vec<u8>) -> Result<(), (usize, Damage)> {
    for record in delta::records(block) {
        let (at, header) = record?;
        let (key, _) = delta::key_and_value(block, at, header);
        out.extend_from_slice(&Entry::of(header, key, seed).encode());
    }
    Ok(())
}
