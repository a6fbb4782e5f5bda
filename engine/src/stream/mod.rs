//! The typed streams that a job is built of. They only build the graph; nothing runs before the job does.

mod async_map;
pub(crate) mod batch;
pub mod chain;
pub(crate) mod changelog;
mod connected;
mod join;
mod keyed;
mod partition;
mod process;
mod ready;
mod seeds;
pub(crate) mod two;
mod windowed;

use std::rc::Rc;
use std::sync::Arc;

use millstream_storage::planted;

use crate::checkpoint::coordinator::RecoverSink;
use crate::checkpoint::manifest::Schema;
use crate::exchange::codec::SharedCodec;
use crate::exchange::edge::{Edge, Pattern};
use crate::exchange::outlet::{OutletSpec, SharedOutlet};
use crate::exchange::route::{ByKey, Forward};
use crate::graph::{Ends, Layout, MakeRecover, Node, SharedGraph};
use crate::operator::sides::SideSpecs;
use crate::operator::union::UnionOperator;
use crate::reference::{self, Compute};
use crate::sink::Sink;
use crate::source::DeadLetter;
use crate::source::watermarks::WatermarkStrategy;
use crate::stream::chain::{Chain, Filter, FlatMap, Identity, Map, Origin};
use crate::stream::seeds::{OperatorSpec, SinkSeed};
use crate::time::Timestamp;

pub use crate::operator::join::interval::Within;
pub use changelog::{Change, Table};
pub use connected::{BesideBroadcast, Broadcast, Connected};
pub use keyed::Keyed;
pub use process::{FromProcess, ProcessResults};
pub use ready::{Keep, Ranked};
pub(crate) use seeds::SourceSpec;
pub use two::Either;
pub use windowed::{FromWindow, TriggeredStream, WindowResults, WindowedStream, Windows};

/// A stream of records of type `T`.
///
/// `C` is the chain of stateless steps that its records go through, inferred like the type of an iterator; a
/// function that takes or returns streams can name `Stream<T>` after [`Stream::stage`].
///
/// ```
/// # use millstream::prelude::*;
/// let job = Job::new("doc");
/// let (sink, out) = collect();
/// let numbers = job.source("numbers", from_vec(vec![1, 2, 3]));
/// let next: Stream<u64> = numbers.map(|n| n + 1).stage("next");
/// next.sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(out.take(), [2, 3, 4]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Stream<T, C = Origin<T>>
where
    C: Chain<Out = T>,
{
    pub(crate) graph: SharedGraph,
    pub(crate) outlet: SharedOutlet<C::In>,
    pub(crate) chain: C,
    pub(crate) compute: Compute<T>,
    /// What only a source's or a window's own stream has.
    pub(crate) extra: Extra,
}

/// The side of a stream's stage, for the methods that only its streams have.
pub(crate) type Extra = Option<Rc<dyn std::any::Any>>;

/// The tag of a stream that comes right out of a source.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::stream::FromSource;
/// use millstream::stream::chain::Identity;
///
/// /// Every source of the job has the time of its records in the same place.
/// fn timed(stream: Stream<(i64, char), Identity<(i64, char), FromSource>>) -> Stream<(i64, char)> {
///     stream.event_time(|record| record.0, Watermarks::monotonous()).stage("timed")
/// }
///
/// let job = Job::new("doc");
/// let (sink, out) = collect();
/// timed(job.source("letters", from_vec(vec![(1, 'a')]))).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(out.take(), [(1, 'a')]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct FromSource;

