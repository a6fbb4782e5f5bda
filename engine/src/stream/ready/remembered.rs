//! What decides that a record changes nothing, remembered beside the state.

/// Of some keys, what a record must be ahead of to count: so that those behind it, which are most of a long stream, need not
/// read the state to be dropped. It is made from the state, and nothing of it is kept.
pub(super) struct Remembered<V> {
    /// The keys and what is remembered of them, by some bits of the keys' hashes; empty until there is one.
    places: Box<[Option<(Box<[u8]>, V)>]>,
}

/// Keys that are remembered at most, a power of two.
const MOST: usize = 4096;

impl<V> Default for Remembered<V> {
    fn default() -> Remembered<V> {
        Remembered { places: Box::default() }
    }
}

impl<V> Remembered<V> {
    fn place(hash: u64) -> usize {
        // Not the lower bits: they tell the key group, and a core has only some of those.
        (hash >> 32) as usize & (MOST - 1)
    }

    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<&V> {
        let (known, value) = self.places.get(Self::place(hash))?.as_ref()?;
        (**known == *key).then_some(value)
    }

    /// Remembers a key, in the place of whichever was there.
    pub(super) fn set(&mut self, hash: u64, key: &[u8], value: V) {
        if self.places.is_empty() {
            self.places = std::iter::repeat_with(|| None).take(MOST).collect();
        }
        match &mut self.places[Self::place(hash)] {
            Some((known, of)) if **known == *key => *of = value,
            place => *place = Some((key.into(), value)),
        }
    }
}
