//! Days and hours of UTC.

use millstream::prelude::Timestamp;

const DAY: i64 = 86_400_000;

/// A timestamp as `2013-01-31 22:00`.
pub fn utc(at: Timestamp) -> String {
    let (days, minutes) = (at.div_euclid(DAY), at.rem_euclid(DAY) / 60_000);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minutes / 60, minutes % 60)
}

/// The date `days` after 1970-01-01, in the proleptic Gregorian calendar. The algorithm is Howard Hinnant's
/// `civil_from_days`: eras of 400 years, which begin in March so that the leap day is the last of a year.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}