impl<T, C> Stream<T, C>
where
    T: Send + 'static,
    C: Chain<Out = T>,
{
    /// Each record through a function.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, squares) = collect();
    /// job.source("numbers", from_vec(vec![1, 2, 3])).map(|n| n * n).sink("squares", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(squares.take(), [1, 4, 9]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn map<U, F>(self, function: F) -> Stream<U, Map<C, F>>
    where
        U: Send + 'static,
        F: Fn(T) -> U + Clone + Send + 'static,
    {
        let (up, f) = (self.compute.clone(), function.clone());
        let compute: Compute<U> =
            Rc::new(move |inputs| reference::flat_map(up(inputs), |record| vec![f(record)]));
        self.then(compute, |before| Map { before, function })
    }

    /// Only the records that a predicate accepts.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, even) = collect();
    /// job.source("numbers", from_vec(vec![1, 2, 3, 4])).filter(|n| n % 2 == 0).sink("even", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(even.take(), [2, 4]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn filter<F>(self, predicate: F) -> Stream<T, Filter<C, F>>
    where
        F: Fn(&T) -> bool + Clone + Send + 'static,
    {
        let (up, p) = (self.compute.clone(), predicate.clone());
        let compute: Compute<T> = Rc::new(move |inputs| {
            reference::flat_map(up(inputs), |record| if p(&record) { vec![record] } else { Vec::new() })
        });
        self.then(compute, |before| Filter { before, predicate })
    }

    /// Any number of records for each.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, all) = collect();
    /// job.source("numbers", from_vec(vec![1, 2, 3])).flat_map(|n| 0..n).sink("all", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(all.take(), [0, 0, 1, 0, 1, 2]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn flat_map<I, F>(self, function: F) -> Stream<I::Item, FlatMap<C, F>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(T) -> I + Clone + Send + 'static,
    {
        let (up, f) = (self.compute.clone(), function.clone());
        let compute: Compute<I::Item> =
            Rc::new(move |inputs| reference::flat_map(up(inputs), |record| f(record).into_iter().collect()));
        self.then(compute, |before| FlatMap { before, function })
    }

    /// Partitions by key: records with equal keys meet on one core, in order. The function must be pure: it is
    /// called again where the key is needed.
    ///
    /// See [`Keyed`] for what can be done then.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, longest) = collect();
    /// job.source("words", from_vec(vec![(1_i64, "to"), (2, "be"), (3, "not")]))
    ///     .event_time(|word| word.0, Watermarks::monotonous())
    ///     .map(|word| word.1.len() as u64)
    ///     .key_by(|length| *length)
    ///     .window(Tumbling::of(secs(1)))
    ///     .reduce("count", |_, _| {})
    ///     .map(|lengths| lengths.key)
    ///     .sink("lengths", sink);
    /// job.run(Config::new().cores(2))?;
    /// let mut lengths = longest.take();
    /// lengths.sort();
    /// assert_eq!(lengths, [2, 3]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn key_by<K, F>(self, key: F) -> Keyed<K, T, C, F>
    where
        K: crate::key::Key,
        F: Fn(&T) -> K + Clone + Send + 'static,
    {
        Keyed::new(self, key)
    }

    /// Groups all records by windows of event time, whatever they are: as [`key_by`](Stream::key_by) with one key for all
    /// of them, and so on one core.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, highest) = collect();
    /// job.source("bids", from_vec(vec![(1_i64, 30_u64), (2, 50), (11, 20)]))
    ///     .event_time(|bid| bid.0, Watermarks::monotonous())
    ///     .map(|bid| bid.1)
    ///     .window_all(Tumbling::of(millis(10)))
    ///     .reduce("highest", |highest, bid| *highest = (*highest).max(*bid))
    ///     .map(|highest| highest.value)
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(2))?;
    /// assert_eq!(highest.take(), [50, 20]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn window_all<W>(self, windows: W) -> WindowedStream<(), T, C, fn(&T), W> {
        let all: fn(&T) = |_| ();
        self.key_by(all).window(windows)
    }

    /// The records of both streams, in no particular order between them.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, all) = collect();
    /// let odd = job.source("odd", from_vec(vec![1, 3]));
    /// let even = job.source("even", from_vec(vec![2, 4]));
    /// odd.union("both", even).sink("all", sink);
    /// job.run(Config::new().cores(1))?;
    /// let mut all = all.take();
    /// all.sort();
    /// assert_eq!(all, [1, 2, 3, 4]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn union<D>(self, name: &str, other: Stream<T, D>) -> Stream<T>
    where
        D: Chain<Out = T>,
    {
        let (graph, compute) = (self.graph.clone(), self.compute.clone());
        let other_compute = other.compute.clone();
        let edges = vec![self.forward(), other.forward()];
        let compute: Compute<T> =
            Rc::new(move |inputs| reference::union(vec![compute(inputs), other_compute(inputs)]));
        pass_through(name, "union", graph, edges, compute)
    }

    /// Ends the fused chain here: what follows is a stage of its own, and the stream's type is plain.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// /// A part of a job that can be used in many.
    /// fn doubled(numbers: Stream<u64>) -> Stream<u64> {
    ///     numbers.map(|n| 2 * n).stage("doubled")
    /// }
    ///
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// doubled(job.source("numbers", from_vec(vec![1, 2])).stage("plain")).sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(out.take(), [2, 4]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn stage(self, name: &str) -> Stream<T> {
        let (graph, compute) = (self.graph.clone(), self.compute.clone());
        let edges = vec![self.forward()];
        pass_through(name, "stage", graph, edges, compute)
    }

    /// Ends the stream in a sink. The name is for ever: output that was not committed is found by it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let counter = discard();
    /// job.source("numbers", generator(1_000, |n| n)).sink("nowhere", counter.clone());
    /// job.run(Config::new().cores(2))?;
    /// assert_eq!(counter.count(), 1_000);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn sink<S: Sink<T>>(self, name: &str, sink: S) {
        let graph = self.graph.clone();
        graph.borrow_mut().outputs.add(name, self.compute.clone());
        let edge = self.forward();
        let (step, target) = (name.to_owned(), sink.clone());
        let make = move |layout: &Layout<'_>| match layout.ends {
            Ends::Held(hands) => SinkSeed::make(&step, hands.output::<T>(&step), &edge, layout),
            Ends::Replayed(ends) if !planted!(replay_commits) => {
                SinkSeed::make(&step, ends.sink(&target, &step), &edge, layout)
            }
            Ends::Own | Ends::Replayed(_) => SinkSeed::make(&step, target.clone(), &edge, layout),
        };
        let schema = Schema::new("sink", &[("to", sink.describe())]);
        let recover = move || -> RecoverSink {
            let sink = sink.clone();
            Box::new(move |cx, prepared| sink.recover(cx, prepared))
        };
        let recover: Option<MakeRecover> = Some(Box::new(recover));
        let node = Node { name: name.to_owned(), schema, make: Box::new(make), recover };
        graph.borrow_mut().nodes.push(node);
    }

    fn then<D: Chain<In = C::In>>(
        self,
        compute: Compute<D::Out>,
        chain: impl FnOnce(C) -> D,
    ) -> Stream<D::Out, D> {
        let Stream { graph, outlet, chain: before, .. } = self;
        Stream { graph, outlet, chain: chain(before), compute, extra: None }
    }

    /// An edge on which every core sends to itself.
    pub(crate) fn forward(self) -> Arc<Edge<T>> {
        let edge = Edge::new(Pattern::Forward);
        self.outlet.borrow().attach(self.chain, Forward, edge.clone());
        edge
    }

    /// An edge on which every core sends to the owner of the key.
    /// Barriers may overtake what waits behind it, if there is a codec.
    pub(crate) fn by_key<K, F>(self, key: F, codec: Option<SharedCodec<T>>) -> Arc<Edge<T>>
    where
        K: crate::key::Key,
        F: Fn(&T) -> K + Clone + Send + 'static,
    {
        let edge = Edge::with_codec(Pattern::AllToAll, codec);
        self.outlet.borrow().attach(self.chain, ByKey { key }, edge.clone());
        edge
    }
}

