//! Process functions with a second, broadcast input.

use millstream_storage::store::Store;
use serde_json::Value as Json;

use crate::error::Result;
use crate::exchange::cursor::{Run, View};
use crate::operator::process::{CoreContext, Process, ProcessOperator};
use crate::operator::{Operator, Output, Progress};
use crate::stream::two::Either;
use crate::time::Timestamp;

/// A [`Process`] whose every core also sees all records of a second stream, in the same order: rules, settings, rates.
///
/// What is broadcast may change [`BroadcastState`](crate::state::BroadcastState), which records with keys can only read.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::process::{BroadcastProcess, CoreContext};
/// use millstream::state::BroadcastState;
///
/// /// Passes on what is above the limit of its kind.
/// #[derive(Clone)]
/// struct Above;
/// impl Process for Above {
///     type Key = char;
///     type In = (char, u64);
///     type Out = (char, u64);
///     type State = BroadcastState<char, u64>;
///     fn declare(&self, state: &mut Declare) -> BroadcastState<char, u64> {
///         state.broadcast("limits")
///     }
///     fn on_record(&mut self, (kind, n): (char, u64), limits: &BroadcastState<char, u64>, cx: &mut Context<'_, Self>) {
///         if limits.get(cx, &kind).is_some_and(|limit| n > limit.to_native()) {
///             cx.emit((kind, n));
///         }
///     }
/// }
/// impl BroadcastProcess for Above {
///     type Broadcast = (char, u64);
///     fn on_broadcast(
///         &mut self,
///         (kind, limit): (char, u64),
///         limits: &BroadcastState<char, u64>,
///         cx: &mut CoreContext<'_, Self>,
///     ) {
///         limits.put(cx, &kind, &limit);
///     }
/// }
///
/// let job = Job::new("doc");
/// let (sink, above) = collect();
/// let limits = job.source("limits", from_vec(vec![('a', 10), ('b', 20)])).broadcast("all limits");
/// let values = job.source("values", from_vec(vec![('a', 11), ('b', 12)]));
/// values.key_by(|value| value.0).connect_broadcast(limits).process("above", Above).sink("above it", sink);
/// job.run(Config::new().cores(2))?;
/// // Whether a limit or a value comes first is open.
/// assert!(above.take().iter().all(|value| *value == ('a', 11)));
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait BroadcastProcess: Process {
    /// What is broadcast.
    type Broadcast: Clone + Send + 'static;

    /// A broadcast record. What it does must not depend on what else the core has seen: the same on every core.
    fn on_broadcast(&mut self, record: Self::Broadcast, state: &Self::State, cx: &mut CoreContext<'_, Self>);
}

/// A process operator with a second input.
pub(crate) struct BroadcastOperator<P: Process, F>(pub(crate) ProcessOperator<P, F>);

impl<P, F> Operator for BroadcastOperator<P, F>
where
    P: BroadcastProcess,
    F: Fn(&P::In) -> P::Key + 'static,
{
    type In = Either<P::In, P::Broadcast>;
    type Out = P::Out;

    const FETCHES: bool = true;

    fn fetch(&mut self, view: View<'_, Self::In>) -> usize {
        let (mut first, mut missing) = (0, false);
        for (i, record) in view.records.iter().enumerate() {
            // What is broadcast has no key, and needs no state of one.
            missing |= matches!(record, Either::Left(record) if !self.0.ask(record, view.hashes[i]));
            first += usize::from(!missing);
            if missing && !self.0.may_ask() {
                break;
            }
        }
        first
    }

    fn piece(&self) -> usize {
        self.0.piece()
    }

    fn on_records(&mut self, run: Run<'_, Self::In>, out: &mut Output<P::Out>) -> Result<()> {
        let mut run = run.one_by_one();
        while !run.is_empty() {
            let hash = run.hash();
            let (time, record) = run.take().expect("the run is not empty");
            match record {
                Either::Left(record) => {
                    let hash = hash.expect("records with keys come with their hashes");
                    self.0.on_record(time, hash, record, out)?;
                }
                Either::Right(record) => self.0.on_broadcast(time, record, out),
            }
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp, out: &mut Output<P::Out>) -> Result<Progress> {
        self.0.on_watermark(watermark, out)
    }

    fn set_now(&mut self, now: Timestamp) {
        self.0.set_now(now);
    }

    fn on_processing_time(&mut self, now: Timestamp, out: &mut Output<P::Out>) -> Result<Progress> {
        self.0.on_processing_time(now, out)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.0.next_processing_time()
    }

    fn finish(&mut self, out: &mut Output<P::Out>) {
        self.0.finish(out);
    }

    fn store_ref(&self) -> Option<&Store> {
        self.0.store_ref()
    }

    fn store(&mut self) -> Option<&mut Store> {
        self.0.store()
    }

    fn meta(&self) -> Json {
        self.0.meta()
    }
}
