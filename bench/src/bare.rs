//! Bare loops: the same update of (count, sum) per key without an engine around it, on one core.

use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

use hashbrown::HashMap;

use crate::events::Event;

/// Takes the key's own bits, mixed: the cheapest hash that still spreads.
#[derive(Default)]
struct MixHasher(u64);

impl Hasher for MixHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed");
    }
    fn write_u64(&mut self, n: u64) {
        let product = u128::from(n) * 0x9E37_79B9_7F4A_7C15_u128;
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }
}

/// Updates per second of a hash map, generator included.
pub fn hash_map(events: u64, keys: u64) -> f64 {
    let mut map: HashMap<u64, (u64, u64), BuildHasherDefault<MixHasher>> =
        HashMap::with_capacity_and_hasher(keys as usize, BuildHasherDefault::default());
    for key in 0..keys {
        map.insert(key, (0, 0));
    }
    let start = Instant::now();
    for index in 0..events {
        let event = Event::new(index, keys);
        let entry = map.entry(event.key).or_default();
        entry.0 += 1;
        entry.1 += event.value;
    }
    std::hint::black_box(&map);
    events as f64 / start.elapsed().as_secs_f64()
}

/// Updates per second of an open-addressing table, probed in batches with prefetch, generator included.
pub fn prefetched(events: u64, keys: u64) -> f64 {
    const BATCH: usize = 256;
    let slots = (keys * 2).next_power_of_two() as usize;
    let mut table = vec![(u64::MAX, 0_u64, 0_u64); slots];
    let slot_of = |key: u64| (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) as usize & (slots - 1);
    let mut batch = Vec::with_capacity(BATCH);
    let mut index = 0;
    let start = Instant::now();
    while index < events {
        batch.clear();
        for i in index..(index + BATCH as u64).min(events) {
            let event = Event::new(i, keys);
            let slot = slot_of(event.key);
            prefetch(&table[slot]);
            batch.push((slot, event));
        }
        index += batch.len() as u64;
        for &(mut slot, event) in &batch {
            while table[slot].0 != event.key && table[slot].0 != u64::MAX {
                slot = (slot + 1) & (slots - 1);
            }
            let entry = &mut table[slot];
            *entry = (event.key, entry.1 + 1, entry.2 + event.value);
        }
    }
    std::hint::black_box(&table);
    events as f64 / start.elapsed().as_secs_f64()
}

#[inline]
fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint; it reads nothing that the program could notice.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Events per second of the generator alone.
pub fn generator(events: u64, keys: u64) -> f64 {
    let start = Instant::now();
    let mut sum = 0_u64;
    for index in 0..events {
        let event = Event::new(index, keys);
        sum = sum.wrapping_add(event.key ^ event.value ^ event.at as u64);
    }
    std::hint::black_box(sum);
    events as f64 / start.elapsed().as_secs_f64()
}
