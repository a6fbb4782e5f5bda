//! Small changes to an input, of the kinds that disks and formats suffer from.

use millstream_storage::hash::stable_hash;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// What lengths and numbers are set to.
const EXTREMES: [u32; 8] = [0, 1, 7, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF];

/// Makes one mutation.
pub struct Mutator {
    random: ChaCha8Rng,
}

impl Mutator {
    /// The same for the same target and number.
    pub fn new(target: &str, number: u64) -> Mutator {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&stable_hash(target.as_bytes()).to_le_bytes());
        seed[8..16].copy_from_slice(&number.to_le_bytes());
        Mutator { random: ChaCha8Rng::from_seed(seed) }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random.next_u64() % n.max(1) as u64) as usize
    }

    /// One of the inputs, changed at up to four places.
    pub fn mutate(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input, inputs);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        if input.is_empty() {
            return;
        }
        let at = self.below(input.len());
        match self.below(7) {
            0 => input[at] ^= 1 << self.below(8),
            1 => input[at] = self.below(256) as u8,
            2 => input.truncate(at),
            3 | 4 => {
                // Mostly where fields lie.
                let at = if self.below(2) == 0 { at & !3 } else { at };
                let field = EXTREMES[self.below(EXTREMES.len())].to_le_bytes();
                input.iter_mut().skip(at).zip(field).for_each(|(byte, new)| *byte = new);
            }
            5 => {
                let other = &inputs[self.below(inputs.len())];
                let from = self.below(other.len());
                let to = from + self.below(other.len() - from);
                input.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let end = at + self.below(input.len() - at);
                input.drain(at..end);
            }
        }
    }
}
