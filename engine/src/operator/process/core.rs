//! What a process function sees where there is no current key: the core that it runs on.

use crate::operator::process::{Context, Process, Side};
use crate::operator::sides::Sides;
use crate::record::Batch;
use crate::state::operator::OperatorStates;
use crate::time::Timestamp;

/// Where the states of cores are at hand: in a [`Context`], [`CoreContext`] or [`Core`]. Not to be implemented elsewhere.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::process::Scope;
/// use millstream::state::OperatorList;
///
/// /// Works with a key and without.
/// fn longest(names: &OperatorList<String>, scope: &impl Scope) -> usize {
///     names.iter(scope).map(|name| name.len()).max().unwrap_or(0)
/// }
/// ```
pub trait Scope: Sealed {}

/// A [`Scope`] that is the same on every core at the same point of its input, so that broadcast state may be changed there.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::process::CoreScope;
/// use millstream::state::BroadcastState;
///
/// fn set(limit: u64, limits: &BroadcastState<String, u64>, scope: &mut impl CoreScope) {
///     limits.put(scope, &"limit".to_owned(), &limit);
/// }
/// ```
pub trait CoreScope: Scope {}

/// Reaches the states.
pub trait Sealed {
    #[doc(hidden)]
    fn operator(&self) -> &OperatorStates;
    #[doc(hidden)]
    fn operator_mut(&mut self) -> &mut OperatorStates;
}

/// The core that a process function runs on, and its own states; see [`Process::open`].
///
/// ```
/// use millstream::prelude::*;
/// use millstream::process::Core;
/// use millstream::state::BroadcastState;
///
/// /// Numbers records, each core from a million of its own on, and knows how many cores there are.
/// #[derive(Clone, Default)]
/// struct Number { next: u64 }
/// impl Process for Number {
///     type Key = char;
///     type In = char;
///     type Out = (u64, char);
///     type State = BroadcastState<u8, u64>;
///     fn declare(&self, state: &mut Declare) -> BroadcastState<u8, u64> {
///         state.broadcast("settings")
///     }
///     fn open(&mut self, settings: &BroadcastState<u8, u64>, core: &mut Core<'_>) {
///         self.next = core.shard() as u64 * 1_000_000;
///         if !core.is_restored() {
///             settings.put(core, &0, &1);
///         }
///     }
///     fn on_record(&mut self, letter: char, settings: &BroadcastState<u8, u64>, cx: &mut Context<'_, Self>) {
///         self.next += settings.get(cx, &0).map_or(0, |step| step.to_native());
///         cx.emit((self.next, letter));
///     }
/// }
/// # let job = Job::new("doc");
/// # let (sink, numbered) = collect();
/// # let letters = job.source("letters", from_vec(vec!['a', 'b']));
/// # letters.key_by(|c| *c).process("number", Number::default()).sink("out", sink);
/// # job.run(Config::new().cores(1))?;
/// # assert_eq!(numbered.take(), [(1, 'a'), (2, 'b')]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Core<'a> {
    pub(crate) shard: usize,
    pub(crate) shards: usize,
    pub(crate) restored: bool,
    pub(crate) operator: &'a mut OperatorStates,
}

impl Core<'_> {
    /// The core's number, from 0.
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// How many cores run the job.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Whether the job goes on from a checkpoint.
    pub fn is_restored(&self) -> bool {
        self.restored
    }
}

/// What a process function sees of the world where there is no current key: times, outputs, and the core's own states.
/// See [`Process::finish`] and [`BroadcastProcess::on_broadcast`](crate::process::BroadcastProcess::on_broadcast).
///
/// ```
/// use millstream::prelude::*;
/// use millstream::process::CoreContext;
/// use millstream::state::OperatorList;
///
/// /// Passes on records in pairs, and the last one alone.
/// #[derive(Clone)]
/// struct Pairs;
/// impl Process for Pairs {
///     type Key = u64;
///     type In = u64;
///     type Out = Vec<u64>;
///     type State = OperatorList<u64>;
///     fn declare(&self, state: &mut Declare) -> OperatorList<u64> {
///         state.operator_list("waiting")
///     }
///     fn on_record(&mut self, n: u64, waiting: &OperatorList<u64>, cx: &mut Context<'_, Self>) {
///         waiting.push(cx, &n);
///         if waiting.len(cx) == 2 {
///             let pair = waiting.load(cx);
///             waiting.clear(cx);
///             cx.emit(pair);
///         }
///     }
///     fn finish(&mut self, waiting: &OperatorList<u64>, cx: &mut CoreContext<'_, Self>) {
///         let rest = waiting.load(cx);
///         if !rest.is_empty() {
///             cx.emit(rest);
///         }
///     }
/// }
/// let job = Job::new("doc");
/// let (sink, pairs) = collect();
/// job.source("numbers", from_vec(vec![1, 2, 3])).key_by(|n| *n).process("pairs", Pairs).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(pairs.take(), [vec![1, 2], vec![3]]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct CoreContext<'a, P: Process> {
    pub(crate) time: Timestamp,
    pub(crate) watermark: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) out: &'a mut Batch<P::Out>,
    pub(crate) sides: &'a mut Sides,
    pub(crate) operator: &'a mut OperatorStates,
}

impl<P: Process> CoreContext<'_, P> {
    /// The event time of the record.
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

    /// Emits a record with the current event time.
    pub fn emit(&mut self, record: P::Out) {
        self.out.push(self.time, record);
    }

    /// Emits a record with the current event time to a side output. Where nobody takes it, it is dropped.
    pub fn emit_to<T: Send + 'static>(&mut self, side: &Side<T>, record: T) {
        self.sides.push(side.place, self.time, record);
    }
}

impl Scope for Core<'_> {}
impl CoreScope for Core<'_> {}
impl Sealed for Core<'_> {
    fn operator(&self) -> &OperatorStates {
        self.operator
    }
    fn operator_mut(&mut self) -> &mut OperatorStates {
        self.operator
    }
}

impl<P: Process> Scope for CoreContext<'_, P> {}
impl<P: Process> CoreScope for CoreContext<'_, P> {}
impl<P: Process> Sealed for CoreContext<'_, P> {
    fn operator(&self) -> &OperatorStates {
        self.operator
    }
    fn operator_mut(&mut self) -> &mut OperatorStates {
        self.operator
    }
}

impl<P: Process> Scope for Context<'_, P> {}
impl<P: Process> Sealed for Context<'_, P> {
    fn operator(&self) -> &OperatorStates {
        self.operator
    }
    fn operator_mut(&mut self) -> &mut OperatorStates {
        self.operator
    }
}
