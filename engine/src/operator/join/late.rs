//! Where the late records of a join go.

use crate::operator::process::{Declare, OutputTag, Side};

/// The side output of a join with the left records that came too late.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::join::{late_left, late_right};
///
/// let job = Job::new("doc");
/// let ((main, pairs), (aside, late)) = (collect(), collect());
/// let numbers = job.source("numbers", from_vec(vec![100, 300, 200])).event_time(|n| *n, Watermarks::bounded(secs(1)));
/// let left = numbers.clone().filter(|n| *n != 300).key_by(|_| 'k');
/// let joined = left.interval_join("close", numbers.key_by(|_| 'k'), Within::millis(0..=0));
/// joined.side(late_left::<i64>()).sink("late", aside);
/// joined.sink("out", main);
/// let report = job.run(Config::new().cores(1))?;
/// assert_eq!((pairs.take(), report.late), (vec![(100, 100), (200, 200)], 0));
/// assert!(late.take().is_empty(), "none is more than a second behind");
/// # let _ = late_right::<i64>();
/// # Ok::<(), millstream::Error>(())
/// ```
pub const fn late_left<L>() -> OutputTag<L> {
    OutputTag::new("late left")
}

/// As [`late_left`], of the right records.
pub const fn late_right<R>() -> OutputTag<R> {
    OutputTag::new("late right")
}

/// Both side outputs, declared.
pub(crate) struct Late<L, R> {
    pub left: Side<L>,
    pub right: Side<R>,
}

impl<L: Send + 'static, R: Send + 'static> Late<L, R> {
    pub(crate) fn declare(state: &mut Declare) -> Late<L, R> {
        Late { left: state.side(late_left()), right: state.side(late_right()) }
    }
}
