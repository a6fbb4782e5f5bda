//! When the results of a window are due.

use std::time::Duration;

use crate::operator::window::Window;
use crate::state::StateValue;
use crate::time::{Timestamp, as_millis};

/// What is to be done with a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Continue,
    /// Its result is put out; its records are kept.
    Fire,
    /// Its records are forgotten.
    Purge,
    /// Its result is put out, and its records are forgotten.
    FireAndPurge,
}

impl Action {
    pub(crate) fn fires(self) -> bool {
        matches!(self, Action::Fire | Action::FireAndPurge)
    }

    pub(crate) fn purges(self) -> bool {
        matches!(self, Action::Purge | Action::FireAndPurge)
    }
}

/// Decides when the results of a window are due: at records, and at times that it asks for.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::trigger::{Action, Trigger, TriggerContext};
///
/// /// After each negative number.
/// #[derive(Clone)]
/// struct AtNegatives;
/// impl Trigger<i64> for AtNegatives {
///     type State = ();
///     fn on_record(&self, n: &i64, _: Timestamp, _: &mut (), _: &mut TriggerContext<'_>) -> Action {
///         if *n < 0 { Action::FireAndPurge } else { Action::Continue }
///     }
///     fn merge(&self, _: &mut (), _: &()) {}
/// }
///
/// let job = Job::new("doc");
/// let (sink, groups) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 2, -1, 3, -1]))
///     .key_by(|_| 'k')
///     .window(Global)
///     .trigger(AtNegatives)
///     .process("groups", |_, numbers| [numbers.collect::<Vec<_>>()])
///     .sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(groups.take(), [vec![1, 2, -1], vec![3, -1]]);
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// One that asks for times:
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::trigger::{Action, Purging, Trigger, TriggerContext};
///
/// /// At the end of the window; and a minute by the clock after its first record, should the watermark take longer.
/// #[derive(Clone)]
/// struct EndOrMinute;
/// impl Trigger<i64> for EndOrMinute {
///     /// When the minute is over; 0 before the first record.
///     type State = i64;
///     fn on_record(&self, _: &i64, _: Timestamp, over: &mut i64, cx: &mut TriggerContext<'_>) -> Action {
///         cx.timer_at(cx.window().max_timestamp());
///         if *over == 0 {
///             *over = cx.processing_time() + 60_000;
///             cx.processing_timer_at(*over);
///         }
///         Action::Continue
///     }
///     fn on_event_time(&self, _: Timestamp, _: &mut i64, _: &mut TriggerContext<'_>) -> Action {
///         Action::Fire
///     }
///     fn on_processing_time(&self, _: Timestamp, _: &mut i64, _: &mut TriggerContext<'_>) -> Action {
///         Action::Fire
///     }
///     fn merge(&self, over: &mut i64, other: &i64) {
///         *over = [*over, *other].into_iter().filter(|at| *at > 0).min().unwrap_or(0);
///     }
///     fn on_merge(&self, over: &mut i64, cx: &mut TriggerContext<'_>) {
///         if *over > 0 {
///             cx.processing_timer_at(*over);
///         }
///     }
///     fn describe(&self) -> String {
///         "at the end, or after a minute".to_owned()
///     }
/// }
///
/// let job = Job::new("doc");
/// let (sink, visits) = collect();
/// let trigger: Purging<EndOrMinute> = EndOrMinute.purging();
/// job.source("clicks", from_vec(vec![1_i64, 20, 70]))
///     .event_time(|click| *click, Watermarks::monotonous())
///     .key_by(|_| 'k')
///     .window(Session::with_gap(millis(30)))
///     .trigger(trigger)
///     .process("visit", |_, clicks| [clicks.collect::<Vec<_>>()])
///     .sink("visits", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(visits.take(), [vec![1, 20], vec![70]]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait Trigger<T>: Clone + Send + 'static {
    /// What it keeps for each key and window.
    type State: StateValue + Default;

    /// A record has been added to the window.
    fn on_record(
        &self,
        record: &T,
        time: Timestamp,
        state: &mut Self::State,
        cx: &mut TriggerContext<'_>,
    ) -> Action;

    /// The watermark has reached a time that was asked for.
    fn on_event_time(&self, at: Timestamp, state: &mut Self::State, cx: &mut TriggerContext<'_>) -> Action {
        let _ = (at, state, cx);
        Action::Continue
    }

    /// The clock has reached a time that was asked for.
    fn on_processing_time(
        &self,
        at: Timestamp,
        state: &mut Self::State,
        cx: &mut TriggerContext<'_>,
    ) -> Action {
        let _ = (at, state, cx);
        Action::Continue
    }

    /// Another window becomes part of this one.
    fn merge(&self, into: &mut Self::State, from: &Self::State);

    /// The window has grown. The times that it and others had asked for are forgotten: those that still count must be
    /// asked for again. [`Trigger::on_record`] follows.
    fn on_merge(&self, state: &mut Self::State, cx: &mut TriggerContext<'_>) {
        let _ = (state, cx);
    }

    /// What a checkpoint says of it: state is not restored for a trigger that is described otherwise.
    fn describe(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }

    /// The same, and whenever it fires the window's records are forgotten.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::window::trigger::{Count, Trigger};
    ///
    /// let job = Job::new("doc");
    /// let (sink, pairs) = collect();
    /// job.source("numbers", from_vec(vec![1_i64, 2, 3, 4]))
    ///     .key_by(|_| 'k')
    ///     .window(Global)
    ///     .trigger(Trigger::<i64>::purging(Count::of(2)))
    ///     .process("pairs", |_, numbers| [numbers.collect::<Vec<_>>()])
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(pairs.take(), [[1, 2], [3, 4]]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    fn purging(self) -> Purging<Self> {
        Purging(self)
    }
}

