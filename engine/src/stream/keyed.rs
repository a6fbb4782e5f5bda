//! Streams partitioned by key.

use crate::exchange::codec::{SharedCodec, archives};
use crate::key::Key;
use crate::operator::process::Process;
use crate::operator::window::Global;
use crate::operator::window::evict::KeepLast;
use crate::operator::window::trigger::{Count, Purging, Trigger};
use crate::reference;
use crate::state::{StateValue, Ttl};
use crate::stream::chain::Chain;
use crate::stream::process::{ProcessResults, ProcessStep};
use crate::stream::{Stream, TriggeredStream, WindowedStream};

/// A stream partitioned by key: records with equal keys meet on one core, in order.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::stream::Keyed;
/// use millstream::stream::chain::Chain;
///
/// /// How many records each key has in each second, whatever they are.
/// fn per_second<K, T, C, F>(records: Keyed<K, T, C, F>) -> Stream<u64>
/// where
///     K: Key,
///     T: Clone + Send + 'static,
///     C: Chain<Out = T>,
///     F: Fn(&T) -> K + Clone + Send + 'static,
/// {
/// #     #[derive(Clone)]
/// #     struct Count<T>(std::marker::PhantomData<fn() -> T>);
/// #     impl<T: Clone + Send + 'static> Aggregate for Count<T> {
/// #         type In = T;
/// #         type Acc = u64;
/// #         type Out = u64;
/// #         fn add(&self, count: &mut u64, _: &T) {
/// #             *count += 1;
/// #         }
/// #         fn finish(&self, count: &u64) -> u64 {
/// #             *count
/// #         }
/// #     }
///     let counts = records.window(Tumbling::of(secs(1))).aggregate("count", Count(Default::default()));
///     counts.map(|count| count.value).stage("counts")
/// }
///
/// let job = Job::new("doc");
/// let (sink, counts) = collect();
/// let letters = job
///     .source("letters", from_vec(vec![(1, 'a'), (2, 'a'), (1_001, 'a')]))
///     .event_time(|letter| letter.0, Watermarks::monotonous());
/// per_second(letters.key_by(|letter| letter.1)).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(counts.take(), [2, 1]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Keyed<K, T, C, F>
where
    C: Chain<Out = T>,
{
    pub(crate) stream: Stream<T, C>,
    pub(crate) key: F,
    /// How long the ready steps keep what they know of a key.
    pub(crate) ttl: Option<Ttl>,
    /// Of the records, if barriers may overtake them.
    pub(crate) codec: Option<SharedCodec<T>>,
    of: std::marker::PhantomData<fn() -> K>,
}

