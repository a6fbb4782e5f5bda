//! Windows over keyed streams.

mod build;
mod triggered;

use std::marker::PhantomData;
use std::rc::Rc;

use millstream_storage::store::Store;

use crate::checkpoint::manifest::Schema;
use crate::checkpoint::read::target::WINDOWS;
use crate::error::Result;
use crate::exchange::outlet::{OutletSpec, SharedOutlet};
use crate::graph::{Layout, Node};
use crate::key::Key;
use crate::operator::aggregate::{Aggregate, Reduce};
use crate::operator::sides::SideSpecs;
use crate::operator::window::accumulators::ACCUMULATORS;
use crate::operator::window::ahead::Ahead;
use crate::operator::window::{Tumbling, Windowed};
use crate::reference::{self, Compute};
use crate::stage::OpenContext;
use crate::state::codec::{self, StateValue};
use crate::state::restore::{check_table, open_store, visit_table};
use crate::state::schema::{self, StateTypes};
use crate::stream::chain::{Chain, Identity};
use crate::stream::seeds::OperatorSpec;
use crate::stream::{Keyed, Stream};
use crate::time::Timestamp;

pub(crate) use build::{Begin, Build};
pub use triggered::TriggeredStream;

/// A keyed stream grouped by windows, to be aggregated.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::stream::WindowedStream;
/// use millstream::stream::chain::Chain;
///
/// /// The greatest number of each key and window.
/// fn greatest<C, F>(numbers: WindowedStream<char, u64, C, F>) -> Stream<u64>
/// where
///     C: Chain<Out = u64>,
///     F: Fn(&u64) -> char + Clone + Send + 'static,
/// {
///     numbers.reduce("greatest", |most, n| *most = (*most).max(*n)).map(|w| w.value).stage("values")
/// }
///
/// let job = Job::new("doc");
/// let (sink, most) = collect();
/// let numbers = job
///     .source("numbers", from_vec(vec![3_u64, 5, 4]))
///     .event_time(|n| *n as i64, Watermarks::bounded(secs(1)))
///     .key_by(|_| 'k');
/// greatest(numbers.window(Tumbling::of(secs(1)))).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(most.take(), [5]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct WindowedStream<K, T, C, F, W = Tumbling>
where
    C: Chain<Out = T>,
{
    pub(crate) keyed: Keyed<K, T, C, F>,
    pub(crate) windows: W,
}

/// Windows that an aggregate of type `A` can be computed over: [`Tumbling`] with any, those that overlap or merge with
/// one that can [`Merge`](crate::aggregate::Merge).
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::aggregate::Reduce;
/// use millstream::stream::chain::Chain;
/// use millstream::stream::{Keyed, Windows};
///
/// /// The greatest number of each key and window, whatever the windows.
/// fn greatest<C, F, W>(numbers: Keyed<char, u64, C, F>, windows: W) -> Stream<u64>
/// where
///     C: Chain<Out = u64>,
///     F: Fn(&u64) -> char + Clone + Send + 'static,
///     W: Windows<Reduce<u64, fn(&mut u64, &u64)>>,
/// {
///     let greater: fn(&mut u64, &u64) = |most, n| *most = (*most).max(*n);
///     numbers.window(windows).reduce("greatest", greater).map(|most| most.value).stage("values")
/// }
///
/// let job = Job::new("doc");
/// let (sink, most) = collect();
/// let numbers = job
///     .source("numbers", from_vec(vec![3_u64, 5, 4]))
///     .event_time(|n| *n as i64, Watermarks::bounded(secs(1)))
///     .key_by(|_| 'k');
/// greatest(numbers, Sliding::of(secs(2), secs(1))).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(most.take(), [5, 5]);
/// # Ok::<(), millstream::Error>(())
/// ```
#[expect(private_bounds, reason = "sealed: how windows are computed is the engine's own affair")]
pub trait Windows<A: Aggregate>: Build<A> {}

impl<A: Aggregate, W: Build<A>> Windows<A> for W {}

