//! Windows with triggers, evictors and functions of all records, over keyed streams.

use std::rc::Rc;

use crate::aggregate::{Aggregate, Merge, Reduce};
use crate::key::Key;
use crate::operator::process::OutputTag;
use crate::operator::window::Windowed;
use crate::operator::window::assign::Assign;
use crate::operator::window::evict::{Evict, KeepAll};
use crate::operator::window::general::content::{Content, Folded, Kept, Records, WindowContext};
use crate::operator::window::general::{LATE, Triggered};
use crate::operator::window::trigger::{EventTime, Purging, Trigger};
use crate::reference;
use crate::state::StateValue;
use crate::stream::chain::{Chain, Identity};
use crate::stream::process::ProcessStep;
use crate::stream::windowed::Late;
use crate::stream::{FromWindow, Keyed, Stream, WindowResults, WindowedStream};
use crate::time::Timestamp;

/// What comes out of a window's function, and, on the side, the late records of the window.
type Results<R, In> = Stream<R, Identity<R, FromWindow<In>>>;

/// A keyed stream grouped by windows, with a trigger that says when their results are due, and an evictor that says which
/// records they are computed of.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::stream::TriggeredStream;
/// use millstream::stream::chain::Chain;
/// use millstream::window::trigger::Count;
///
/// /// Every so many numbers of a key.
/// fn groups<C, F>(numbers: TriggeredStream<char, i64, C, F, Global, Count>) -> Stream<Vec<i64>>
/// where
///     C: Chain<Out = i64>,
///     F: Fn(&i64) -> char + Clone + Send + 'static,
/// {
///     numbers.discarding().process("groups", |_, numbers| [numbers.collect()]).stage("plain")
/// }
///
/// let job = Job::new("doc");
/// let (sink, pairs) = collect();
/// let numbers = job.source("numbers", from_vec(vec![1_i64, 2, 3, 4]));
/// groups(numbers.key_by(|_| 'k').window(Global).trigger(Count::of(2))).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(pairs.take(), [[1, 2], [3, 4]]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct TriggeredStream<K, T, C, F, W, Tr, E = KeepAll>
where
    C: Chain<Out = T>,
{
    keyed: Keyed<K, T, C, F>,
    windows: W,
    trigger: Tr,
    evictor: E,
}

impl<K, T, C, F, W> WindowedStream<K, T, C, F, W>
where
    C: Chain<Out = T>,
{
    /// Says when the results of the windows are due, if not at their ends; see
    /// [`trigger`](crate::window::trigger::Trigger).
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::window::trigger::Count;
    /// # let job = Job::new("doc");
    /// # let (sink, sums) = collect();
    /// job.source("numbers", from_vec(vec![1_i64, 2, 11]))
    ///     .event_time(|n| *n, Watermarks::monotonous())
    ///     .key_by(|_| 'k')
    ///     .window(Tumbling::of(millis(10)))
    ///     .trigger(Count::of(1))
    ///     .reduce("sum", |sum, n| *sum += n)
    ///     .map(|sum| sum.value)
    ///     .sink("sums", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(sums.take(), [1, 3, 11]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn trigger<Tr: Trigger<T>>(self, trigger: Tr) -> TriggeredStream<K, T, C, F, W, Tr> {
        let WindowedStream { keyed, windows } = self;
        TriggeredStream { keyed, windows, trigger, evictor: KeepAll }
    }

    /// A function of all records of a window, which are kept until then: it is given the key and the window, and what it
    /// returns is put out. The name is for ever: state is found by it.
    ///
    /// Where an aggregate will do, [`aggregate`](WindowedStream::aggregate) is faster, and keeps less.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, medians) = collect();
    /// job.source("numbers", from_vec(vec![1_i64, 7, 5, 12]))
    ///     .event_time(|n| *n, Watermarks::bounded(millis(5)))
    ///     .key_by(|_| 'k')
    ///     .window(Tumbling::of(millis(10)))
    ///     .process("median", |cx, numbers| {
    ///         let mut numbers: Vec<i64> = numbers.collect();
    ///         numbers.sort();
    ///         [(cx.window.start, numbers[numbers.len() / 2])]
    ///     })
    ///     .sink("medians", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(medians.take(), [(0, 5), (10, 12)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn process<G, I>(self, name: &str, function: G) -> Results<I::Item, T>
    where
        K: Key,
        T: Clone + Send + 'static,
        (Timestamp, T): StateValue,
        F: Fn(&T) -> K + Clone + Send + 'static,
        W: Assign<T>,
        I: IntoIterator<Item: Send + 'static>,
        G: Fn(&WindowContext<'_, K>, Records<T>) -> I + Clone + Send + 'static,
    {
        self.trigger(EventTime).process(name, function)
    }
}

