//! The keys that every engine is given, in the same order.

/// Keys in a batch: enough for a transaction to be worth its while, few enough to stay in a core's own cache.
pub(super) const BATCH: usize = 16 << 10;

/// An endless stream of keys in an order without pattern.
pub(super) struct Random {
    state: u64,
    keys: u64,
}

impl Random {
    pub(super) fn new(seed: u64, keys: u64) -> Random {
        Random { state: seed.wrapping_mul(0xD605_1B5F_9F3C_A8E1), keys }
    }

    /// The next batch.
    pub(super) fn fill(&mut self, batch: &mut Vec<u64>, len: usize) {
        batch.clear();
        batch.extend((0..len).map(|_| self.next()));
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((u128::from(z) * u128::from(self.keys)) >> 64) as u64
    }
}

/// Every key once, in strides: an order that no engine is given for free.
pub(super) fn each_once(keys: u64) -> impl Iterator<Item = u64> {
    let coprime = |stride: &u64| gcd(*stride, keys) == 1;
    let stride = (keys / 2 + keys / 9..).find(coprime).unwrap_or(1);
    (0..keys).map(move |i| (u128::from(i) * u128::from(stride) % u128::from(keys)) as u64)
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_once_gives_every_key_once() {
        for keys in [1, 2, 10, 1000, 4099] {
            let mut given: Vec<_> = super::each_once(keys).collect();
            given.sort_unstable();
            assert!(given.iter().copied().eq(0..keys), "{keys} keys");
        }
    }
}
