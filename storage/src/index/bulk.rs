//! Entries that are gathered by where they belong, and entered one part of the index after the other: the part is in
//! the core's own cache meanwhile, where entries in the order of a log would each wait for memory.

use super::{ADDRESS_BITS, Index, address, entry, head_of};

/// Bytes of an index that stay in a core's own cache.
const PART: usize = 256 << 10;
/// Parts are filled side by side: more of them would not be in the cache, nor their pages in that of translations.
const MOST_PARTS: usize = 1024;

/// The record only removes older ones. Records lie at multiples of eight, so that this bit of an address is free.
const REMOVES: u64 = 1;

/// What is to be entered into an index, in the order of the log.
pub(crate) struct Bulk {
    parts: Vec<Vec<Item>>,
    /// How far to shift half a hash to get its part.
    shift: u32,
}

/// The upper half of a hash, and the halves of an entry: twelve bytes.
#[derive(Clone, Copy)]
struct Item([u32; 3]);

/// A record to be entered.
#[derive(Clone, Copy)]
pub(crate) struct Gathered {
    /// The key's hash, as far as an index needs it.
    pub(crate) hash: u64,
    pub(crate) address: u64,
    pub(crate) removes: bool,
}

impl Bulk {
    /// For an index that was made for so many keys.
    pub(crate) fn of(index: &Index, keys: usize) -> Bulk {
        let count = (index.bytes() / PART).next_power_of_two().min(MOST_PARTS);
        // As many records again may be dead. What is not used of this is never touched.
        let parts = (0..count).map(|_| Vec::with_capacity(keys / count * 2)).collect();
        Bulk { parts, shift: 63 - count.trailing_zeros() }
    }

    /// Adds a record behind all others.
    #[inline]
    pub(crate) fn add(&mut self, record: Gathered) {
        let Gathered { hash, address, removes } = record;
        let entry = entry(hash, address | if removes { REMOVES } else { 0 });
        let part = ((hash >> 1) >> self.shift) as usize;
        self.parts[part].push(Item([head_of(hash), (entry >> 32) as u32, entry as u32]));
    }

    /// What was added, one part after the other.
    pub(crate) fn into_parts(self) -> impl Iterator<Item = Part> {
        self.parts.into_iter().map(Part)
    }
}

/// The records of one part, in the order in which they were added.
pub(crate) struct Part(Vec<Item>);

impl Part {
    pub(crate) fn records(&self) -> impl Iterator<Item = Gathered> {
        self.0.iter().copied().map(Item::gathered)
    }
}

impl Item {
    #[inline]
    fn gathered(self) -> Gathered {
        let [head, upper, lower] = self.0;
        let entry = u64::from(upper) << 32 | u64::from(lower);
        // Of the lower half the index needs what makes the same tag.
        let hash = u64::from(head) << 32 | entry >> ADDRESS_BITS << 16;
        let removes = entry & REMOVES != 0;
        Gathered { hash, address: address(entry) & !REMOVES, removes }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bulk, Gathered};
    use crate::hash::stable_hash;
    use crate::index::{Index, entry, head_of};

    #[test]
    fn what_was_gathered_keeps_its_order_and_all_that_an_index_needs() {
        [0, 3, 400_000].into_iter().for_each(check);
    }

    fn check(keys: usize) {
        let mut bulk = Bulk::of(&Index::sized(keys, false), keys);
        let crowded = [0, u64::MAX, 1 << 16, 0xFFFF_FFFF_0000_0000];
        let hashes = (0..2_000_u64).map(|n| stable_hash(&n.to_le_bytes())).chain(crowded);
        let records: Vec<_> = hashes.enumerate().map(|(n, hash)| (hash, n as u64 * 8, n % 7 == 0)).collect();
        records.iter().for_each(|&(hash, address, removes)| bulk.add(Gathered { hash, address, removes }));
        let mut seen = vec![false; records.len()];
        let mut last_part = 0;
        for part in bulk.into_parts() {
            let (mut last, mut least, mut most) = (None, u64::MAX, 0);
            for Gathered { hash, address, removes } in part.records() {
                let (whole, at, was_removal) = records[address as usize / 8];
                assert_eq!((head_of(hash), entry(hash, at)), (head_of(whole), entry(whole, at)));
                assert_eq!((address, removes), (at, was_removal));
                assert!(last < Some(address), "in the order in which they were added");
                (last, least, most) = (Some(address), least.min(hash), most.max(hash));
                seen[address as usize / 8] = true;
            }
            assert!(last.is_none() || last_part <= least, "parts ascend");
            last_part = last_part.max(most);
        }
        assert!(seen.into_iter().all(|seen| seen), "nothing is lost");
    }
}