impl<K, T, C, F, W, Tr, E> TriggeredStream<K, T, C, F, W, Tr, E>
where
    C: Chain<Out = T>,
    Tr: Trigger<T>,
{
    /// Forgets a window's records whenever its result is put out, so that no two results have a record in common.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::window::trigger::Every;
    /// # let job = Job::new("doc");
    /// # let (sink, sums) = collect();
    /// job.source("numbers", from_vec(vec![1_i64, 2, 6, 7, 11]))
    ///     .event_time(|n| *n, Watermarks::monotonous())
    ///     .key_by(|_| 'k')
    ///     .window(Tumbling::of(millis(10)))
    ///     .trigger(Every::event_time(millis(4)))
    ///     .discarding()
    ///     .process("sum", |_, numbers| [numbers.sum::<i64>()])
    ///     .sink("sums", sink);
    /// job.run(Config::new().cores(1).batch_size(1))?;
    /// assert_eq!(sums.take(), [1 + 2 + 6, 7, 11]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn discarding(self) -> TriggeredStream<K, T, C, F, W, Purging<Tr>, E> {
        let TriggeredStream { keyed, windows, trigger, evictor } = self;
        TriggeredStream { keyed, windows, trigger: trigger.purging(), evictor }
    }

    /// Says which records a window keeps when it fires; see [`evict`](crate::window::evict::Evict).
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::window::evict::KeepLast;
    /// use millstream::window::trigger::Count;
    /// # let job = Job::new("doc");
    /// # let (sink, sums) = collect();
    /// job.source("numbers", from_vec(vec![1_i64, 2, 3]))
    ///     .key_by(|_| 'k')
    ///     .window(Global)
    ///     .trigger(Count::of(1))
    ///     .evict(KeepLast(2))
    ///     .process("sum", |_, numbers| [numbers.sum::<i64>()])
    ///     .sink("sums", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(sums.take(), [1, 1 + 2, 2 + 3]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn evict<N: Evict<T>>(self, evictor: N) -> TriggeredStream<K, T, C, F, W, Tr, N> {
        let TriggeredStream { keyed, windows, trigger, .. } = self;
        TriggeredStream { keyed, windows, trigger, evictor }
    }
}

