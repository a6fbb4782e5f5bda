//! The output of a stage: the fused chains that its batches go through, one virtual call per batch and chain.

use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::exchange::edge::{Edge, Mesh};
use crate::exchange::route::{Route, RouteSpec};
use crate::failure::{Place, leave_batch};
use crate::key_group::Placements;
use crate::record::{Batch, Tail};
use crate::stream::chain::Chain;
use crate::time::Timestamp;

/// What takes the batches of a stage.
pub(crate) trait Consumer<T>: Send {
    /// Takes what is in the batch, and leaves it empty.
    fn consume(&mut self, batch: &mut Batch<T>);
    fn has_room(&mut self) -> bool;
    fn flush(&mut self) -> bool;
    fn can_flush(&mut self) -> bool;
}

/// A fused chain and the route at its end.
struct Chained<C, R> {
    chain: C,
    route: R,
}

/// The times of the records of a batch: those that are to come, and all.
struct Times<'a> {
    left: slice::Iter<'a, Timestamp>,
    all: &'a [Timestamp],
}

impl Drop for Times<'_> {
    fn drop(&mut self) {
        leave_batch(|| {
            let taken = self.all.len() - self.left.len();
            Place::of(taken.saturating_sub(1)..taken, self.all)
        });
    }
}

impl<C, R> Consumer<C::In> for Chained<C, R>
where
    C: Chain,
    R: Route<C::Out> + Send,
{
    fn consume(&mut self, batch: &mut Batch<C::In>) {
        let Chained { chain, route } = self;
        let mut records = batch.records.drain(..);
        let mut times = Times { left: batch.times.iter(), all: &batch.times };
        let mut done = 0;
        for mark in batch.marks.drain(..) {
            let run = (mark.at - done) as usize;
            for (record, &time) in records.by_ref().take(run).zip(times.left.by_ref().take(run)) {
                chain.push(time, record, &mut |time, out| route.record(time, out));
            }
            done = mark.at;
            route.mark(mark.kind);
        }
        for (record, &time) in records.zip(times.left.by_ref()) {
            chain.push(time, record, &mut |time, out| route.record(time, out));
        }
        if batch.tail != Tail::None {
            route.tail(batch.tail);
        }
        drop(times);
        batch.clear();
    }

    fn has_room(&mut self) -> bool {
        self.route.ports().iter_mut().all(|port| port.has_room())
    }

    fn flush(&mut self) -> bool {
        self.route.ports().iter_mut().fold(false, |sent, port| port.flush() | sent)
    }

    fn can_flush(&mut self) -> bool {
        self.route.ports().iter_mut().any(|port| port.can_flush())
    }
}

/// A chain with its route before it has its rings.
trait ConsumerSpec<T>: Send {
    fn build(&self, mesh: &Mesh, placements: &Placements, core: usize) -> Box<dyn Consumer<T>>;
}

struct ChainedSpec<C: Chain, S> {
    chain: C,
    route: S,
    edge: Arc<Edge<C::Out>>,
}

impl<C, S> ConsumerSpec<C::In> for ChainedSpec<C, S>
where
    C: Chain,
    S: RouteSpec<C::Out>,
{
    fn build(&self, mesh: &Mesh, placements: &Placements, core: usize) -> Box<dyn Consumer<C::In>> {
        let route = self.route.build(&self.edge, mesh, placements, core);
        Box::new(Chained { chain: self.chain.clone(), route })
    }
}

/// Copies a record for a second consumer.
pub(crate) type CloneRecord<T> = fn(&T) -> T;

/// The output of a stage in the graph: what was attached to it.
pub(crate) struct OutletSpec<T> {
    consumers: Vec<Box<dyn ConsumerSpec<T>>>,
    clone: Option<CloneRecord<T>>,
}

/// An output that the builder still attaches consumers to.
pub(crate) struct SharedOutlet<T>(Arc<Mutex<OutletSpec<T>>>);

impl<T> Clone for SharedOutlet<T> {
    fn clone(&self) -> SharedOutlet<T> {
        SharedOutlet(self.0.clone())
    }
}

impl<T> SharedOutlet<T> {
    /// The output itself, for a moment.
    pub(crate) fn borrow(&self) -> MutexGuard<'_, OutletSpec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: 'static> OutletSpec<T> {
    pub(crate) fn shared() -> SharedOutlet<T> {
        SharedOutlet(Arc::new(Mutex::new(OutletSpec { consumers: Vec::new(), clone: None })))
    }

    /// Sends what leaves through `chain` along `edge`.
    pub(crate) fn attach<C, S>(&mut self, chain: C, route: S, edge: Arc<Edge<C::Out>>)
    where
        C: Chain<In = T>,
        S: RouteSpec<C::Out>,
    {
        self.consumers.push(Box::new(ChainedSpec { chain, route, edge }));
    }

    /// Allows more than one consumer.
    pub(crate) fn set_clone(&mut self, clone: CloneRecord<T>) {
        self.clone = Some(clone);
    }

    /// How many consumers there are.
    pub(crate) fn len(&self) -> usize {
        self.consumers.len()
    }

    pub(crate) fn build(&self, mesh: &Mesh, placements: &Placements, core: usize) -> Outlet<T> {
        assert!(self.consumers.len() <= 1 || self.clone.is_some(), "a stream is shared by cloning it only");
        Outlet {
            consumers: self.consumers.iter().map(|spec| spec.build(mesh, placements, core)).collect(),
            clone: self.clone,
            copy: Batch::default(),
        }
    }
}

/// The output of a stage on one core.
pub(crate) struct Outlet<T> {
    consumers: Vec<Box<dyn Consumer<T>>>,
    clone: Option<CloneRecord<T>>,
    copy: Batch<T>,
}

impl<T> Outlet<T> {
    /// Sends what is in the batch, and leaves it empty. Without a consumer the records are dropped.
    pub(crate) fn send(&mut self, batch: &mut Batch<T>) {
        let Some((last, others)) = self.consumers.split_last_mut() else {
            return batch.clear();
        };
        if let Some(clone) = self.clone {
            for consumer in others {
                self.copy.records.extend(batch.records.iter().map(clone));
                self.copy.times.extend_from_slice(&batch.times);
                self.copy.marks.extend_from_slice(&batch.marks);
                self.copy.tail = batch.tail;
                consumer.consume(&mut self.copy);
            }
        }
        last.consume(batch);
    }

    pub(crate) fn has_room(&mut self) -> bool {
        self.consumers.iter_mut().all(|consumer| consumer.has_room())
    }

    pub(crate) fn flush(&mut self) -> bool {
        self.consumers.iter_mut().fold(false, |sent, consumer| consumer.flush() | sent)
    }

    pub(crate) fn can_flush(&mut self) -> bool {
        self.consumers.iter_mut().any(|consumer| consumer.can_flush())
    }
}