/// What a trigger sees of the world.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::trigger::TriggerContext;
///
/// /// Asks for a look at the window a minute before it ends.
/// fn in_time(cx: &mut TriggerContext<'_>) {
///     if cx.watermark() < cx.window().end - 60_000 {
///         cx.timer_at(cx.window().end - 60_000);
///     }
/// }
/// ```
pub struct TriggerContext<'a> {
    pub(crate) window: Window,
    pub(crate) watermark: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) event: &'a mut Vec<Timestamp>,
    pub(crate) processing: &'a mut Vec<Timestamp>,
}

impl TriggerContext<'_> {
    /// The window.
    pub fn window(&self) -> Window {
        self.window
    }

    /// The watermark.
    pub fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// Milliseconds since the epoch when the current step began.
    pub fn processing_time(&self) -> Timestamp {
        self.now
    }

    /// Asks for [`Trigger::on_event_time`] once the watermark has reached `at`; once, however often it is asked for.
    pub fn timer_at(&mut self, at: Timestamp) {
        if !self.event.contains(&at) {
            self.event.push(at);
        }
    }

    /// Asks for [`Trigger::on_processing_time`] once the clock has reached `at`.
    pub fn processing_timer_at(&mut self, at: Timestamp) {
        if !self.processing.contains(&at) {
            self.processing.push(at);
        }
    }
}

/// At the end of the window, and at once for what comes within the allowed lateness: the trigger of windows that are
/// given none.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::window::trigger::EventTime;
/// # let job = Job::new("doc");
/// # let (sink, sums) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 2, 11]))
///     .event_time(|n| *n, Watermarks::monotonous())
///     .key_by(|_| 'k')
///     .window(Tumbling::of(millis(10)))
///     .trigger(EventTime)
///     .process("sum", |_, numbers| [numbers.sum::<i64>()])
///     .sink("sums", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(sums.take(), [3, 11]);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTime;

impl<T> Trigger<T> for EventTime {
    type State = ();

    fn on_record(&self, _: &T, _: Timestamp, _: &mut (), cx: &mut TriggerContext<'_>) -> Action {
        let last = cx.window.max_timestamp();
        if last <= cx.watermark {
            return Action::Fire;
        }
        cx.timer_at(last);
        Action::Continue
    }

    fn on_event_time(&self, at: Timestamp, _: &mut (), cx: &mut TriggerContext<'_>) -> Action {
        if at == cx.window.max_timestamp() { Action::Fire } else { Action::Continue }
    }