/// A stage that passes on what comes along its edges.
fn pass_through<T: Send + 'static>(
    name: &str,
    kind: &str,
    graph: SharedGraph,
    edges: Vec<Arc<Edge<T>>>,
    compute: Compute<T>,
) -> Stream<T> {
    let outlet = OutletSpec::shared();
    let spec = OperatorSpec::new(name, edges, outlet.clone(), SideSpecs::default());
    let make =
        move |layout: &Layout<'_>| spec.seed(layout, |_, _| Box::pin(async { Ok(UnionOperator::new()) }));
    let schema = Schema::new(kind, &[("of", std::any::type_name::<T>().to_owned())]);
    let node = Node { name: name.to_owned(), schema, make: Box::new(make), recover: None };
    graph.borrow_mut().nodes.push(node);
    Stream { graph, outlet, chain: Identity::new(), compute, extra: None }
}

/// A stream can be used twice if its records can be copied: a clone is the same stream.
///
/// ```
/// # use millstream::prelude::*;
/// let job = Job::new("doc");
/// let ((odd, odds), (all, everything)) = (collect(), collect());
/// let numbers = job.source("numbers", from_vec(vec![1, 2, 3]));
/// numbers.clone().filter(|n| n % 2 == 1).sink("odd", odd);
/// numbers.sink("all", all);
/// job.run(Config::new().cores(1))?;
/// assert_eq!((odds.take(), everything.take()), (vec![1, 3], vec![1, 2, 3]));
/// # Ok::<(), millstream::Error>(())
/// ```
impl<T, C> Clone for Stream<T, C>
where
    T: Send + 'static,
    C: Chain<Out = T, In: Clone>,
{
    fn clone(&self) -> Self {
        self.outlet.borrow().set_clone(C::In::clone);
        Stream {
            graph: self.graph.clone(),
            outlet: self.outlet.clone(),
            chain: self.chain.clone(),
            compute: self.compute.clone(),
            extra: self.extra.clone(),
        }
    }
}

