//! What process functions see of the world.

use rkyv::util::AlignedVec;

use crate::error::{Error, Result};
use crate::operator::process::{Process, Side};
use crate::operator::sides::Sides;
use crate::record::Batch;
use crate::state::backend::Backend;
use crate::state::operator::OperatorStates;
use crate::state::timers::Domain;
use crate::time::Timestamp;

/// What a process function sees of the world: the current key, the times, state and timers.
///
/// A visit is over when its visitor is silent for a second of event time: a record sets a timer, and takes back that of
/// the one before it unless it came too late for the same visit.
///
/// ```
/// # use millstream::prelude::*;
/// #[derive(Clone)]
/// struct Visits;
/// impl Process for Visits {
///     type Key = char;
///     type In = (i64, char);
///     type Out = (char, Timestamp);
///     type State = Value<i64>;
///     fn declare(&self, state: &mut Declare) -> Value<i64> {
///         state.value("over at")
///     }
///     fn on_record(&mut self, _: (i64, char), over_at: &Value<i64>, cx: &mut Context<'_, Self>) {
///         let over = cx.time() + 1_000;
///         if let Some(before) = over_at.load(cx)
///             && cx.time() < before
///         {
///             cx.delete_timer_at(before);
///         }
///         over_at.set(cx, &over);
///         cx.timer_at(over);
///     }
///     fn on_timer(&mut self, at: Timestamp, over_at: &Value<i64>, cx: &mut Context<'_, Self>) {
///         assert!(cx.watermark() >= at && cx.processing_time() > at);
///         if over_at.load(cx) == Some(at) {
///             over_at.clear(cx);
///         }
///         cx.emit((*cx.key(), at));
///     }
/// }
///
/// let job = Job::new("doc");
/// let (sink, visits) = collect();
/// job.source("clicks", from_vec(vec![(0, 'a'), (900, 'a'), (2_500, 'a')]))
///     .event_time(|click| click.0, Watermarks::monotonous())
///     .key_by(|click| click.1)
///     .process("visits", Visits)
///     .sink("visits of", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(visits.take(), [('a', 1_900), ('a', 3_500)]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Context<'a, P: Process> {
    pub(crate) key: &'a P::Key,
    pub(crate) key_bytes: &'a [u8],
    pub(crate) hash: u64,
    pub(crate) time: Timestamp,
    pub(crate) watermark: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) out: &'a mut Batch<P::Out>,
    pub(crate) sides: &'a mut Sides,
    /// Records that were too late.
    pub(crate) late: &'a mut u64,
    pub(crate) backend: &'a mut dyn Backend,
    pub(crate) operator: &'a mut OperatorStates,
    pub(crate) scratch: &'a mut AlignedVec,
    pub(crate) failure: &'a mut Option<Error>,
}

impl<P: Process> Context<'_, P> {
    /// The current key.
    pub fn key(&self) -> &P::Key {
        self.key
    }

    /// The event time of the record, or of the timer.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The watermark: no more records with a timestamp up to it are expected.
    pub fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// Milliseconds since the epoch when the current step began.
    pub fn processing_time(&self) -> Timestamp {
        self.now
    }

    /// The time by which state expires: [`Context::processing_time`], but for that it never runs backwards for a key, not
    /// over a restart either.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// fn age<P: Process>(made: &Value<i64>, cx: &Context<'_, P>) -> i64 {
    ///     made.load(cx).map_or(0, |made| cx.state_time() - made)
    /// }
    /// ```
    pub fn state_time(&self) -> Timestamp {
        self.backend.clock()
    }

    /// Emits a record with the current event time.
    pub fn emit(&mut self, record: P::Out) {
        self.out.push(self.time, record);
    }

    /// Emits a record with the current event time to a side output. Where nobody takes it, it is dropped.
    pub fn emit_to<T: Send + 'static>(&mut self, side: &Side<T>, record: T) {
        self.sides.push(side.place, self.time, record);
    }

    /// As [`Context::emit_to`], of a record that is too late: it counts as such in the job's metrics, whether anybody takes
    /// it or not.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// fn pass<P: Process<In = u64, Out = u64>>(n: u64, late: &Side<u64>, cx: &mut Context<'_, P>) {
    ///     match cx.time() <= cx.watermark() {
    ///         true => cx.emit_late(late, n),
    ///         false => cx.emit(n),
    ///     }
    /// }
    /// ```
    pub fn emit_late<T: Send + 'static>(&mut self, side: &Side<T>, record: T) {
        *self.late += 1;
        self.emit_to(side, record);
    }

    /// Calls [`Process::on_timer`] for this key once the watermark has reached `at`; if it has already, when it
    /// next rises, or at once if it is just rising, that is, if a timer sets this one. Set twice, it is called once.
    ///
    /// The end of the input is a watermark that reaches every time: a timer that always sets the next one never lets
    /// a job end.
    pub fn timer_at(&mut self, at: Timestamp) {
        let set = self.backend.set_timer(Domain::Event, at, self.key_bytes);
        self.note(set);
    }

    /// Takes an event-time timer of this key back.
    pub fn delete_timer_at(&mut self, at: Timestamp) {
        self.backend.delete_timer(Domain::Event, at, self.key_bytes);
    }

    /// Calls [`Process::on_processing_timer`] for this key once the clock has reached `at`. Timers that are still
    /// pending when the input ends are dropped.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// /// Asks again when a question has no answer after a minute.
    /// #[derive(Clone)]
    /// struct AskAgain;
    /// impl Process for AskAgain {
    ///     type Key = u64;
    ///     type In = (u64, bool);
    ///     type Out = u64;
    ///     type State = Value<i64>;
    ///     fn declare(&self, state: &mut Declare) -> Value<i64> {
    ///         state.value("again at")
    ///     }
    ///     fn on_record(&mut self, (_, is_answer): (u64, bool), again: &Value<i64>, cx: &mut Context<'_, Self>) {
    ///         if is_answer && let Some(at) = again.take(cx) {
    ///             cx.delete_processing_timer_at(at);
    ///         } else if !is_answer {
    ///             let at = cx.processing_time() + 60_000;
    ///             again.set(cx, &at);
    ///             cx.processing_timer_at(at);
    ///         }
    ///     }
    ///     fn on_processing_timer(&mut self, _: Timestamp, _: &Value<i64>, cx: &mut Context<'_, Self>) {
    ///         cx.emit(*cx.key());
    ///     }
    /// }
    ///
    /// let job = Job::new("doc");
    /// let (sink, again) = collect();
    /// job.source("talk", from_vec(vec![(7, false), (7, true)]))
    ///     .key_by(|line| line.0)
    ///     .process("ask again", AskAgain)
    ///     .sink("questions", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert!(again.take().is_empty(), "the answer came in time");
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn processing_timer_at(&mut self, at: Timestamp) {
        let set = self.backend.set_timer(Domain::Processing, at, self.key_bytes);
        self.note(set);
    }

    /// Takes a processing-time timer of this key back.
    pub fn delete_processing_timer_at(&mut self, at: Timestamp) {
        self.backend.delete_timer(Domain::Processing, at, self.key_bytes);
    }

    /// Counts a record that was too late, whether or not it goes to a side output.
    pub(crate) fn count_late(&mut self) {
        *self.late += 1;
    }

    /// Keeps the first failure, for the step to end with.
    pub(crate) fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }
}
