//! Random numbers, and what is made of them alone: prices, lengths, letters.

use super::exp::exp2;
use super::line::Line;

/// The step of SplitMix64.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The random numbers of an event: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)
/// begun from the seed and the event's number.
pub(super) struct Draw(u64);

impl Draw {
    #[inline(always)]
    pub(super) fn of(seed: u64, n: u64) -> Draw {
        // Apart by more than an event ever draws.
        Draw(mix(seed ^ n.wrapping_mul(0xD1B5_4A32_D192_ED03)))
    }

    #[inline(always)]
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// The next number, which counts as drawn only if it `is_drawn`. Nothing branches on what cannot be foretold.
    #[inline(always)]
    pub(super) fn next_if(&mut self, is_drawn: bool) -> u64 {
        let next = self.0.wrapping_add(STEP);
        self.0 = self.0.wrapping_add(STEP & u64::from(is_drawn).wrapping_neg());
        mix(next)
    }

    /// From 0 to `n − 1`.
    #[inline(always)]
    pub(super) fn below(&mut self, n: u64) -> u64 {
        scale(self.next(), n)
    }

    #[inline(always)]
    pub(super) fn one_of(&mut self, names: &[&'static str]) -> &'static str {
        names[self.below(names.len() as u64) as usize]
    }

    /// From 100 to 100,000,000, its logarithm evenly spread.
    #[inline(always)]
    pub(super) fn price(&mut self) -> i64 {
        let u = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let power = u * 6.0 * std::f64::consts::LOG2_10;
        // In parts of 2^-20, half of one added, so that cutting off rounds.
        let price = (exp2(power) * (100 << 20) as f64) as i64 + (1 << 19);
        // Where the error of `exp2` might decide: within a thousandth of the next number or the one before.
        if (price + 1024) & ((1 << 20) - 1) < 2048 {
            return exact_price(power);
        }
        price >> 20
    }

    /// A length within a fifth of `n`.
    #[inline(always)]
    pub(super) fn about(&mut self, n: usize) -> usize {
        let fifth = (n + 2) / 5;
        n - fifth + self.below(2 * fifth.max(1) as u64) as usize
    }

    /// Fills `to`, of a length that is a multiple of eight, with letters, eight from each number: up to 25 steps from
    /// `a`, all up or all down.
    #[inline(always)]
    pub(super) fn letters(&mut self, to: &mut [u8]) {
        let (eights, _) = to.as_chunks_mut::<8>();
        for (nth, eight) in eights.iter_mut().enumerate() {
            let at = self.0.wrapping_add((nth as u64 + 1).wrapping_mul(STEP));
            *eight = eight_letters(mix(at)).to_le_bytes();
        }
        self.0 = self.0.wrapping_add((eights.len() as u64).wrapping_mul(STEP));
    }

    /// Appends three letters or more, below `max`, with spaces in between but not at the ends.
    #[inline(always)]
    pub(super) fn words<const N: usize>(&mut self, max: u64, line: &mut Line<N>) {
        let len = 3 + self.below(max - 3) as usize;
        let (eights, _) = line.rest(len.next_multiple_of(8)).as_chunks_mut::<8>();
        for eight in eights {
            // 16 bits make a letter; another number says where spaces are.
            let (letters, spaces) = ([self.next(), self.next()], self.next().to_le_bytes());
            for at in 0..8 {
                let drawn = (letters[at / 4] >> (at % 4 * 16)) as u16;
                let letter = b'a' + ((u32::from(drawn) * 26) >> 16) as u8;
                let is_space = u16::from(spaces[at]) * 13 < 256;
                eight[at] = if is_space { b' ' } else { letter };
            }
        }
        line.take_trimmed(len);
    }
}

/// One of `n`, from 0, that a random number stands for.
#[inline(always)]
pub(super) fn scale(drawn: u64, n: u64) -> u64 {
    ((u128::from(drawn) * u128::from(n)) >> 64) as u64
}

/// What rounding makes of the exact power; rarely needed.
#[cold]
#[inline(never)]
fn exact_price(power: f64) -> i64 {
    (power.exp2() * 100.0).round() as i64
}

/// Eight letters, one for each byte of `drawn`, by sums within the bytes of a word: none is carried into the next.
#[inline(always)]
fn eight_letters(drawn: u64) -> u64 {
    const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
    const LETTER_A: u64 = u64::from_ne_bytes([b'a'; 8]);
    // A byte in 16 bits, times 26, leaves the step in the upper 8.
    let even = ((drawn & EVEN).wrapping_mul(26) >> 8) & EVEN;
    let odd = ((drawn >> 8) & EVEN).wrapping_mul(26) & !EVEN;
    let steps = even | odd;
    if drawn & 1 == 1 { LETTER_A + steps } else { LETTER_A - steps }
}

/// SplitMix64's finaliser.
#[inline(always)]
fn mix(n: u64) -> u64 {
    let mut z = n;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