impl<T: Send + 'static> Stream<T, Identity<T, FromSource>> {
    /// Gives each record the time at which it happened, and says how watermarks follow. To be called before the
    /// stream is used.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, hottest) = collect();
    /// job.source("readings", from_vec(vec![(1_000, 215_u64), (2_000, 217)]))
    ///     .event_time(|reading| reading.0, Watermarks::bounded(secs(5)))
    ///     .map(|reading| reading.1)
    ///     .key_by(|_| 'k')
    ///     .window(Tumbling::of(minutes(1)))
    ///     .reduce("hottest", |hottest, now| *hottest = (*hottest).max(*now))
    ///     .map(|hottest| (hottest.window.end, hottest.value))
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(hottest.take(), [(60_000, 217)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn event_time<F, W>(self, time: F, marks: W) -> Stream<T, Identity<T, FromSource>>
    where
        F: Fn(&T) -> Timestamp + Clone + Send + 'static,
        W: WatermarkStrategy<T>,
    {
        self.source().set_time(time, marks);
        self
    }

    /// The records of the source that cannot be decoded, as a stream of their own. They are counted, and no longer
    /// end the job.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let file = std::env::temp_dir().join("millstream-doc-dead-letters.ndjson");
    /// std::fs::write(&file, "1\ntwo\n3\n").unwrap();
    /// let job = Job::new("doc");
    /// let ((good, numbers), (bad, letters)) = (collect(), collect());
    /// let lines = job.source("lines", files::<u64>([&file]));
    /// lines.dead_letters().map(|letter| (letter.line, letter.record)).sink("bad", bad);
    /// lines.sink("good", good);
    /// let report = job.run(Config::new().cores(1))?;
    /// assert_eq!(numbers.take(), [1, 3]);
    /// assert_eq!(letters.take(), [(Some(2), "two".to_owned())]);
    /// assert_eq!(report.poison, 1);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn dead_letters(&self) -> Stream<DeadLetter> {
        let source = self.source();
        let outlet = source.dead_outlet();
        let compute: Compute<DeadLetter> = Rc::new(|_| reference::source(Vec::new(), None));
        Stream { graph: self.graph.clone(), outlet, chain: Identity::new(), compute, extra: None }
    }

    fn source(&self) -> &SourceSpec<T> {
        let extra = self.extra.as_ref().expect("a source's stream knows its source");
        extra.downcast_ref::<Arc<SourceSpec<T>>>().expect("a source's stream has its type")
    }
}
