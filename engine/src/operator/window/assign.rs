//! Which windows a record belongs to, where the windows are computed by the general operator.

use std::time::Duration;

use crate::operator::window::session::{Gap, Session};
use crate::operator::window::sliding::Slices;
use crate::operator::window::{Cumulative, Days, Sliding, Spans, Tumbling, Window};
use crate::time::{MAX_TIME, MIN_TIME, Timestamp, millis};

/// Assigns records to windows. Windows of one's own implement it, and can be used with triggers and with
/// [`process`](crate::stream::WindowedStream::process).
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::Assign;
///
/// /// A window for even milliseconds, and one for odd ones.
/// #[derive(Clone)]
/// struct Parity;
/// impl<T> Assign<T> for Parity {
///     fn assign(&self, time: Timestamp, _: &T, windows: &mut Vec<Window>) {
///         windows.push(Window { start: 0, end: 1_000 + time % 2 });
///     }
/// }
///
/// let job = Job::new("doc");
/// let (sink, sums) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 2, 3]))
///     .event_time(|n| *n, Watermarks::monotonous())
///     .key_by(|_| 'k')
///     .window(Parity)
///     .process("sum", |_, numbers| [numbers.sum::<i64>()])
///     .sink("sums", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(sums.take(), [2, 4]);
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// Windows that grow:
///
/// ```
/// use std::time::Duration;
///
/// use millstream::prelude::*;
/// use millstream::window::Assign;
///
/// /// A visit: clicks less than 30 ms apart. One that comes late may still belong to it for a second.
/// #[derive(Clone)]
/// struct Visit;
/// impl<T> Assign<T> for Visit {
///     fn assign(&self, time: Timestamp, _: &T, windows: &mut Vec<Window>) {
///         windows.push(Window { start: time, end: time + 30 });
///     }
///     fn allowed_lateness(&self) -> Duration {
///         secs(1)
///     }
///     fn merges(&self) -> bool {
///         true
///     }
///     fn describe(&self) -> String {
///         "visits, 30 ms".to_owned()
///     }
/// }
///
/// let job = Job::new("doc");
/// let (sink, visits) = collect();
/// job.source("clicks", from_vec(vec![1_i64, 20, 70]))
///     .event_time(|click| *click, Watermarks::monotonous())
///     .key_by(|_| 'k')
///     .window(Visit)
///     .process("visit", |_, clicks| [clicks.collect::<Vec<_>>()])
///     .sink("visits", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(visits.take(), [vec![1, 20], vec![70]]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait Assign<T>: Clone + Send + 'static {
    /// Adds the windows of a record. It must depend on nothing else.
    fn assign(&self, time: Timestamp, record: &T, windows: &mut Vec<Window>);

    /// For how long after its end a window is kept.
    fn allowed_lateness(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether windows of a key that touch become one.
    fn merges(&self) -> bool {
        false
    }

    /// What a checkpoint says of it: state is not restored for windows that are described otherwise.
    fn describe(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }
}

/// One window for all time. Its result is due at the end of the input, or when a trigger says so.
///
/// ```
/// # use millstream::prelude::*;
/// let job = Job::new("doc");
/// let (sink, sums) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 2, 3]))
///     .key_by(|_| 'k')
///     .window(Global)
///     .process("sum", |_, numbers| [numbers.sum::<i64>()])
///     .sink("sums", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(sums.take(), [6]);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Global;

impl<T> Assign<T> for Global {
    fn assign(&self, _: Timestamp, _: &T, windows: &mut Vec<Window>) {
        windows.push(Window { start: MIN_TIME, end: MAX_TIME });
    }

    fn describe(&self) -> String {
        "global".to_owned()
    }
}

impl<T> Assign<T> for Tumbling {
    fn assign(&self, time: Timestamp, _: &T, windows: &mut Vec<Window>) {
        windows.push(self.window_of(time));
    }

    fn allowed_lateness(&self) -> Duration {
        millis(self.parameters().2.unsigned_abs())
    }

    fn describe(&self) -> String {
        Tumbling::describe(self)
    }
}

impl<T> Assign<T> for Days {
    fn assign(&self, time: Timestamp, _: &T, windows: &mut Vec<Window>) {
        windows.push(self.window_of(time));
    }

    fn allowed_lateness(&self) -> Duration {
        millis(Spans::lateness(self).unsigned_abs())
    }

    fn describe(&self) -> String {
        Days::describe(self)
    }
}

fn assign_slices<S: Slices>(slices: &S, time: Timestamp, windows: &mut Vec<Window>) {
    let slice = slices.slice_of(time).end;
    let mut next = slices.window_from(slice, slice);
    while let Some(end) = next {
        windows.push(Window { start: slices.start_of(end), end });
        next = end.checked_add(1).and_then(|least| slices.window_from(slice, least));
    }
}

impl<T> Assign<T> for Sliding {
    fn assign(&self, time: Timestamp, _: &T, windows: &mut Vec<Window>) {
        assign_slices(self, time, windows);
    }

    fn allowed_lateness(&self) -> Duration {
        millis(Slices::lateness(self).unsigned_abs())
    }

    fn describe(&self) -> String {
        Sliding::describe(self)
    }
}

impl<T> Assign<T> for Cumulative {
    fn assign(&self, time: Timestamp, _: &T, windows: &mut Vec<Window>) {
        assign_slices(self, time, windows);
    }

    fn allowed_lateness(&self) -> Duration {
        millis(Slices::lateness(self).unsigned_abs())
    }

    fn describe(&self) -> String {
        Cumulative::describe(self)
    }
}

impl<T, G: Gap<T>> Assign<T> for Session<G> {
    fn assign(&self, time: Timestamp, record: &T, windows: &mut Vec<Window>) {
        windows.push(Window { start: time, end: time.saturating_add(self.gap_of(record)) });
    }

    fn allowed_lateness(&self) -> Duration {
        millis(self.lateness().unsigned_abs())
    }

    fn merges(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        Session::describe::<T>(self)
    }
}
