//! The three ranks of prices.

/// How many ranks there are.
pub const RANKS: usize = 3;

/// The rank of a price, from 0: below 10,000, below 1,000,000, and above.
#[inline]
pub fn rank(price: i64) -> usize {
    usize::from(price >= 10_000) + usize::from(price >= 1_000_000)
}