    fn merge(&self, _: &mut (), _: &()) {}

    fn describe(&self) -> String {
        "at the end".to_owned()
    }
}

/// When the clock reaches the end of the window, whatever the watermark.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::window::trigger::ProcessingTime;
/// # let job = Job::new("doc");
/// # let (sink, sums) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 2]))
///     .event_time(|n| *n, Watermarks::monotonous())
///     .key_by(|_| 'k')
///     .window(Tumbling::of(hours(1_000_000)))
///     .trigger(ProcessingTime)
///     .process("sum", |_, numbers| [numbers.sum::<i64>()])
///     .sink("sums", sink);
/// job.run(Config::new().cores(1))?;
/// assert!(sums.take().is_empty(), "the window ends in 2084");
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessingTime;

impl<T> Trigger<T> for ProcessingTime {
    type State = ();

    fn on_record(&self, _: &T, _: Timestamp, _: &mut (), cx: &mut TriggerContext<'_>) -> Action {
        cx.processing_timer_at(cx.window.end);
        Action::Continue
    }

    fn on_processing_time(&self, _: Timestamp, _: &mut (), _: &mut TriggerContext<'_>) -> Action {
        Action::Fire
    }

    fn merge(&self, _: &mut (), _: &()) {}

    fn describe(&self) -> String {
        "at the end by the clock".to_owned()
    }
}

/// After every so many records.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::window::trigger::Count;
/// # let job = Job::new("doc");
/// # let (sink, sums) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 2, 3, 4, 5]))
///     .key_by(|_| 'k')
///     .window(Global)
///     .trigger(Count::of(2))
///     .process("sum", |_, numbers| [numbers.sum::<i64>()])
///     .sink("sums", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(sums.take(), [1 + 2, 1 + 2 + 3 + 4]);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(u64);

impl Count {
    /// After every `n` records.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn of(n: u64) -> Count {
        assert!(n > 0, "a trigger waits for at least one record");
        Count(n)
    }
}

impl<T> Trigger<T> for Count {
    type State = u64;

    fn on_record(&self, _: &T, _: Timestamp, seen: &mut u64, _: &mut TriggerContext<'_>) -> Action {
        *seen += 1;
        if *seen < self.0 {
            return Action::Continue;
        }
        *seen = 0;
        Action::Fire
    }

    fn merge(&self, seen: &mut u64, other: &u64) {
        *seen += other;
    }

    fn describe(&self) -> String {
        format!("after {} records", self.0)
    }
}

/// Every so often while the window lasts, if something has come since the last time, and at its end.
///
/// What is put out does not depend on how the watermark gets there, in small steps or in one.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::window::trigger::Every;
/// # let job = Job::new("doc");
/// # let (sink, sums) = collect();
/// job.source("numbers", from_vec(vec![1_i64, 2, 6, 7, 11]))
///     .event_time(|n| *n, Watermarks::monotonous())
///     .key_by(|_| 'k')
///     .window(Tumbling::of(millis(10)))
///     .trigger(Every::event_time(millis(4)))
///     .process("sum", |_, numbers| [numbers.sum::<i64>()])
///     .sink("sums", sink);
/// job.run(Config::new().cores(1).batch_size(1))?;
/// assert_eq!(sums.take(), [9, 16, 16, 11, 11], "at 4, 8 and 9; at 12 and 19");
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    interval: i64,
    clock: bool,
}

impl Every {
    /// By the watermark.
    ///
    /// # Panics
    /// If the interval is less than a millisecond.
    pub fn event_time(interval: Duration) -> Every {
        Every::of(interval, false)
    }

    /// By the clock; at the end of the window by the watermark.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::window::trigger::Every;
    /// let every_second = Every::processing_time(secs(1));
    /// # let _ = every_second;
    /// ```
    ///
    /// # Panics
    /// If the interval is less than a millisecond.
    pub fn processing_time(interval: Duration) -> Every {
        Every::of(interval, true)
    }

    fn of(interval: Duration, clock: bool) -> Every {
        let interval = as_millis(interval);
        assert!(interval > 0, "an interval is at least a millisecond long");
        Every { interval, clock }
    }

