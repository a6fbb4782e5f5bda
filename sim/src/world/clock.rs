//! Virtual time: one monotonic clock per world, and a wall clock that may be wrong and may jump.

use std::time::Duration;

use crate::faults::Spells;
use crate::random::Random;

/// 2026-01-01, in milliseconds since the epoch.
const BASE: i64 = 1_767_225_600_000;
/// The longest jump: a day, in milliseconds.
const DAY: u64 = 86_400_000;

pub(crate) struct Clock {
    /// Nanoseconds since the world began.
    pub(crate) now: u64,
    /// What the wall clock is off by, in milliseconds.
    skew: i64,
    jumps: Option<Spells>,
    next_jump: u64,
    /// What the current process sees added to its monotonic clock, whose start is arbitrary.
    origin: u64,
    random: Random,
}

impl Clock {
    pub(crate) fn new(jumps: Option<Spells>, mut random: Random) -> Clock {
        let next_jump = jumps.map_or(u64::MAX, |jumps| jumps.draw_gap(&mut random));
        Clock { now: 0, skew: random.below(DAY) as i64, jumps, next_jump, origin: 0, random }
    }

    /// A process starts.
    pub(crate) fn restart(&mut self) {
        self.origin = self.random.magnitude(1 << 50);
    }

    pub(crate) fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.now + self.origin)
    }

    /// When the clock of the current process showed this; the beginning of the world if it never did.
    pub(crate) fn when(&self, monotonic: Duration) -> Duration {
        monotonic.saturating_sub(Duration::from_nanos(self.origin))
    }

    pub(crate) fn wall_millis(&self) -> i64 {
        BASE + self.skew + (self.now / 1_000_000) as i64
    }

    /// Jumps if it is time to; by how many milliseconds.
    pub(crate) fn jump(&mut self) -> Option<i64> {
        let jumps = self.jumps.filter(|_| self.now >= self.next_jump)?;
        self.next_jump = self.now + jumps.draw_gap(&mut self.random).max(1_000_000);
        let by = self.random.magnitude(DAY) as i64 * if self.random.coin() { 1 } else { -1 };
        self.skew += by;
        Some(by)
    }

    pub(crate) fn end_faults(&mut self) {
        self.jumps = None;
    }
}