impl<K, T, C, F> Keyed<K, T, C, F>
where
    K: Key,
    T: Send + 'static,
    C: Chain<Out = T>,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    pub(crate) fn new(stream: Stream<T, C>, key: F) -> Self {
        Keyed { stream, key, ttl: None, codec: None, of: std::marker::PhantomData }
    }

    /// Lets the barriers of checkpoints overtake the records that wait before the next step. What is overtaken becomes part
    /// of the checkpoint, and is worked on first when that is restored. So a checkpoint is quick also when the steps behind
    /// are slow and everything before them is full; see
    /// [`Config::unaligned_after`](crate::Config::unaligned_after), without which this does nothing.
    ///
    /// Event time of what was overtaken starts from where its step was: marks between the records are not kept, so that of
    /// records that are late, fewer may be after a restore.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir().unwrap();
    /// let job = Job::new("doc");
    /// let (sink, sums) = collect();
    /// job.source("numbers", generator(1_000, |n| (n % 3, n)))
    ///     .key_by(|n| n.0)
    ///     .unaligned()
    ///     .reduce("sum", |sum, n| sum.1 += n.1)
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(2).checkpoints(dir.path()).unaligned_after(secs(5)))?;
    /// assert_eq!(sums.take().len(), 1_000);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn unaligned(mut self) -> Self
    where
        T: StateValue,
    {
        self.stream.graph.borrow_mut().unaligned = true;
        self.codec = Some(archives());
        self
    }

    /// Groups each key's records by windows of event time; [`WindowedStream::aggregate`] shows a whole job.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, first) = collect();
    /// let hourly = job
    ///     .source("readings", from_vec(vec![(0_i64, 21_u64), (60_000, 22)]))
    ///     .event_time(|reading| reading.0, Watermarks::bounded(secs(5)))
    ///     .key_by(|_| 0_u8)
    ///     .window(Tumbling::of(hours(1)).allow_late(minutes(1)));
    /// hourly.reduce("first", |_, _| {}).map(|first| first.value).sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(first.take(), [(0, 21)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn window<W>(self, windows: W) -> WindowedStream<K, T, C, F, W> {
        WindowedStream { keyed: self, windows }
    }

    /// Groups each key's records by their number: every `n` are a window. Records that are left at the end of the input
    /// are not put out.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, pairs) = collect();
    /// job.source("numbers", from_vec(vec![1_i64, 2, 3, 4, 5]))
    ///     .key_by(|_| 'k')
    ///     .count_window(2)
    ///     .process("pairs", |_, numbers| [numbers.collect::<Vec<_>>()])
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(pairs.take(), [[1, 2], [3, 4]]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn count_window(self, n: u64) -> TriggeredStream<K, T, C, F, Global, Purging<Count>> {
        self.window(Global).trigger(Trigger::<T>::purging(Count::of(n)))
    }

    /// Groups each key's records by their number: after every `slide` records the last `n` are a window.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, pairs) = collect();
    /// job.source("numbers", from_vec(vec![1_i64, 2, 3, 4]))
    ///     .key_by(|_| 'k')
    ///     .sliding_count_window(3, 2)
    ///     .process("last three", |_, numbers| [numbers.collect::<Vec<_>>()])
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(pairs.take(), [vec![1, 2], vec![2, 3, 4]]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn sliding_count_window(
        self,
        n: usize,
        slide: u64,
    ) -> TriggeredStream<K, T, C, F, Global, Count, KeepLast> {
        self.window(Global).trigger(Count::of(slide)).evict(KeepLast(n))
    }

    /// Runs a [`Process`] function: state and timers per key. The name is for ever: state is found by it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// /// Numbers the records of each key.
    /// #[derive(Clone)]
    /// struct Number;
    /// impl Process for Number {
    ///     type Key = char;
    ///     type In = char;
    ///     type Out = (char, u32);
    ///     type State = Value<u32>;
    ///     fn declare(&self, state: &mut Declare) -> Value<u32> {
    ///         state.value("seen")
    ///     }
    ///     fn on_record(&mut self, c: char, seen: &Value<u32>, cx: &mut Context<'_, Self>) {
    ///         let n = seen.update(cx, |n| { *n += 1; *n });
    ///         cx.emit((c, n));
    ///     }
    /// }
    ///
    /// let job = Job::new("doc");
    /// let (sink, numbered) = collect();
    /// job.source("letters", from_vec(vec!['a', 'b', 'a'])).key_by(|c| *c).process("number", Number).sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(numbered.take(), [('a', 1), ('b', 1), ('a', 2)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn process<P>(self, name: &str, process: P) -> ProcessResults<P::Out>
    where
        P: Process<Key = K, In = T>,
    {
        self.process_as(name, "process", &[], process)
    }

    /// As [`Keyed::process`], of a step of another kind: a checkpoint remembers it, and what it was set to.
    pub(crate) fn process_as<P>(
        self,
        name: &str,
        kind: &str,
        settings: &[(&str, String)],
        process: P,
    ) -> ProcessResults<P::Out>
    where
        P: Process<Key = K, In = T>,
    {
        let Keyed { stream, key, codec, .. } = self;
        let (graph, up) = (stream.graph.clone(), stream.compute.clone());
        let edges = vec![stream.by_key(key.clone(), codec)];
        let (function, of) = (process.clone(), key.clone());
        let step = ProcessStep { graph, name, kind, settings, edges };
        step.run(process, key, move |inputs| reference::process(up(inputs), &function, &of))
    }
}
