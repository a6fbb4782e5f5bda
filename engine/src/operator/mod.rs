//! Operators: what a stage does with the records of its input.

pub(crate) mod residence;
pub(crate) mod rounds;
pub(crate) mod sides;
pub(crate) mod stage;

pub mod aggregate;
pub mod async_map;
pub(crate) mod join;
pub mod process;
pub(crate) mod union;
pub mod window;

use serde_json::Value as Json;

use millstream_storage::store::Store;

use crate::error::Result;
use crate::exchange::cursor::{Run, View};
use crate::operator::sides::Sides;
use crate::record::Batch;
use crate::time::Timestamp;

/// What an operator emits to: its results, and records on the side.
pub(crate) struct Output<Out> {
    pub main: Batch<Out>,
    pub sides: Sides,
    /// Records that were too late, whether or not they go to a side output.
    pub late: u64,
    /// How many results the operator should emit at most before it pauses.
    pub limit: usize,
}

impl<Out> Output<Out> {
    /// How many records wait to leave.
    pub(crate) fn emitted(&self) -> usize {
        self.main.records.len() + self.sides.len()
    }

    /// Whether the operator should pause, so that what it emitted can leave.
    pub(crate) fn is_full(&self) -> bool {
        self.emitted() >= self.limit
    }
}

/// Whether an operator is through with what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// The output is full: ask again, with the same argument.
    More,
    /// State that was evicted is needed, and was asked for: ask again once it has come.
    Fetch,
}

/// The work of a stage. The engine around it owns barriers, alignment, marks and back-pressure.
pub(crate) trait Operator: 'static {
    type In: Send + 'static;
    type Out: Send + 'static;

    /// Whether it asks for evicted state: without that its state is never evicted.
    const FETCHES: bool = false;

    /// Asks the store for the state of the next records, before they are worked on. Returns how many of the first have all
    /// of theirs in memory. Called only while some of it is evicted.
    fn fetch(&mut self, records: View<'_, Self::In>) -> usize {
        records.records.len()
    }

    /// How many records may be worked on before memory is looked at again.
    fn piece(&self) -> usize {
        usize::MAX
    }

    /// Asks the processor for the state of the next records, before they are worked on, if that pays. Returns for how many of
    /// them it has done so or seen that it does not: it is asked again behind these.
    fn prefetch(&mut self, _records: View<'_, Self::In>) -> usize {
        usize::MAX
    }

    /// Whether it is in the middle of a visit during which nothing may be evicted.
    fn is_visiting(&self) -> bool {
        false
    }

    /// Whether it is in the middle of firing by the clock what must be fired as a whole: until then nothing else is worked
    /// on, and no snapshot is taken.
    fn holds_input(&self) -> bool {
        false
    }

    /// Records between two marks, at the operator's current watermark.
    fn on_records(&mut self, run: Run<'_, Self::In>, out: &mut Output<Self::Out>) -> Result<()>;

    /// The watermark rises: fires what is due, in (time, insertion) order. It is forwarded after `Done`.
    fn on_watermark(&mut self, watermark: Timestamp, out: &mut Output<Self::Out>) -> Result<Progress>;

    /// The clock, at the beginning of each step.
    fn set_now(&mut self, _now: Timestamp) {}

    /// Processing time: fires what is due.
    fn on_processing_time(&mut self, _now: Timestamp, _out: &mut Output<Self::Out>) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// When processing time next has something to fire.
    fn next_processing_time(&self) -> Option<Timestamp> {
        None
    }

    /// All input has ended and all event-time timers have fired.
    fn finish(&mut self, _out: &mut Output<Self::Out>) {}

    /// The operator's keyed state.
    fn store(&mut self) -> Option<&mut Store> {
        None
    }

    /// As [`Operator::store`], to be looked at.
    fn store_ref(&self) -> Option<&Store> {
        None
    }

    /// What else must be restored. Not for anything that grows with the input.
    fn meta(&self) -> Json {
        Json::Null
    }
}
