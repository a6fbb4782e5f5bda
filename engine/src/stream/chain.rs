//! Fused chains: the stateless steps between two stages, compiled into one loop.

use std::marker::PhantomData;

use crate::time::Timestamp;

/// A composition of stateless steps from `In` to `Out`. Users meet it only as an inferred type parameter, like
/// that of an iterator.
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
