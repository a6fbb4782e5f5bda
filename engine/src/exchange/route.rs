//! Where the records at the end of a chain go: partitioners.

use std::sync::Arc;

use millstream_storage::hash::stable_hash;

use crate::exchange::edge::{Edge, Mesh};
use crate::exchange::port::Port;
use crate::key::Key;
use crate::key_group::{Placement, Placements};
use crate::record::{MarkKind, Tail};
use crate::time::Timestamp;

/// The end of a chain: takes its records one by one and batches them per receiver.
pub(crate) trait Route<T> {
    fn record(&mut self, time: Timestamp, record: T);
    fn ports(&mut self) -> &mut [Port<T>];

    fn mark(&mut self, kind: MarkKind) {
        self.ports().iter_mut().for_each(|port| port.mark(kind));
    }
    fn tail(&mut self, tail: Tail) {
        self.ports().iter_mut().for_each(|port| port.tail(tail));
    }
}

/// A partitioner before it has its rings: made once per edge, then once per core.
pub(crate) trait RouteSpec<T>: Send + 'static {
    type Route: Route<T> + Send + 'static;
    fn build(&self, edge: &Edge<T>, mesh: &Mesh, placements: &Placements, core: usize) -> Self::Route;
}

/// To the same core.
pub(crate) struct Forward;

pub(crate) struct ForwardRoute<T> {
    ports: Vec<Port<T>>,
}

impl<T: Send + 'static> RouteSpec<T> for Forward {
    type Route = ForwardRoute<T>;
    fn build(&self, edge: &Edge<T>, mesh: &Mesh, _: &Placements, core: usize) -> ForwardRoute<T> {
        ForwardRoute { ports: ports(edge, mesh, core, false) }
    }
}

impl<T> Route<T> for ForwardRoute<T> {
    #[inline(always)]
    fn record(&mut self, time: Timestamp, record: T) {
        self.ports[0].push(time, record);
    }
    fn ports(&mut self) -> &mut [Port<T>] {
        &mut self.ports
    }
}

/// To the core that owns the record's key.
pub(crate) struct ByKey<F> {
    pub key: F,
}

pub(crate) struct KeyRoute<T, F> {
    key: F,
    placement: Placement,
    ports: Vec<Port<T>>,
}

impl<T, K, F> RouteSpec<T> for ByKey<F>
where
    T: Send + 'static,
    K: Key,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    type Route = KeyRoute<T, F>;
    fn build(&self, edge: &Edge<T>, mesh: &Mesh, placements: &Placements, core: usize) -> KeyRoute<T, F> {
        let ports = ports(edge, mesh, core, true);
        let placement = placements.of(edge.target()).clone();
        KeyRoute { key: self.key.clone(), placement, ports }
    }
}

impl<T, K, F> Route<T> for KeyRoute<T, F>
where
    K: Key,
    F: Fn(&T) -> K,
{
    #[inline(always)]
    fn record(&mut self, time: Timestamp, record: T) {
        let hash = (self.key)(&record).encoded(stable_hash);
        self.ports[self.placement.owner(hash)].push_keyed(time, hash, record);
    }
    fn ports(&mut self) -> &mut [Port<T>] {
        &mut self.ports
    }
}

/// To the core that a function tells of the sending core, the record, a number that counts the records, and the number
/// of the receiving step's cores.
pub(crate) struct Spread<F> {
    pub pick: F,
}

pub(crate) struct SpreadRoute<T, F> {
    pick: F,
    core: usize,
    cores: usize,
    /// Counts from the core's number on, so that cores begin at different places.
    nth: u64,
    ports: Vec<Port<T>>,
}

impl<T, F> RouteSpec<T> for Spread<F>
where
    T: Send + 'static,
    F: Fn(usize, &T, u64, usize) -> usize + Clone + Send + 'static,
{
    type Route = SpreadRoute<T, F>;
    fn build(&self, edge: &Edge<T>, mesh: &Mesh, placements: &Placements, core: usize) -> SpreadRoute<T, F> {
        let (ports, cores) = (ports(edge, mesh, core, false), placements.cores(edge.target()));
        SpreadRoute { pick: self.pick.clone(), core, cores, nth: core as u64, ports }
    }
}

impl<T, F> Route<T> for SpreadRoute<T, F>
where
    F: Fn(usize, &T, u64, usize) -> usize,
{
    #[inline(always)]
    fn record(&mut self, time: Timestamp, record: T) {
        let to = (self.pick)(self.core, &record, self.nth, self.cores);
        self.nth = self.nth.wrapping_add(1);
        self.ports[to].push(time, record);
    }
    fn ports(&mut self) -> &mut [Port<T>] {
        &mut self.ports
    }
}

/// A copy to every core.
pub(crate) struct ToAll<T> {
    pub copy: fn(&T) -> T,
}

pub(crate) struct ToAllRoute<T> {
    copy: fn(&T) -> T,
    ports: Vec<Port<T>>,
}

impl<T: Send + 'static> RouteSpec<T> for ToAll<T> {
    type Route = ToAllRoute<T>;
    fn build(&self, edge: &Edge<T>, mesh: &Mesh, _: &Placements, core: usize) -> ToAllRoute<T> {
        ToAllRoute { copy: self.copy, ports: ports(edge, mesh, core, false) }
    }
}

impl<T> Route<T> for ToAllRoute<T> {
    #[inline]
    fn record(&mut self, time: Timestamp, record: T) {
        let ToAllRoute { copy, ports } = self;
        let (last, others) = ports.split_last_mut().expect("there is a core at least");
        others.iter_mut().for_each(|port| port.push(time, copy(&record)));
        last.push(time, record);
    }
    fn ports(&mut self) -> &mut [Port<T>] {
        &mut self.ports
    }
}

fn ports<T>(edge: &Edge<T>, mesh: &Mesh, core: usize, keyed: bool) -> Vec<Port<T>> {
    let senders = edge.take_senders(mesh, core);
    senders.into_iter().map(|sender| Port::new(sender, mesh.batch_size, keyed)).collect()
}

/// A bell per core, for a job of `cores`.
pub(crate) fn bells(cores: usize) -> Arc<[Arc<millstream_ring::Bell>]> {
    (0..cores).map(|_| Arc::new(millstream_ring::Bell::new())).collect()
}
