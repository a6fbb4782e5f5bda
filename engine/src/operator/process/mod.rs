//! Process functions: the user's code with keyed state and timers.

pub(crate) mod broadcast;
mod context;
pub(crate) mod core;
pub(crate) mod operator;
pub(crate) mod side;

use crate::key::Key;
use crate::time::Timestamp;

pub use crate::state::declare::Declare;
pub use broadcast::BroadcastProcess;
pub use context::Context;
pub use core::{Core, CoreContext, CoreScope, Scope};
pub(crate) use operator::ProcessOperator;
pub use side::{OutputTag, Side};

/// Code that sees every record of a key in order, keeps state for the key, and sets timers.
///
/// A value of the type is cloned to every core; what must survive belongs into state, not into its fields.
///
/// ```
/// use millstream::prelude::*;
///
/// /// Emits how many records a key had, a minute of event time after the first.
/// #[derive(Clone)]
/// struct CountForAMinute;
///
/// struct Counts { count: Value<u64> }
///
/// impl Process for CountForAMinute {
///     type Key = u64;
///     type In = u64;
///     type Out = (u64, u64);
///     type State = Counts;
///
///     fn declare(&self, state: &mut Declare) -> Counts {
///         Counts { count: state.value("count") }
///     }
///     fn on_record(&mut self, _: u64, state: &Counts, cx: &mut Context<'_, Self>) {
///         if state.count.update(cx, |n| { *n += 1; *n }) == 1 {
///             cx.timer_at(cx.time() + 60_000);
///         }
///     }
///     fn on_timer(&mut self, _: Timestamp, state: &Counts, cx: &mut Context<'_, Self>) {
///         if let Some(n) = state.count.take(cx) {
///             cx.emit((*cx.key(), n));
///         }
///     }
/// }
/// # let job = Job::new("doc");
/// # let (sink, counts) = collect();
/// # let numbers = job
/// #     .source("numbers", from_vec(vec![7, 7]))
/// #     .event_time(|_| 1_000, Watermarks::monotonous());
/// # numbers.key_by(|n| *n).process("count", CountForAMinute).sink("counts", sink);
/// # job.run(Config::new().cores(1))?;
/// # assert_eq!(counts.take(), [(7, 2)]);
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// A core's beginning and end, the clock, and a side output:
///
/// ```
/// use millstream::prelude::*;
/// use millstream::process::{Core, CoreContext};
/// use millstream::testing::TestKit;
/// use millstream::time::MAX_TIME;
///
/// const LOG: OutputTag<String> = OutputTag::new("log");
///
/// /// Passes on records after a second by the clock, each with a number that no other core has.
/// #[derive(Clone, Default)]
/// struct Delay { next: usize, step: usize }
///
/// impl Process for Delay {
///     type Key = u64;
///     type In = u64;
///     type Out = (usize, u64);
///     type State = Side<String>;
///
///     fn declare(&self, state: &mut Declare) -> Side<String> {
///         state.side(LOG)
///     }
///     fn open(&mut self, _: &Side<String>, core: &mut Core<'_>) {
///         (self.next, self.step) = (core.shard(), core.shards());
///     }
///     fn on_record(&mut self, n: u64, log: &Side<String>, cx: &mut Context<'_, Self>) {
///         cx.emit_to(log, format!("{n} waits"));
///         cx.processing_timer_at(cx.processing_time() + 1_000);
///     }
///     fn on_processing_timer(&mut self, _: Timestamp, _: &Side<String>, cx: &mut Context<'_, Self>) {
///         cx.emit((self.next, *cx.key()));
///         self.next += self.step;
///     }
///     fn finish(&mut self, log: &Side<String>, cx: &mut CoreContext<'_, Self>) {
///         assert_eq!(cx.watermark(), MAX_TIME);
///         cx.emit_to(log, format!("ended at {}", cx.processing_time()));
///     }
/// }
///
/// let mut kit = TestKit::process(Delay::default(), |n: &u64| *n);
/// kit.record(0, 7)?;
/// kit.advance_clock(secs(1))?;
/// kit.record(0, 8)?;
/// kit.end()?;
/// assert_eq!(kit.take_output(), [(0, 7)]);
/// assert_eq!(kit.take_side(LOG), ["7 waits", "8 waits", "ended at 1000"]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait Process: Clone + Send + 'static {
    /// What the stream is keyed by.
    type Key: Key;
    /// What comes in.
    type In: Send + 'static;
    /// What goes out.
    type Out: Send + 'static;
    /// The handles to the state.
    type State;

    /// Declares the state, each with a name of its own. Called once per core.
    fn declare(&self, state: &mut Declare) -> Self::State;

    /// A record of the current key.
    fn on_record(&mut self, record: Self::In, state: &Self::State, cx: &mut Context<'_, Self>);

    /// The watermark has reached an event-time timer of the current key.
    fn on_timer(&mut self, at: Timestamp, state: &Self::State, cx: &mut Context<'_, Self>) {
        let _ = (at, state, cx);
    }

    /// The clock has reached a processing-time timer of the current key.
    fn on_processing_timer(&mut self, at: Timestamp, state: &Self::State, cx: &mut Context<'_, Self>) {
        let _ = (at, state, cx);
    }

    /// The core begins: called once, before anything else and with restored state in place. Whatever the function
    /// opens here is closed when it is dropped, which happens on the same core.
    fn open(&mut self, state: &Self::State, core: &mut Core<'_>) {
        let _ = (state, core);
    }

    /// All input has ended and all event-time timers have fired: called once per core of a job, not again by one that
    /// goes on from a checkpoint behind it. What is emitted here comes after the last watermark.
    fn finish(&mut self, state: &Self::State, cx: &mut CoreContext<'_, Self>) {
        let _ = (state, cx);
    }
}
