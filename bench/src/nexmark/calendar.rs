//! Days and times of day, in UTC.

use std::fmt;

use millstream::prelude::Timestamp;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A day, shown as `yyyy-MM-dd`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Day(pub i32);

/// A minute of a day, shown as `HH:mm`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minute(pub u16);

impl Day {
    /// The day of a moment.
    #[inline]
    pub fn of(at: Timestamp) -> Day {
        Day(at.div_euclid(DAY) as i32)
    }
}

impl Minute {
    /// The minute of a moment.
    #[inline]
    pub fn of(at: Timestamp) -> Minute {
        Minute((at.rem_euclid(DAY) / MINUTE) as u16)
    }
}

/// The hour of a moment, from 0 to 23.
#[inline]
pub fn hour(at: Timestamp) -> i64 {
    at.rem_euclid(DAY) / HOUR
}

impl fmt::Display for Day {
    /// Howard Hinnant's `civil_from_days` (chrono-compatible low-level date algorithms, 2013).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = i64::from(self.0) + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}
