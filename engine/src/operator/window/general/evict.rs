//! Which records a window keeps when it fires.

use std::time::Duration;

use crate::operator::window::Window;
use crate::time::{Timestamp, as_millis};

/// Removes records from a window before its result is computed, for good.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::evict::Evict;
/// use millstream::window::trigger::Count;
///
/// #[derive(Clone)]
/// struct OnlyEven;
/// impl Evict<i64> for OnlyEven {
///     fn evict(&self, _: Window, records: &[(Timestamp, i64)], keep: &mut [bool]) {
///         records.iter().zip(keep).for_each(|((_, n), keep)| *keep = n % 2 == 0);
///     }
/// }
///
/// let job = Job::new("doc");
/// let (sink, sums) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 2, 3, 4]))
///     .key_by(|_| 'k')
///     .window(Global)
///     .trigger(Count::of(2))
///     .evict(OnlyEven)
///     .process("sum", |_, numbers| [numbers.sum::<i64>()])
///     .sink("sums", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(sums.take(), [2, 2 + 4]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait Evict<T>: Clone + Send + 'static {
    /// Says which records stay: all, unless it says otherwise. They come in the order of their arrival, with their times.
    fn evict(&self, window: Window, records: &[(Timestamp, T)], keep: &mut [bool]);
}

/// Keeps all.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::evict::{Evict, KeepAll};
/// let mut keep = [true; 2];
/// KeepAll.evict(Window { start: 0, end: 10 }, &[(1, 'a'), (2, 'b')], &mut keep);
/// assert_eq!(keep, [true, true]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAll;

impl<T> Evict<T> for KeepAll {
    fn evict(&self, _: Window, _: &[(Timestamp, T)], _: &mut [bool]) {}
}

/// Keeps the last records, so many.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::evict::{Evict, KeepLast};
/// let mut keep = [true; 3];
/// KeepLast(2).evict(Window { start: 0, end: 10 }, &[(3, 'a'), (1, 'b'), (2, 'c')], &mut keep);
/// assert_eq!(keep, [false, true, true]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepLast(pub usize);

impl<T> Evict<T> for KeepLast {
    fn evict(&self, _: Window, records: &[(Timestamp, T)], keep: &mut [bool]) {
        keep[..records.len().saturating_sub(self.0)].fill(false);
    }
}

/// Keeps the records that are less than this older than the newest.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::evict::{Evict, KeepRecent};
/// let mut keep = [true; 3];
/// KeepRecent(millis(2)).evict(Window { start: 0, end: 10 }, &[(3, 'a'), (1, 'b'), (2, 'c')], &mut keep);
/// assert_eq!(keep, [true, false, true]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepRecent(pub Duration);

impl<T> Evict<T> for KeepRecent {
    fn evict(&self, _: Window, records: &[(Timestamp, T)], keep: &mut [bool]) {
        let Some(newest) = records.iter().map(|(time, _)| *time).max() else { return };
        let oldest = newest.saturating_sub(as_millis(self.0));
        records.iter().zip(keep).for_each(|((time, _), keep)| *keep = *time > oldest);
    }
}

/// Keeps the records that differ from the last one by less than a threshold.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::evict::{Evict, KeepNear};
/// let mut keep = [true; 3];
/// let near = KeepNear::new(5.0, |a: &f64, b: &f64| (a - b).abs());
/// near.evict(Window { start: 0, end: 10 }, &[(1, 2.0), (2, 8.0), (3, 9.0)], &mut keep);
/// assert_eq!(keep, [false, true, true]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KeepNear<F> {
    threshold: f64,
    distance: F,
}

impl<F> KeepNear<F> {
    /// By a distance between a record and the last one.
    pub fn new<T>(threshold: f64, distance: F) -> KeepNear<F>
    where
        F: Fn(&T, &T) -> f64 + Clone + Send + 'static,
    {
        KeepNear { threshold, distance }
    }
}

impl<T, F: Fn(&T, &T) -> f64 + Clone + Send + 'static> Evict<T> for KeepNear<F> {
    fn evict(&self, _: Window, records: &[(Timestamp, T)], keep: &mut [bool]) {
        let Some((_, last)) = records.last() else { return };
        let near = |record: &T| (self.distance)(record, last) < self.threshold;
        records.iter().zip(keep).for_each(|((_, record), keep)| *keep = near(record));
    }
}