    fn ask(&self, at: Timestamp, cx: &mut TriggerContext<'_>) {
        if self.clock {
            cx.processing_timer_at(at);
        } else if at < cx.window.max_timestamp() {
            cx.timer_at(at);
        }
    }

    /// The first multiple of the interval after a time.
    fn after(&self, time: Timestamp) -> Timestamp {
        time.saturating_add(self.interval - time.rem_euclid(self.interval))
    }

    /// The next record asks again. To ask for the time after this one, here, would let results depend on how far the
    /// watermark has come by then, or have none of the windows that never end let a job end.
    fn fire(at: Timestamp, next: &mut NextTime) -> Action {
        if !next.set || at != next.at {
            return Action::Continue;
        }
        next.set = false;
        Action::Fire
    }
}

impl<T> Trigger<T> for Every {
    type State = NextTime;

    fn on_record(&self, _: &T, time: Timestamp, state: &mut NextTime, cx: &mut TriggerContext<'_>) -> Action {
        let last = cx.window.max_timestamp();
        if last <= cx.watermark {
            return Action::Fire;
        }
        cx.timer_at(last);
        if !state.set {
            let from = if self.clock { cx.now } else { time.max(cx.watermark) };
            *state = NextTime { at: self.after(from), set: true };
            self.ask(state.at, cx);
        }
        Action::Continue
    }

    fn on_event_time(&self, at: Timestamp, state: &mut NextTime, cx: &mut TriggerContext<'_>) -> Action {
        if at == cx.window.max_timestamp() {
            return Action::Fire;
        }
        if self.clock { Action::Continue } else { Every::fire(at, state) }
    }

    fn on_processing_time(&self, at: Timestamp, state: &mut NextTime, _: &mut TriggerContext<'_>) -> Action {
        Every::fire(at, state)
    }

    fn merge(&self, state: &mut NextTime, other: &NextTime) {
        if other.set {
            state.at = if state.set { state.at.min(other.at) } else { other.at };
            state.set = true;
        }
    }

    fn on_merge(&self, state: &mut NextTime, cx: &mut TriggerContext<'_>) {
        if state.set {
            self.ask(state.at, cx);
        }
    }

    fn describe(&self) -> String {
        format!("every {} ms {}", self.interval, if self.clock { "by the clock" } else { "of event time" })
    }
}

/// What [`Every`] keeps: when it fires next.
///
/// ```
/// use millstream::window::trigger::{Every, NextTime, Trigger};
/// fn keeps<T: Trigger<u64, State = NextTime>>() {}
/// keeps::<Every>();
/// ```
#[derive(Clone, Copy, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct NextTime {
    at: i64,
    set: bool,
}

/// A trigger after which a window's records are forgotten; see [`Trigger::purging`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purging<Tr>(Tr);

impl<T, Tr: Trigger<T>> Trigger<T> for Purging<Tr> {
    type State = Tr::State;

    fn on_record(
        &self,
        record: &T,
        time: Timestamp,
        state: &mut Self::State,
        cx: &mut TriggerContext<'_>,
    ) -> Action {
        purge(self.0.on_record(record, time, state, cx))
    }

    fn on_event_time(&self, at: Timestamp, state: &mut Self::State, cx: &mut TriggerContext<'_>) -> Action {
        purge(self.0.on_event_time(at, state, cx))
    }

    fn on_processing_time(
        &self,
        at: Timestamp,
        state: &mut Self::State,
        cx: &mut TriggerContext<'_>,
    ) -> Action {
        purge(self.0.on_processing_time(at, state, cx))
    }

    fn merge(&self, into: &mut Self::State, from: &Self::State) {
        self.0.merge(into, from);
    }

    fn on_merge(&self, state: &mut Self::State, cx: &mut TriggerContext<'_>) {
        self.0.on_merge(state, cx);
    }

    fn describe(&self) -> String {
        format!("{}, purging", self.0.describe())
    }
}

fn purge(action: Action) -> Action {
    if action == Action::Fire { Action::FireAndPurge } else { action }
}
