//! Named random streams: one ChaCha stream per concern, all of one seed.
//!
//! A concern that draws more or less than before (a fault turned off while a failure is being shrunk) leaves the
//! draws of all others as they were. The helpers are our own, so that a seed means the same run whatever version
//! of a random-number crate is used; only the ChaCha8 block function itself, which is specified, comes from one.
//! No helper uses floating-point functions whose last bit depends on the platform.
//!
//! What is drawn can be written down and played again with changes, see [`tape`](crate::tape): a draw that was taken out
//! of a tape is *calm*, and each helper says what it gives then. That is the least there is: nothing happens, the first
//! of the items, the smallest number.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::tape::{Deck, Head};

/// The source of all streams of one seed.
#[derive(Clone, Debug)]
pub struct Streams {
    seed: u64,
    deck: Option<Deck>,
}

impl Streams {
    /// The streams of `seed`.
    pub fn new(seed: u64) -> Streams {
        Streams { seed, deck: None }
    }

    /// The streams of `seed`, as far as they are not played from a tape; or written on one.
    pub(crate) fn taped(seed: u64, deck: Deck) -> Streams {
        Streams { seed, deck: Some(deck) }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
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
    pub fn stream(&self, name: &str) -> Random {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(name.as_bytes()).to_le_bytes());
        key[16..].copy_from_slice(b"millstream sim 1");
        Random { rng: ChaCha8Rng::from_seed(key), head: self.deck.as_ref().map(|deck| deck.head(name)) }
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
    head: Option<Head>,
}

impl Random {
    /// 64 random bits, or nothing if this draw is calm.
    fn draw(&mut self) -> Option<u64> {
        let Random { rng, head } = self;
        match head {
            None => Some(rng.next_u64()),
            Some(head) => head.draw(|| rng.next_u64()),
        }
    }

    /// A number below `n` (by multiply-shift: the bias, below n / 2⁶⁴, does not matter here), or nothing if this draw
    /// is calm.
    pub(crate) fn draw_below(&mut self, n: u64) -> Option<u64> {
        assert!(n > 0, "no number is below 0");
        self.draw().map(|bits| ((u128::from(bits) * u128::from(n)) >> 64) as u64)
    }

    /// 64 random bits. Calm: 1, of which nothing is a multiple but itself.
    #[expect(clippy::should_implement_trait, reason = "a stream of numbers has no end, and needs no Option")]
    pub fn next(&mut self) -> u64 {
        self.draw().unwrap_or(1)
    }

    /// A stream of its own: what is drawn from it later leaves this one as it is.
    pub fn split(&mut self) -> Random {
        let head = self.head.as_mut().map(Head::split);
        let mut key = [0; 32];
        self.fill(&mut key);
        Random { rng: ChaCha8Rng::from_seed(key), head }
    }

    /// A number below `n`. Calm: 0.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw_below(n).unwrap_or(0)
    }

    /// An index below `n`. Calm: 0.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// A number from `low` to `high`, both included. Calm: `low`.
    ///
    /// # Panics
    /// If `low > high`, or the range is all of u64.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "empty range {low}..={high}");
        low + self.below(high - low + 1)
    }

    /// A number from 1 to `most` whose order of magnitude is uniform: small ones as often as large ones. Calm: 1.
    ///
    /// # Panics
    /// If `most` is 0.
    pub fn magnitude(&mut self, most: u64) -> u64 {
        assert!(most > 0, "no number is between 1 and 0");
        let bits = self.below(u64::from(most.ilog2()) + 1);
        let (low, high) = (1 << bits, most.min((1 << bits) * 2 - 1));
        self.range(low, high)
    }

    /// Whether it happens this time. Draws nothing if it never can. Calm: it does not.
    pub fn chance(&mut self, chance: Chance) -> bool {
        chance.is_possible() && self.draw().is_some_and(|bits| (bits >> 32) < chance.0)
    }

    /// True once in `n` times. Calm: false.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.draw_below(n) == Some(0)
    }

    /// True or false, equally often. Calm: false.
    pub fn coin(&mut self) -> bool {
        self.coin_or(false)
    }

    /// True or false, equally often. Calm: `calm`.
    pub(crate) fn coin_or(&mut self, calm: bool) -> bool {
        self.draw().map_or(calm, |bits| bits >> 63 == 1)
    }

    /// One of the items. Calm: the first.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Puts the items into a random order (Fisher-Yates). Calm: leaves them where they are.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.draw_below(last as u64 + 1).map_or(last, |at| at as usize));
        }
    }

    /// Fills `bytes` with random ones. Calm: with zeros.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        if self.head.is_none() {
            return self.rng.fill_bytes(bytes);
        }
        // The same bytes, in pieces that a tape can hold; the last one takes of the generator no more than it needs.
        for piece in bytes.chunks_mut(8) {
            let Random { rng, head } = self;
            let fresh = || {
                let mut word = [0; 8];
                rng.fill_bytes(&mut word[..piece.len()]);
                u64::from_le_bytes(word)
            };
            let word = head.as_mut().map_or(Some(0), |head| head.draw(fresh)).unwrap_or(0);
            piece.copy_from_slice(&word.to_le_bytes()[..piece.len()]);
        }
    }
}