/// The tag of a stream that comes right out of windows over records of type `In`.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::stream::chain::Identity;
/// use millstream::stream::{FromWindow, WindowResults};
///
/// type Sum = Windowed<char, i64>;
/// /// `WindowResults`, spelled out.
/// type Sums = Stream<Sum, Identity<Sum, FromWindow<u64>>>;
///
/// let same: fn(WindowResults<char, u64, i64>) -> Sums = |results| results;
/// # let _ = same;
/// ```
pub struct FromWindow<In>(PhantomData<fn() -> In>);

/// The results of a window over records of type `In`, and, on the side, its late records.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::stream::WindowResults;
///
/// /// The results without their windows, and the late records.
/// fn split(results: WindowResults<char, i64, i64>) -> (Stream<i64>, Stream<i64>) {
///     let late = results.late();
///     (results.map(|sum| sum.value).stage("values"), late)
/// }
///
/// let job = Job::new("doc");
/// let ((sink, sums), (aside, late)) = (collect(), collect());
/// let (in_time, too_late) = split(
///     job.source("numbers", from_vec(vec![1_i64, 12, 3]))
///         .event_time(|n| *n, Watermarks::monotonous())
///         .key_by(|_| 'k')
///         .window(Tumbling::of(millis(10)))
///         .reduce("sum", |sum, n| *sum += n),
/// );
/// in_time.sink("sums", sink);
/// too_late.sink("late", aside);
/// job.run(Config::new().cores(1))?;
/// assert_eq!((sums.take(), late.take()), (vec![1, 12], vec![3]));
/// # Ok::<(), millstream::Error>(())
/// ```
pub type WindowResults<K, In, Out> = Stream<Windowed<K, Out>, Identity<Windowed<K, Out>, FromWindow<In>>>;

/// The side output of a window.
struct Late<In> {
    outlet: SharedOutlet<In>,
    compute: Compute<In>,
}

