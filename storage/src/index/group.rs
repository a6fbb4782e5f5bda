//! Eight index slots, one cache line, looked at in one go.
//!
//! Both forms give a mask with bit `4 * slot + 3` set for every slot whose tag matches.

/// Slots in a line.
pub(super) const SLOTS: usize = 8;

/// A line of slots.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct Line(pub(super) [u64; SLOTS]);

/// The tags of a line, loaded.
#[cfg(target_arch = "x86_64")]
pub(super) struct Group([std::arch::x86_64::__m128i; 4]);

#[cfg(target_arch = "x86_64")]
impl Group {
    #[inline(always)]
    pub(super) fn load(line: &Line) -> Group {
        use std::arch::x86_64::{__m128i, _mm_load_si128};
        let start = line.0.as_ptr().cast::<__m128i>();
        // SAFETY: a line is 64 bytes, aligned to 64; SSE2 is part of every x86-64.
        unsafe {
            Group([
                _mm_load_si128(start),
                _mm_load_si128(start.add(1)),
                _mm_load_si128(start.add(2)),
                _mm_load_si128(start.add(3)),
            ])
        }
    }

    /// The slots with this tag.
    #[inline(always)]
    pub(super) fn matches(&self, tag: u16) -> u32 {
        use std::arch::x86_64::{_mm_cmpeq_epi16, _mm_movemask_epi8, _mm_packs_epi16, _mm_set1_epi16};
        // Every 16-bit lane is compared; lane 3 of each slot is its tag, and after packing two registers of
        // lanes into one of bytes, byte 3 of every four.
        // SAFETY: SSE2 is part of every x86-64.
        let (low, high) = unsafe {
            let tag = _mm_set1_epi16(tag.cast_signed());
            let equal = self.0.map(|lanes| _mm_cmpeq_epi16(lanes, tag));
            let low = _mm_movemask_epi8(_mm_packs_epi16(equal[0], equal[1]));
            let high = _mm_movemask_epi8(_mm_packs_epi16(equal[2], equal[3]));
            (low.cast_unsigned(), high.cast_unsigned())
        };
        (low | high << 16) & 0x8888_8888
    }
}

/// The tags of a line, loaded.
#[cfg(not(target_arch = "x86_64"))]
pub(super) struct Group(Line);

#[cfg(not(target_arch = "x86_64"))]
impl Group {
    #[inline(always)]
    pub(super) fn load(line: &Line) -> Group {
        Group(*line)
    }

    /// The slots with this tag.
    #[inline(always)]
    pub(super) fn matches(&self, tag: u16) -> u32 {
        let mut mask = 0;
        for (slot, entry) in self.0.0.iter().enumerate() {
            mask |= u32::from((entry >> super::ADDRESS_BITS) as u16 == tag) << (4 * slot + 3);
        }
        mask
    }
}

/// The slots of a mask, in order.
#[inline(always)]
pub(super) fn slots(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if mask == 0 {
            return None;
        }
        let slot = (mask.trailing_zeros() >> 2) as usize;
        mask &= mask - 1;
        Some(slot)
    })
}