impl<K, T, C, F, W, Tr, E> TriggeredStream<K, T, C, F, W, Tr, E>
where
    K: Key,
    T: Clone + Send + 'static,
    C: Chain<Out = T>,
    F: Fn(&T) -> K + Clone + Send + 'static,
    W: Assign<T>,
    Tr: Trigger<T>,
    E: Evict<T>,
{
    /// A function of all records of a window; see [`WindowedStream::process`].
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::window::trigger::Count;
    /// # let job = Job::new("doc");
    /// # let (sink, sums) = collect();
    /// job.source("numbers", from_vec(vec![1_i64, 2, 3, 4]))
    ///     .key_by(|_| 'k')
    ///     .window(Global)
    ///     .trigger(Count::of(2))
    ///     .process("keyed", |cx, numbers| numbers.map(|n| (*cx.key, n)).collect::<Vec<_>>())
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(sums.take(), [1, 2, 1, 2, 3, 4].map(|n| ('k', n)));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn process<G, I>(self, name: &str, function: G) -> Results<I::Item, T>
    where
        (Timestamp, T): StateValue,
        I: IntoIterator<Item: Send + 'static>,
        G: Fn(&WindowContext<'_, K>, Records<T>) -> I + Clone + Send + 'static,
    {
        let TriggeredStream { keyed, windows, trigger, evictor } = self;
        attach(keyed, name, Triggered::new(windows, trigger, Kept::new(evictor, function)))
    }
}

impl<K, T, C, F, W, Tr> TriggeredStream<K, T, C, F, W, Tr, KeepAll>
where
    K: Key,
    T: Clone + Send + 'static,
    C: Chain<Out = T>,
    F: Fn(&T) -> K + Clone + Send + 'static,
    W: Assign<T>,
    Tr: Trigger<T>,
{
    /// One accumulator per key and window, and its result whenever the trigger fires.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::aggregate::Merge;
    /// use millstream::window::trigger::Count as AfterEvery;
    ///
    /// #[derive(Clone)]
    /// struct Count;
    /// impl Aggregate for Count {
    ///     type In = i64;
    ///     type Acc = u64;
    ///     type Out = u64;
    ///     fn add(&self, count: &mut u64, _: &i64) {
    ///         *count += 1;
    ///     }
    ///     fn finish(&self, count: &u64) -> u64 {
    ///         *count
    ///     }
    /// }
    /// impl Merge for Count {
    ///     fn merge(&self, count: &mut u64, other: &u64) {
    ///         *count += other;
    ///     }
    /// }
    ///
    /// let job = Job::new("doc");
    /// let (sink, counts) = collect();
    /// job.source("numbers", from_vec(vec![1_i64, 2, 3, 4]))
    ///     .key_by(|_| 'k')
    ///     .window(Global)
    ///     .trigger(AfterEvery::of(2))
    ///     .aggregate("count", Count)
    ///     .map(|count| count.value)
    ///     .sink("counts", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(counts.take(), [2, 4]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn aggregate<A>(self, name: &str, aggregate: A) -> WindowResults<K, T, A::Out>
    where
        A: Merge<In = T>,
    {
        self.aggregate_with(name, aggregate, |cx, value| Windowed {
            key: cx.key.clone(),
            window: cx.window,
            value,
        })
    }

    /// As [`aggregate`](TriggeredStream::aggregate), and a function of the result and its window.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::aggregate::Reduce;
    /// use millstream::window::trigger::EventTime;
    /// # let job = Job::new("doc");
    /// # let (sink, sums) = collect();
    /// # #[derive(Clone)]
    /// # struct Sum;
    /// # impl Aggregate for Sum {
    /// #     type In = i64;
    /// #     type Acc = i64;
    /// #     type Out = i64;
    /// #     fn add(&self, sum: &mut i64, n: &i64) {
    /// #         *sum += n;
    /// #     }
    /// #     fn finish(&self, sum: &i64) -> i64 {
    /// #         *sum
    /// #     }
    /// # }
    /// # impl Merge for Sum {
    /// #     fn merge(&self, sum: &mut i64, other: &i64) {
    /// #         *sum += other;
    /// #     }
    /// # }
    /// job.source("numbers", from_vec(vec![1_i64, 2, 11]))
    ///     .event_time(|n| *n, Watermarks::monotonous())
    ///     .key_by(|_| 'k')
    ///     .window(Tumbling::of(millis(10)))
    ///     .trigger(EventTime)
    ///     .aggregate_with("sum", Sum, |cx, sum| format!("{} at {}", sum, cx.window.start))
    ///     .sink("sums", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(sums.take(), ["3 at 0", "11 at 10"]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn aggregate_with<A, R, G>(self, name: &str, aggregate: A, function: G) -> Results<R, T>
    where
        A: Merge<In = T>,
        R: Send + 'static,
        G: Fn(&WindowContext<'_, K>, <A as Aggregate>::Out) -> R + Clone + Send + 'static,
    {
        let TriggeredStream { keyed, windows, trigger, .. } = self;
        attach(keyed, name, Triggered::new(windows, trigger, Folded { aggregate, function }))
    }

    /// Combines the records of each key and window by a function; see [`WindowedStream::reduce`].
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, sums) = collect();
    /// job.source("numbers", from_vec(vec![1_i64, 2, 3, 4]))
    ///     .key_by(|_| 'k')
    ///     .count_window(2)
    ///     .reduce("sum", |sum, n| *sum += n)
    ///     .map(|sum| sum.value)
    ///     .sink("sums", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(sums.take(), [3, 7]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn reduce<R>(self, name: &str, combine: R) -> WindowResults<K, T, T>
    where
        T: StateValue,
        Option<T>: StateValue,
        R: Fn(&mut T, &T) + Clone + Send + 'static,
    {
        self.aggregate(name, Reduce::new(combine))
    }
}

/// The general operator of windows in the graph.
fn attach<K, T, C, F, W, Tr, Co>(
    keyed: Keyed<K, T, C, F>,
    name: &str,
    process: Triggered<K, T, W, Tr, Co>,
) -> Results<Co::Out, T>
where
    K: Key,
    T: Clone + Send + 'static,
    C: Chain<Out = T>,
    F: Fn(&T) -> K + Clone + Send + 'static,
    W: Assign<T>,
    Tr: Trigger<T>,
    Co: Content<K, T>,
{
    let Keyed { stream, key, codec, .. } = keyed;
    let (graph, up, of) = (stream.graph.clone(), stream.compute.clone(), process.clone());
    let settings = [("windows", process.windows.describe()), ("trigger", process.trigger.describe())];
    let edges = vec![stream.by_key(key.clone(), codec)];
    let step = ProcessStep { graph, name, kind: "triggered window", settings: &settings, edges };
    let by = key.clone();
    let results = step.run(process, key, move |inputs| {
        reference::triggered(up(inputs), &by, &of.windows, &of.trigger, &of.content)
    });
    let late = results.side(OutputTag::<T>::new(LATE));
    let extra: Rc<dyn std::any::Any> = Rc::new(Late { outlet: late.outlet, compute: late.compute });
    let Stream { graph, outlet, compute, .. } = results;
    Stream { graph, outlet, chain: Identity::new(), compute, extra: Some(extra) }
}