impl<K, T, C, F, W> WindowedStream<K, T, C, F, W>
where
    K: Key,
    T: Send + 'static,
    C: Chain<Out = T>,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    /// One accumulator per key and window, updated record by record; the result when the watermark passes the
    /// window's end, and again for each record that comes within the allowed lateness. Results carry the window's
    /// last timestamp. The name is for ever: state is found by it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// #[derive(Clone)]
    /// struct Count;
    /// impl Aggregate for Count {
    ///     type In = (i64, char);
    ///     type Acc = u64;
    ///     type Out = u64;
    ///     fn add(&self, count: &mut u64, _: &(i64, char)) {
    ///         *count += 1;
    ///     }
    ///     fn finish(&self, count: &u64) -> u64 {
    ///         *count
    ///     }
    /// }
    ///
    /// let job = Job::new("doc");
    /// let ((sink, counts), (aside, late)) = (collect(), collect());
    /// let counted = job
    ///     .source("events", from_vec(vec![(1, 'a'), (2, 'a'), (12, 'b'), (3, 'c')]))
    ///     .event_time(|event| event.0, Watermarks::monotonous())
    ///     .key_by(|event| event.1)
    ///     .window(Tumbling::of(millis(10)))
    ///     .aggregate("count", Count);
    /// counted.late().sink("late", aside);
    /// counted.map(|w| (w.key, w.window.start, w.value)).sink("counts", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(counts.take(), [('a', 0, 2), ('b', 10, 1)]);
    /// assert_eq!(late.take(), [(3, 'c')]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn aggregate<A>(self, name: &str, aggregate: A) -> WindowResults<K, T, A::Out>
    where
        A: Aggregate<In = T>,
        W: Windows<A>,
    {
        let WindowedStream { keyed: Keyed { stream, key, codec, .. }, windows } = self;
        let (graph, up) = (stream.graph.clone(), stream.compute.clone());
        let (outlet, side) = (OutletSpec::shared(), OutletSpec::shared());
        let edges = vec![stream.by_key(key.clone(), codec)];
        let spec = OperatorSpec::new(name, edges, outlet.clone(), SideSpecs::of(side.clone()));
        let (step, of, function, cut) = (name.to_owned(), key.clone(), aggregate.clone(), windows.clone());
        let make = move |layout: &Layout<'_>| {
            let (step, key, aggregate, windows) = (step.clone(), of.clone(), function.clone(), cut.clone());
            spec.seed(layout, move |cx, watermark| {
                Box::pin(async move {
                    let mut store = open_store(&cx, &step).await?;
                    let queued = adopt::<W, A, K>(&cx, &mut store).await?;
                    let ahead = Ahead::restore(&cx, &step);
                    let begin = Begin { store, watermark, ahead, parts: cx.parts(&step).to_vec(), queued };
                    Ok(windows.operator(key, aggregate, begin))
                })
            })
        };
        let schema = schema::<W, K, A>(&windows);
        let node = Node { name: name.to_owned(), schema, make: Box::new(make), recover: None };
        graph.borrow_mut().nodes.push(node);
        let both = Rc::new(move |inputs: &reference::Inputs| windows.reference(up(inputs), &key, &aggregate));
        let late: Compute<T> = {
            let both = both.clone();
            Rc::new(move |inputs| both(inputs).late)
        };
        let compute: Compute<Windowed<K, A::Out>> = Rc::new(move |inputs| both(inputs).results);
        let extra: Rc<dyn std::any::Any> = Rc::new(Late { outlet: side, compute: late });
        Stream { graph, outlet, chain: Identity::new(), compute, extra: Some(extra) }
    }

    /// Combines the records of each key and window by a function; see [`WindowedStream::aggregate`].
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, highest) = collect();
    /// job.source("bids", from_vec(vec![(1_i64, 30_u64), (2, 50), (11, 20)]))
    ///     .event_time(|bid| bid.0, Watermarks::monotonous())
    ///     .map(|bid| bid.1)
    ///     .key_by(|_| 0_u8)
    ///     .window(Tumbling::of(millis(10)))
    ///     .reduce("highest", |highest, bid| *highest = (*highest).max(*bid))
    ///     .map(|w| (w.window.end, w.value))
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(highest.take(), [(10, 50), (20, 20)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn reduce<R>(self, name: &str, combine: R) -> WindowResults<K, T, T>
    where
        T: Clone + StateValue,
        Option<T>: StateValue,
        R: Fn(&mut T, &T) + Clone + Send + 'static,
        W: Windows<Reduce<T, R>>,
    {
        self.aggregate(name, Reduce::new(combine))
    }
}

impl<R, In> Stream<R, Identity<R, FromWindow<In>>>
where
    R: Send + 'static,
    In: Send + 'static,
{
    /// The records that came too late for their window, as they came. Where nobody takes them they are counted and
    /// dropped.
    pub fn late(&self) -> Stream<In> {
        let extra = self.extra.clone().expect("a window's stream knows its side output");
        let late: Rc<Late<In>> = extra.downcast().expect("a window's stream has its input's type");
        Stream {
            graph: self.graph.clone(),
            outlet: late.outlet.clone(),
            chain: Identity::new(),
            compute: late.compute.clone(),
            extra: None,
        }
    }
}

/// Checks everything that was restored before it is used.
async fn adopt<W, A, K>(cx: &OpenContext, store: &mut Store) -> Result<Vec<(Timestamp, K)>>
where
    W: Build<A>,
    A: Aggregate,
    K: Key,
{
    let (mut queued, mut result) = (Vec::new(), Ok(()));
    let tables: Vec<_> = store.tables(ACCUMULATORS).map(|(_, table)| table).collect();
    for table in tables {
        if !W::QUEUES {
            // What the restore has left on disk is checked when it is read.
            check_table(cx, store, table, |_, value| codec::check::<A::Acc>(value)).await?;
            continue;
        }
        let visit = |key: &[u8], value: &[u8]| {
            if result.is_ok() {
                result = W::adopt(&mut queued, key, value);
            }
        };
        visit_table(cx, store, table, visit).await?;
    }
    result.map(|()| queued)
}

fn schema<W: Build<A>, K: Key, A: Aggregate>(windows: &W) -> Schema {
    let mut schema = Schema::new(
        W::KIND,
        &[
            ("windows", windows.describe()),
            ("key", std::any::type_name::<K>().to_owned()),
            ("accumulator", schema::fingerprint::<A::Acc>()),
        ],
    );
    if W::KIND == "window" {
        schema.types.insert(WINDOWS.to_owned(), StateTypes::new::<A::Acc>());
    }
    schema
}
