//! Partitioning: which core the records of a stream go on to.
//!
//! A stream stays on its cores until something says otherwise. [`Stream::key_by`] brings equal keys together;
//! here is what does not look at keys. Every step runs on every core, so that to stay on a core is
//! [`Stream::stage`].

use std::sync::Arc;

use crate::exchange::edge::{Edge, Pattern};
use crate::exchange::route::{Spread, ToAll};
use crate::stream::chain::Chain;
use crate::stream::{Broadcast, Stream, pass_through};

/// The golden ratio in 64 bits: its multiples are spread evenly.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl<T, C> Stream<T, C>
where
    T: Send + 'static,
    C: Chain<Out = T>,
{
    /// Deals records out to all cores in turn: where the work per record is uneven, or the splits of a source are.
    /// The order of the records is lost.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// let numbers = job.source("numbers", from_vec((0..100).collect::<Vec<u64>>()));
    /// numbers.rebalance("even").map(|n| n * n).sink("squares", sink);
    /// job.run(Config::new().cores(2))?;
    /// assert_eq!(out.take().len(), 100);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn rebalance(self, name: &str) -> Stream<T> {
        self.spread(name, "rebalance", |_, nth, cores| (nth % cores as u64) as usize)
    }

    /// Sends each record to a core as if drawn by lot. The order of the records is lost.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// job.source("numbers", from_vec(vec![1, 2, 3])).shuffle("anywhere").sink("out", sink);
    /// job.run(Config::new().cores(2))?;
    /// assert_eq!(out.take().len(), 3);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn shuffle(self, name: &str) -> Stream<T> {
        self.spread(name, "shuffle", |_, nth, cores| {
            let mixed = nth.wrapping_mul(GOLDEN);
            ((mixed ^ mixed >> 32).wrapping_mul(GOLDEN) >> 32) as usize % cores
        })
    }

    /// Sends all records to one core, the first: what follows sees all of them. What comes from one core keeps its
    /// order.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// job.source("numbers", from_vec(vec![1, 2, 3])).global("one core").sink("out", sink);
    /// job.run(Config::new().cores(2))?;
    /// assert_eq!(out.take(), [1, 2, 3]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn global(self, name: &str) -> Stream<T> {
        self.spread(name, "global", |_, _, _| 0)
    }

    /// Sends core `i` of all `n` on to core `i·cores/n` of the first `cores`: to fewer cores without meeting all of
    /// them. More cores than there are mean all of them.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// job.source("numbers", from_vec(vec![1, 2, 3])).rescale("few writers", 1).sink("out", sink);
    /// job.run(Config::new().cores(2))?;
    /// assert_eq!(out.take(), [1, 2, 3]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `cores` is 0.
    pub fn rescale(self, name: &str, cores: usize) -> Stream<T> {
        assert!(cores > 0, "a stream goes on to one core at least");
        let edge = Edge::new(Pattern::AllToAll);
        let pick = move |core: usize, _: &T, _: u64, all: usize| core * cores.min(all) / all;
        self.pass_on(name, "rescale", edge, pick)
    }

    /// Sends each record to the core that a function tells of the record and the number of cores. What it returns is
    /// taken modulo that number. The function must be pure. State by key needs [`Stream::key_by`].
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// let numbers = job.source("numbers", from_vec(vec![1_usize, 2, 3, 4]));
    /// numbers.partition("by size", |n, cores| n * cores / 5).sink("out", sink);
    /// job.run(Config::new().cores(2))?;
    /// assert_eq!(out.take().len(), 4);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn partition<F>(self, name: &str, core_of: F) -> Stream<T>
    where
        F: Fn(&T, usize) -> usize + Clone + Send + 'static,
    {
        self.spread(name, "partition", move |record, _, cores| core_of(record, cores) % cores)
    }

    /// Shows all records to every core, in the same order, beside a keyed stream:
    /// [`BroadcastProcess`](crate::process::BroadcastProcess) has an example. They go through one core first, whose
    /// order it is.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # use millstream::process::{BroadcastProcess, CoreContext};
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// let signals = job.source("signals", from_vec(vec!["stop"])).broadcast("to all cores");
    /// let words = job.source("words", from_vec(vec!["to", "be"])).key_by(|word| word.len() as u64);
    /// words.connect_broadcast(signals).process("pass on both", PassOn).sink("out", sink);
    /// job.run(Config::new().cores(2))?;
    /// let mut seen = out.take();
    /// seen.sort();
    /// assert_eq!(seen, ["be", "stop", "stop", "to"]);
    /// # #[derive(Clone)]
    /// # struct PassOn;
    /// # impl Process for PassOn {
    /// #     type Key = u64;
    /// #     type In = &'static str;
    /// #     type Out = &'static str;
    /// #     type State = ();
    /// #     fn declare(&self, _: &mut Declare) {}
    /// #     fn on_record(&mut self, word: &'static str, (): &(), cx: &mut Context<'_, Self>) {
    /// #         cx.emit(word);
    /// #     }
    /// # }
    /// # impl BroadcastProcess for PassOn {
    /// #     type Broadcast = &'static str;
    /// #     fn on_broadcast(&mut self, signal: &'static str, (): &(), cx: &mut CoreContext<'_, Self>) {
    /// #         cx.emit(signal);
    /// #     }
    /// # }
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn broadcast(self, name: &str) -> Broadcast<T>
    where
        T: Clone,
    {
        Broadcast { stream: self.global(name) }
    }

    fn spread<F>(self, name: &str, kind: &str, pick: F) -> Stream<T>
    where
        F: Fn(&T, u64, usize) -> usize + Clone + Send + 'static,
    {
        let edge = Edge::new(Pattern::AllToAll);
        self.pass_on(name, kind, edge, move |_, record, nth, cores| pick(record, nth, cores))
    }

    fn pass_on<F>(self, name: &str, kind: &str, edge: Arc<Edge<T>>, pick: F) -> Stream<T>
    where
        F: Fn(usize, &T, u64, usize) -> usize + Clone + Send + 'static,
    {
        let (graph, compute) = (self.graph.clone(), self.compute.clone());
        self.outlet.borrow().attach(self.chain, Spread { pick }, edge.clone());
        pass_through(name, kind, graph, vec![edge], compute)
    }

    /// An edge on which every core sends a copy to all.
    pub(crate) fn into_all(self, copy: fn(&T) -> T) -> Arc<Edge<T>> {
        let edge = Edge::new(Pattern::AllToAll);
        self.outlet.borrow().attach(self.chain, ToAll { copy }, edge.clone());
        edge
    }
}
