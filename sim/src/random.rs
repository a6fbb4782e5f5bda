//! Named random streams: one ChaCha stream per concern, all of one seed.
//!
//! A concern that draws more or less than before (a fault turned off while a failure is being shrunk) leaves the
//! draws of all others as they were. The helpers are our own, so that a seed means the same run whatever version
//! of a random-number crate is used; only the ChaCha8 block function itself, which is specified, comes from one.
//! No helper uses floating-point functions whose last bit depends on the platform.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// The source of all streams of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of `seed`.
    pub fn new(seed: u64) -> Streams {
        Streams { seed }
    }

    /// The seed.
    pub fn seed(self) -> u64 {
        self.seed
    }

    /// The stream of one concern, from its start. Streams of different names are independent.
    ///
    /// ```
    /// use millstream_sim::random::Streams;
    /// let streams = Streams::new(7);
    /// assert_eq!(streams.stream("disk").next(), streams.stream("disk").next());
    /// assert_ne!(streams.stream("disk").next(), streams.stream("schedule").next());
    /// ```
    pub fn stream(self, name: &str) -> Random {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(name.as_bytes()).to_le_bytes());
        key[16..].copy_from_slice(b"millstream sim 1");
        Random { rng: ChaCha8Rng::from_seed(key) }
    }
}

/// FNV-1a, 64 bits: turns a stream's name into a part of its key.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// How likely something is, in parts of 2⁻³²: compared with integers, so the same everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u64);

impl Chance {
    /// Never.
    pub const NEVER: Chance = Chance(0);
    /// Always.
    pub const ALWAYS: Chance = Chance(1 << 32);

    /// `n` times in `of`.
    ///
    /// # Panics
    /// If `n > of`, or `of` is 0.
    pub const fn of(n: u32, of: u32) -> Chance {
        assert!(n <= of && of > 0);
        Chance(((n as u64) << 32) / of as u64)
    }

    /// Whether it can happen at all.
    pub fn is_possible(self) -> bool {
        self.0 > 0
    }
}

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random {
    rng: ChaCha8Rng,
}

impl Random {
    /// 64 random bits.
    #[expect(clippy::should_implement_trait, reason = "a stream of numbers has no end, and needs no Option")]
    pub fn next(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A stream of its own: what is drawn from it later leaves this one as it is.
    pub fn split(&mut self) -> Random {
        let mut key = [0; 32];
        self.fill(&mut key);
        Random { rng: ChaCha8Rng::from_seed(key) }
    }

    /// A number below `n` (by multiply-shift: the bias, below n / 2⁶⁴, does not matter here).
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "no number is below 0");
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// An index below `n`.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    ///
    /// # Panics
    /// If `low > high`, or the range is all of u64.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "empty range {low}..={high}");
        low + self.below(high - low + 1)
    }

    /// A number from 1 to `most` whose order of magnitude is uniform: small ones as often as large ones.
    ///
    /// # Panics
    /// If `most` is 0.
    pub fn magnitude(&mut self, most: u64) -> u64 {
        assert!(most > 0, "no number is between 1 and 0");
        let bits = self.below(u64::from(most.ilog2()) + 1);
        let (low, high) = (1 << bits, most.min((1 << bits) * 2 - 1));
        self.range(low, high)
    }

    /// Whether it happens this time. Draws nothing if it never can.
    pub fn chance(&mut self, chance: Chance) -> bool {
        chance.is_possible() && (self.next() >> 32) < chance.0
    }

    /// True or false, equally often.
    pub fn coin(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    /// One of the items.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Puts the items into a random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// Fills `bytes` with random ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.rng.fill_bytes(bytes);
    }
}
