//! Powers of two by a table: a price is drawn for each bid.

/// Parts of an octave.
const PARTS: usize = 256;

/// 2^(i / `PARTS`).
static OCTAVE: [f64; PARTS] = octave();

/// The octave by multiplication with its first step, which is found by taking the square root of 2 eight times. The
/// errors of 256 multiplications do not matter.
const fn octave() -> [f64; PARTS] {
    let (mut step, mut parts) = (2.0, 1);
    while parts < PARTS {
        step = square_root(step);
        parts *= 2;
    }
    let (mut octave, mut at) = ([1.0; PARTS], 1);
    while at < PARTS {
        octave[at] = octave[at - 1] * step;
        at += 1;
    }
    octave
}

/// Newton's method, for numbers from 1 to 2.
const fn square_root(n: f64) -> f64 {
    let (mut root, mut step) = (n, 0);
    while step < 8 {
        root = (root + n / root) / 2.0;
        step += 1;
    }
    root
}

/// 2^x for x from 0 to 1000, with a relative error below 10^-12.
#[inline(always)]
pub(super) fn exp2(x: f64) -> f64 {
    let parts = (x * PARTS as f64) as i32;
    // At most 1/256 of an octave: the series needs five terms.
    let rest = (x - f64::from(parts) * (1.0 / PARTS as f64)) * std::f64::consts::LN_2;
    let series = 1.0 + rest * (1.0 + rest * (1.0 / 2.0 + rest * (1.0 / 6.0 + rest * (1.0 / 24.0))));
    let parts = parts as usize;
    let octaves = f64::from_bits(((parts / PARTS + 1023) << 52) as u64);
    octaves * OCTAVE[parts % PARTS] * series
}
