//! Side outputs: what an operator emits besides its results, each of a type of its own.

use std::any::Any;
use std::sync::Arc;

use millstream_storage::planted;

use crate::exchange::edge::Mesh;
use crate::exchange::outlet::{Outlet, SharedOutlet};
use crate::key_group::Placements;
use crate::record::{Batch, MarkKind, Tail};
use crate::time::Timestamp;

/// A batch of whatever type.
trait AnyBatch: Any {
    fn as_any(&mut self) -> &mut dyn Any;
    fn mark(&mut self, kind: MarkKind);
    fn set_tail(&mut self, tail: Tail);
    fn is_empty(&self) -> bool;
    fn len(&self) -> usize;
    fn forget(&mut self);
}

impl<T: 'static> AnyBatch for Batch<T> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
    fn mark(&mut self, kind: MarkKind) {
        Batch::mark(self, kind);
    }
    fn set_tail(&mut self, tail: Tail) {
        self.tail = tail;
    }
    fn is_empty(&self) -> bool {
        Batch::is_empty(self)
    }
    fn len(&self) -> usize {
        self.records.len()
    }
    fn forget(&mut self) {
        self.clear();
    }
}

/// The batches of the side outputs that an operator fills, by their places.
#[derive(Default)]
pub(crate) struct Sides {
    batches: Vec<Box<dyn AnyBatch>>,
    connected: Vec<bool>,
}

impl Sides {
    /// Adds a side output; `connected` if anybody takes it. Returns its place.
    pub(crate) fn add<T: 'static>(&mut self, connected: bool) -> usize {
        self.batches.push(Box::new(Batch::<T>::default()));
        self.connected.push(connected);
        self.batches.len() - 1
    }

    /// Whether anybody takes it.
    pub(crate) fn is_connected(&self, side: usize) -> bool {
        self.connected[side]
    }

    /// The records that wait in all of them.
    pub(crate) fn len(&self) -> usize {
        self.batches.iter().map(|batch| batch.len()).sum()
    }

    /// Emits a record to the side output of this place. Where nobody takes it, it is dropped.
    pub(crate) fn push<T: 'static>(&mut self, side: usize, time: Timestamp, record: T) {
        if self.connected[side] {
            self.batch(side).push(time, record);
        }
    }

    /// # Panics
    /// If it is of another type.
    pub(crate) fn batch<T: 'static>(&mut self, side: usize) -> &mut Batch<T> {
        let batch = self.batches[side].as_any().downcast_mut();
        batch.expect("a side output is used as what it was declared")
    }

    pub(crate) fn mark(&mut self, kind: MarkKind) {
        self.batches.iter_mut().for_each(|batch| batch.mark(kind));
    }

    pub(crate) fn set_tail(&mut self, tail: Tail) {
        if planted!(side_lost_at_barrier) && matches!(tail, Tail::Barrier(_)) {
            self.batches.iter_mut().for_each(|batch| batch.forget());
        }
        self.batches.iter_mut().for_each(|batch| batch.set_tail(tail));
    }
}

/// An outlet of whatever type.
trait AnyOutlet: Send {
    fn send(&mut self, batch: &mut dyn AnyBatch);
    fn has_room(&mut self) -> bool;
    fn flush(&mut self) -> bool;
    fn can_flush(&mut self) -> bool;
    fn add_batch(&self, sides: &mut Sides, connected: bool);
}

impl<T: Send + 'static> AnyOutlet for Outlet<T> {
    fn send(&mut self, batch: &mut dyn AnyBatch) {
        Outlet::send(self, batch.as_any().downcast_mut().expect("a batch and its outlet are of one type"));
    }
    fn has_room(&mut self) -> bool {
        Outlet::has_room(self)
    }
    fn flush(&mut self) -> bool {
        Outlet::flush(self)
    }
    fn can_flush(&mut self) -> bool {
        Outlet::can_flush(self)
    }
    fn add_batch(&self, sides: &mut Sides, connected: bool) {
        sides.add::<T>(connected);
    }
}

/// The side outputs of a stage on one core.
#[derive(Default)]
pub(crate) struct SideOutlets(Vec<(Box<dyn AnyOutlet>, bool)>);

impl SideOutlets {
    /// The batches for an operator to fill.
    pub(crate) fn sides(&self) -> Sides {
        let mut sides = Sides::default();
        self.0.iter().for_each(|(outlet, connected)| outlet.add_batch(&mut sides, *connected));
        sides
    }

    /// Hands what was emitted to its consumers.
    pub(crate) fn send(&mut self, sides: &mut Sides) {
        for ((outlet, _), batch) in self.0.iter_mut().zip(&mut sides.batches) {
            if !batch.is_empty() {
                outlet.send(&mut **batch);
            }
        }
    }

    pub(crate) fn has_room(&mut self) -> bool {
        self.0.iter_mut().all(|(outlet, _)| outlet.has_room())
    }

    pub(crate) fn flush(&mut self) -> bool {
        self.0.iter_mut().fold(false, |sent, (outlet, _)| outlet.flush() | sent)
    }

    pub(crate) fn can_flush(&mut self) -> bool {
        self.0.iter_mut().any(|(outlet, _)| outlet.can_flush())
    }
}

/// A side output in the graph.
trait AnySpec: Send + Sync {
    fn build(&self, mesh: &Mesh, placements: &Placements, core: usize) -> (Box<dyn AnyOutlet>, bool);
}

impl<T: Send + 'static> AnySpec for SharedOutlet<T> {
    fn build(&self, mesh: &Mesh, placements: &Placements, core: usize) -> (Box<dyn AnyOutlet>, bool) {
        let spec = self.borrow();
        (Box::new(spec.build(mesh, placements, core)), spec.len() > 0)
    }
}

/// The side outputs of a node in the graph, by their places.
#[derive(Clone, Default)]
pub(crate) struct SideSpecs(Vec<Arc<dyn AnySpec>>);

impl SideSpecs {
    /// One side output.
    pub(crate) fn of<T: Send + 'static>(outlet: SharedOutlet<T>) -> SideSpecs {
        let mut specs = SideSpecs::default();
        specs.add(outlet);
        specs
    }

    /// One more.
    pub(crate) fn add<T: Send + 'static>(&mut self, outlet: SharedOutlet<T>) {
        self.0.push(Arc::new(outlet));
    }

    pub(crate) fn build(&self, mesh: &Mesh, placements: &Placements, core: usize) -> SideOutlets {
        SideOutlets(self.0.iter().map(|spec| spec.build(mesh, placements, core)).collect())
    }
}
