//! Fused chains: the stateless steps between two stages, compiled into one loop.
//!
//! A stream's type grows with its steps, as an iterator's does:
//!
//! ```
//! # use millstream::prelude::*;
//! use millstream::stream::FromSource;
//! use millstream::stream::chain::{Filter, FlatMap, Identity, Map};
//!
//! type Plain = Identity<u64, FromSource>;
//! type Positive = Filter<Plain, fn(&u64) -> bool>;
//! type Below = FlatMap<Positive, fn(u64) -> std::ops::Range<u64>>;
//! type Halved = Map<Below, fn(u64) -> f64>;
//!
//! let job = Job::new("doc");
//! let (sink, out) = collect();
//! let numbers: Stream<u64, Plain> = job.source("numbers", from_vec(vec![0, 3]));
//! let positive: Stream<u64, Positive> = numbers.filter(|n| *n > 0);
//! let below: Stream<u64, Below> = positive.flat_map(|n| 0..n);
//! let halved: Stream<f64, Halved> = below.map(|n| n as f64 / 2.0);
//! halved.sink("out", sink);
//! job.run(Config::new().cores(1))?;
//! assert_eq!(out.take(), [0.0, 0.5, 1.0]);
//! # Ok::<(), millstream::Error>(())
//! ```

use std::marker::PhantomData;

use crate::time::Timestamp;

/// A composition of stateless steps from `In` to `Out`. Users meet it only as an inferred type parameter, like
/// that of an iterator.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::stream::chain::Chain;
///
/// /// Takes any stream of text, however it was made.
/// fn shout<C: Chain<Out = String>>(lines: Stream<String, C>) -> Stream<String> {
///     lines.map(|line| line.to_uppercase()).stage("shout")
/// }
///
/// /// What the engine sees of a chain: records pushed in, and what comes out.
/// #[derive(Clone)]
/// struct Twice;
/// impl Chain for Twice {
///     type In = char;
///     type Out = char;
///     fn push(&mut self, time: Timestamp, record: char, emit: &mut impl FnMut(Timestamp, char)) {
///         emit(time, record);
///         emit(time, record);
///     }
/// }
/// let mut out = String::new();
/// Twice.push(0, 'a', &mut |_, letter| out.push(letter));
/// assert_eq!(out, "aa");
/// # let job = Job::new("doc");
/// # let (sink, lines) = collect();
/// # shout(job.source("lines", from_vec(vec!["a".to_owned()]))).sink("out", sink);
/// # job.run(Config::new().cores(1))?;
/// # assert_eq!(lines.take(), ["A"]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait Chain: Clone + Send + 'static {
    /// What goes in.
    type In: Send + 'static;
    /// What comes out.
    type Out: Send + 'static;
    /// Pushes one record through, emitting any number of them.
    fn push(&mut self, time: Timestamp, record: Self::In, emit: &mut impl FnMut(Timestamp, Self::Out));
}

/// The beginning of a chain: records as a stage emits them. `Tag` tells what kind of stage that is, for the
/// methods that only its streams have.
pub struct Identity<T, Tag = ()>(PhantomData<fn() -> (T, Tag)>);

/// The chain of a stream that comes right out of a stage.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::stream::chain::Origin;
///
/// fn same(stream: Stream<u64>) -> Stream<u64, Origin<u64>> {
///     stream
/// }
/// # let job = Job::new("doc");
/// # let (sink, out) = collect();
/// same(job.source("numbers", from_vec(vec![1])).stage("plain")).sink("out", sink);
/// # job.run(Config::new().cores(1))?;
/// # assert_eq!(out.take(), [1]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub type Origin<T> = Identity<T, ()>;

impl<T, Tag> Identity<T, Tag> {
    pub(crate) fn new() -> Identity<T, Tag> {
        Identity(PhantomData)
    }
}

impl<T, Tag> Clone for Identity<T, Tag> {
    fn clone(&self) -> Self {
        Identity(PhantomData)
    }
}

impl<T: Send + 'static, Tag: 'static> Chain for Identity<T, Tag> {
    type In = T;
    type Out = T;
    #[inline]
    fn push(&mut self, time: Timestamp, record: T, emit: &mut impl FnMut(Timestamp, T)) {
        emit(time, record);
    }
}

/// A chain, then a function of each record.
#[derive(Clone)]
pub struct Map<C, F> {
    pub(crate) before: C,
    pub(crate) function: F,
}

impl<C, F, U> Chain for Map<C, F>
where
    C: Chain,
    U: Send + 'static,
    F: Fn(C::Out) -> U + Clone + Send + 'static,
{
    type In = C::In;
    type Out = U;
    #[inline]
    fn push(&mut self, time: Timestamp, record: C::In, emit: &mut impl FnMut(Timestamp, U)) {
        let Map { before, function } = self;
        before.push(time, record, &mut |time, record| emit(time, function(record)));
    }
}

/// A chain, then only the records that a predicate accepts.
#[derive(Clone)]
pub struct Filter<C, F> {
    pub(crate) before: C,
    pub(crate) predicate: F,
}

impl<C, F> Chain for Filter<C, F>
where
    C: Chain,
    F: Fn(&C::Out) -> bool + Clone + Send + 'static,
{
    type In = C::In;
    type Out = C::Out;
    #[inline]
    fn push(&mut self, time: Timestamp, record: C::In, emit: &mut impl FnMut(Timestamp, C::Out)) {
        let Filter { before, predicate } = self;
        before.push(time, record, &mut |time, record| {
            if predicate(&record) {
                emit(time, record);
            }
        });
    }
}

/// A chain, then any number of records for each.
#[derive(Clone)]
pub struct FlatMap<C, F> {
    pub(crate) before: C,
    pub(crate) function: F,
}

impl<C, F, I> Chain for FlatMap<C, F>
where
    C: Chain,
    I: IntoIterator,
    I::Item: Send + 'static,
    F: Fn(C::Out) -> I + Clone + Send + 'static,
{
    type In = C::In;
    type Out = I::Item;
    #[inline]
    fn push(&mut self, time: Timestamp, record: C::In, emit: &mut impl FnMut(Timestamp, I::Item)) {
        let FlatMap { before, function } = self;
        before.push(time, record, &mut |time, record| {
            function(record).into_iter().for_each(|out| emit(time, out));
        });
    }
}
