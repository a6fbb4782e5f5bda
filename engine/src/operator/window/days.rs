//! Windows of whole days, as the clocks on the wall of some place count them.

use std::cell::Cell;
use std::time::Duration;

use jiff::Timestamp as Instant;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use crate::error::{Error, ErrorKind, Result};
use crate::operator::window::{Spans, Tumbling, Window};
use crate::time::{Timestamp, as_millis, hours};

/// The day from which days are counted.
const EPOCH: Date = date(1970, 1, 1);
const DAY: i64 = 24 * 60 * 60 * 1000;

/// Windows of whole days in a time zone: a day in spring has 23 hours, and one in autumn 25, where clocks are changed.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::Days;
///
/// let days: Days = Tumbling::days(1, "Europe/Berlin")?;
/// let hour = 3_600_000;
/// let noon = 1_711_886_400_000; // 2024-03-31T12:00Z, a Sunday on which clocks were put forward
/// let day = days.window_of(noon);
/// assert_eq!((day.start, day.end - day.start), (noon - 13 * hour, 23 * hour));
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Days {
    count: i64,
    zone: TimeZone,
    name: String,
    /// When a day begins, by the clocks there: minutes after midnight.
    begin: i16,
    lateness: i64,
    /// The last window that was asked for.
    recent: Cell<Window>,
}

impl Tumbling {
    /// Windows of `count` days in a time zone, by its IANA name. Several days are counted from the first of January 1970.
    ///
    /// What is known of time zones is that of the version in use: it is part of the program, not read from the machine, so
    /// that windows are the same everywhere.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// assert!(Tumbling::days(7, "Europe/Berlin").is_ok());
    /// assert!(Tumbling::days(1, "Europe/Atlantis").is_err());
    /// ```
    ///
    /// # Errors
    /// If there is no such time zone.
    ///
    /// # Panics
    /// If there are no days, or more than a century of them.
    pub fn days(count: u32, zone: &str) -> Result<Days> {
        assert!((1..=36_525).contains(&count), "a window has at least a day, and at most a century");
        let found = TimeZone::get(zone).map_err(|error| {
            Error::new(ErrorKind::Config, format!("there is no time zone `{zone}`")).caused_by(error)
        })?;
        Ok(Days {
            count: i64::from(count),
            zone: found,
            name: zone.to_owned(),
            begin: 0,
            lateness: 0,
            recent: Cell::new(Window { start: 0, end: 0 }),
        })
    }
}

impl Days {
    /// Lets days begin at this time by the clocks there, instead of midnight.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let shifts = Tumbling::days(1, "Etc/UTC")?.from_time(6, 30);
    /// assert_eq!(shifts.window_of(0), Window { start: -63_000_000, end: 23_400_000 });
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there is no such time of day.
    pub fn from_time(mut self, hour: u8, minute: u8) -> Days {
        assert!(hour < 24 && minute < 60, "there is no such time of day");
        self.begin = i16::from(hour) * 60 + i16::from(minute);
        self.recent = Cell::new(Window { start: 0, end: 0 });
        self
    }

    /// Keeps a window for this long after its end has been reached; see [`Tumbling::allow_late`].
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let days = Tumbling::days(1, "Europe/Berlin")?.allow_late(hours(2));
    /// # let _ = days;
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn allow_late(mut self, lateness: Duration) -> Days {
        self.lateness = as_millis(lateness);
        self
    }

    /// The window that a timestamp falls into.
    pub fn window_of(&self, time: Timestamp) -> Window {
        let recent = self.recent.get();
        if recent.start <= time && time < recent.end {
            return recent;
        }
        // Before and after all years that have dates, days are those of UTC.
        let window = self
            .dated(time)
            .unwrap_or_else(|| Tumbling::of(hours(24) * self.count.unsigned_abs() as u32).window_of(time));
        self.recent.set(window);
        window
    }

    fn dated(&self, time: Timestamp) -> Option<Window> {
        let civil = self.zone.to_datetime(Instant::from_millisecond(time).ok()?);
        // A calendar day has as many seconds as it has in UTC.
        let midnight = civil.date().to_datetime(jiff::civil::Time::midnight());
        let today = midnight.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond().div_euclid(DAY);
        let today = if time < self.beginning(today)? { today - 1 } else { today };
        let first = today.div_euclid(self.count) * self.count;
        Some(Window { start: self.beginning(first)?, end: self.beginning(first + self.count)? })
    }

    /// When the day begins that is so many days after the first of January 1970.
    fn beginning(&self, day: i64) -> Option<Timestamp> {
        let date = EPOCH.checked_add(jiff::Span::new().try_days(day).ok()?).ok()?;
        let (hour, minute) = ((self.begin / 60) as i8, (self.begin % 60) as i8);
        Some(date.at(hour, minute, 0, 0).to_zoned(self.zone.clone()).ok()?.timestamp().as_millisecond())
    }

    /// Days, zone, the beginning of a day in minutes, and the allowed lateness in milliseconds.
    pub(crate) fn parameters(&self) -> (i64, TimeZone, i16, i64) {
        (self.count, self.zone.clone(), self.begin, self.lateness)
    }

    /// For messages and the schema of checkpoints.
    pub(crate) fn describe(&self) -> String {
        let Days { count, name, begin, lateness, .. } = self;
        let (hour, minute) = (begin / 60, begin % 60);
        format!("{count} days in {name} from {hour}:{minute:02}, allowed lateness {lateness} ms")
    }
}

impl Spans for Days {
    #[inline]
    fn window_of(&self, time: Timestamp) -> Window {
        Days::window_of(self, time)
    }

    fn lateness(&self) -> i64 {
        self.lateness
    }
}
