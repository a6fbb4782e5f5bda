//! The records of the keyed benchmarks, made from their index alone.

/// Events per millisecond of event time: ten million per second.
const PER_MILLI: u64 = 10_000;

/// A key, a value and a time.
#[derive(Clone, Copy)]
pub struct Event {
    pub key: u64,
    pub value: u64,
    pub at: i64,
}

impl Event {
    /// Event `index` of a stream over `keys` keys, spread evenly and without order.
    #[inline]
    pub fn new(index: u64, keys: u64) -> Event {
        let spread = mix(index);
        let key = ((u128::from(spread) * u128::from(keys)) >> 64) as u64;
        Event { key, value: index & 0xff, at: (index / PER_MILLI) as i64 }
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[inline]
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
