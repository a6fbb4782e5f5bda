//! Windows that overlap: sliding ones, and cumulative ones.
//!
//! Both are cut into slices, so that a record is added to one accumulator only, whatever the number of its windows.

use std::time::Duration;

use crate::operator::window::Window;
use crate::time::{Timestamp, as_millis};

/// How windows that overlap share slices. A slice and a window are named by their ends.
pub(crate) trait Slices: Clone + Send + 'static {
    /// The slice that a timestamp falls into.
    fn slice_of(&self, time: Timestamp) -> Window;

    /// Of the windows that contain the slice that ends at `slice`, the first that ends at `least` or later.
    fn window_from(&self, slice: Timestamp, least: Timestamp) -> Option<Timestamp>;

    /// The last window that contains the slice that ends at `slice`.
    fn last_window(&self, slice: Timestamp) -> Option<Timestamp>;

    /// Where the window that ends at `end` starts.
    fn start_of(&self, end: Timestamp) -> Timestamp;

    /// For how long after its end a window is kept, in milliseconds.
    fn lateness(&self) -> i64;

    /// When a window that ends at `end` is over: once the watermark has reached this.
    #[inline]
    fn cleanup(&self, end: Timestamp) -> Timestamp {
        end.saturating_sub(1).saturating_add(self.lateness())
    }
}

/// Windows of a fixed size, one every so often: they overlap if they are longer than that, and leave gaps if they are
/// shorter. What windows have in common is computed once.
///
/// ```
/// use millstream::prelude::*;
///
/// let job = Job::new("doc");
/// let (sink, sums) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 4, 11]))
///     .event_time(|n| *n, Watermarks::monotonous())
///     .key_by(|_| 'k')
///     .window(Sliding::of(millis(10), millis(5)))
///     .reduce("sum", |sum, n| *sum += n)
///     .map(|sum| (sum.window.start, sum.window.end, sum.value))
///     .sink("sums", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(sums.take(), [(-5, 5, 5), (0, 10, 5), (5, 15, 11), (10, 20, 11)]);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    size: i64,
    slide: i64,
    /// Less than `slide`.
    offset: i64,
    lateness: i64,
    /// The length of a slice: the greatest that divides both.
    grain: i64,
}

impl Sliding {
    /// Windows of this size, one starting every `slide`.
    ///
    /// # Panics
    /// If one of them is less than a millisecond.
    pub fn of(size: Duration, slide: Duration) -> Sliding {
        let (size, slide) = (as_millis(size), as_millis(slide));
        assert!(
            size > 0 && slide > 0,
            "a window is at least a millisecond long, and so is the way to the next"
        );
        Sliding { size, slide, offset: 0, lateness: 0, grain: greatest_common_divisor(size, slide) }
    }

    /// Shifts the windows; see [`Tumbling::offset_millis`](super::Tumbling::offset_millis).
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let windows = Sliding::of(secs(10), secs(5)).offset_millis(-1);
    /// assert_eq!(windows, Sliding::of(secs(10), secs(5)).offset_millis(4_999));
    /// ```
    pub fn offset_millis(mut self, offset: i64) -> Sliding {
        self.offset = offset.rem_euclid(self.slide);
        self
    }

    /// Keeps a window for this long after its end has been reached; see
    /// [`Tumbling::allow_late`](super::Tumbling::allow_late). Whether a record is late is judged window by window: one
    /// that comes too late for its first windows still counts in its later ones.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, sums) = collect();
    /// job.source("numbers", from_vec(vec![7_i64, 12, 8]))
    ///     .event_time(|n| *n, Watermarks::monotonous())
    ///     .key_by(|_| 'k')
    ///     .window(Sliding::of(millis(10), millis(5)).allow_late(millis(2)))
    ///     .reduce("sum", |sum, n| *sum += n)
    ///     .map(|sum| (sum.window.end, sum.value))
    ///     .sink("sums", sink);
    /// job.run(Config::new().cores(1).batch_size(1))?;
    /// assert_eq!(sums.take(), [(10, 7), (15, 7 + 12 + 8), (20, 12)], "8 is late for the first window only");
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn allow_late(mut self, lateness: Duration) -> Sliding {
        self.lateness = as_millis(lateness);
        self
    }

    /// Size, slide, offset and allowed lateness, in milliseconds.
    pub(crate) fn parameters(&self) -> (i64, i64, i64, i64) {
        (self.size, self.slide, self.offset, self.lateness)
    }

    /// For messages and the schema of checkpoints.
    pub(crate) fn describe(&self) -> String {
        let Sliding { size, slide, offset, lateness, .. } = self;
        format!("sliding {size} ms every {slide} ms, offset {offset} ms, allowed lateness {lateness} ms")
    }
}

impl Slices for Sliding {
    #[inline]
    fn slice_of(&self, time: Timestamp) -> Window {
        grain_of(time, self.grain, self.offset)
    }

    #[inline]
    fn window_from(&self, slice: Timestamp, least: Timestamp) -> Option<Timestamp> {
        // Windows end where windows start, and where their size takes them from there.
        let phase = (self.offset + self.size % self.slide) % self.slide;
        let end = align_up(slice.max(least), self.slide, phase);
        (end <= slice.saturating_add(self.size - self.grain)).then_some(end)
    }

    #[inline]
    fn last_window(&self, slice: Timestamp) -> Option<Timestamp> {
        let first = self.window_from(slice, slice)?;
        let room = slice.saturating_add(self.size - self.grain) - first;
        let last = first + room / self.slide * self.slide;
        if last <= Timestamp::MAX - self.slide {
            return Some(last);
        }
        // Behind it there may be one that is cut off where time ends.
        let cut = last.checked_add(1).and_then(|least| self.window_from(slice, least));
        Some(cut.unwrap_or(last))
    }

    #[inline]
    fn start_of(&self, end: Timestamp) -> Timestamp {
        end.saturating_sub(self.size)
    }

    #[inline]
    fn lateness(&self) -> i64 {
        self.lateness
    }
}

/// Windows that grow step by step up to a greatest size, and then begin anew: a day's total so far, every hour.
///
/// ```
/// use millstream::prelude::*;
///
/// let job = Job::new("doc");
/// let (sink, sums) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 4, 7, 11]))
///     .event_time(|n| *n, Watermarks::monotonous())
///     .key_by(|_| 'k')
///     .window(Cumulative::of(millis(10), millis(5)))
///     .reduce("sum", |sum, n| *sum += n)
///     .map(|sum| (sum.window.start, sum.window.end, sum.value))
///     .sink("sums", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(sums.take(), [(0, 5, 5), (0, 10, 12), (10, 15, 11), (10, 20, 11)]);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cumulative {
    max: i64,
    step: i64,
    /// Less than `max`.
    offset: i64,
    lateness: i64,
}

impl Cumulative {
    /// Windows that grow by `step` up to `max`.
    ///
    /// # Panics
    /// If the step is less than a millisecond, or `max` is not a multiple of it.
    pub fn of(max: Duration, step: Duration) -> Cumulative {
        let (max, step) = (as_millis(max), as_millis(step));
        assert!(step > 0, "a window is at least a millisecond long");
        assert!(max >= step && max % step == 0, "the greatest size is a multiple of the step");
        Cumulative { max, step, offset: 0, lateness: 0 }
    }

    /// Shifts the windows; see [`Tumbling::offset_millis`](super::Tumbling::offset_millis).
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let days = Cumulative::of(hours(24), hours(1)).offset_millis(-3_600_000);
    /// assert_eq!(days, Cumulative::of(hours(24), hours(1)).offset_millis(23 * 3_600_000));
    /// ```
    pub fn offset_millis(mut self, offset: i64) -> Cumulative {
        self.offset = offset.rem_euclid(self.max);
        self
    }

    /// Keeps a window for this long after its end has been reached; see [`Sliding::allow_late`].
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let days = Cumulative::of(hours(24), hours(1)).allow_late(minutes(5));
    /// # let _ = days;
    /// ```
    pub fn allow_late(mut self, lateness: Duration) -> Cumulative {
        self.lateness = as_millis(lateness);
        self
    }

    /// Greatest size, step, offset and allowed lateness, in milliseconds.
    pub(crate) fn parameters(&self) -> (i64, i64, i64, i64) {
        (self.max, self.step, self.offset, self.lateness)
    }

    /// For messages and the schema of checkpoints.
    pub(crate) fn describe(&self) -> String {
        let Cumulative { max, step, offset, lateness } = self;
        format!("cumulative up to {max} ms by {step} ms, offset {offset} ms, allowed lateness {lateness} ms")
    }
}

impl Slices for Cumulative {
    #[inline]
    fn slice_of(&self, time: Timestamp) -> Window {
        grain_of(time, self.step, self.offset)
    }

    #[inline]
    fn window_from(&self, slice: Timestamp, least: Timestamp) -> Option<Timestamp> {
        let end = align_up(slice.max(least), self.step, self.offset % self.step);
        (end <= self.last_window(slice)?).then_some(end)
    }

    #[inline]
    fn last_window(&self, slice: Timestamp) -> Option<Timestamp> {
        Some(align_up(slice, self.max, self.offset))
    }

    #[inline]
    fn start_of(&self, end: Timestamp) -> Timestamp {
        grain_of(end.saturating_sub(1), self.max, self.offset).start
    }

    #[inline]
    fn lateness(&self) -> i64 {
        self.lateness
    }
}

/// Of spans of this length, side by side, the one that a timestamp falls into; cut off at the ends of time.
#[inline]
fn grain_of(time: Timestamp, length: i64, offset: i64) -> Window {
    let before = (time.rem_euclid(length) - offset % length).rem_euclid(length);
    Window { start: time.saturating_sub(before), end: time.saturating_add(length - before) }
}

/// The first time from `time` on that leaves the remainder `phase` when divided by `step`; or the end of time.
#[inline]
fn align_up(time: Timestamp, step: i64, phase: i64) -> Timestamp {
    time.saturating_add((phase - time.rem_euclid(step)).rem_euclid(step))
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
