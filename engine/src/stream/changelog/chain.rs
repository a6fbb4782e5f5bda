//! The stateless steps of changelogs.

use crate::stream::chain::Chain;
use crate::stream::changelog::Change;
use crate::time::Timestamp;

/// A chain, and each record as a new row.
#[derive(Clone)]
pub struct Insertions<C>(pub(super) C);

impl<C: Chain> Chain for Insertions<C> {
    type In = C::In;
    type Out = Change<C::Out>;
    #[inline]
    fn push(&mut self, time: Timestamp, record: C::In, emit: &mut impl FnMut(Timestamp, Change<C::Out>)) {
        self.0.push(time, record, &mut |time, row| emit(time, Change::insert(row)));
    }
}

/// A chain, then a function of each row.
#[derive(Clone)]
pub struct MapRows<C, F> {
    pub(super) before: C,
    pub(super) function: F,
}

impl<C, F, T, U> Chain for MapRows<C, F>
where
    C: Chain<Out = Change<T>>,
    U: Send + 'static,
    F: Fn(T) -> U + Clone + Send + 'static,
{
    type In = C::In;
    type Out = Change<U>;
    #[inline]
    fn push(&mut self, time: Timestamp, record: C::In, emit: &mut impl FnMut(Timestamp, Change<U>)) {
        let MapRows { before, function } = self;
        before.push(time, record, &mut |time, change| emit(time, change.map(&*function)));
    }
}

/// A chain, then only the changes of the rows that a predicate accepts.
#[derive(Clone)]
pub struct FilterRows<C, F> {
    pub(super) before: C,
    pub(super) predicate: F,
}

impl<C, F, T> Chain for FilterRows<C, F>
where
    C: Chain<Out = Change<T>>,
    T: Send + 'static,
    F: Fn(&T) -> bool + Clone + Send + 'static,
{
    type In = C::In;
    type Out = Change<T>;
    #[inline]
    fn push(&mut self, time: Timestamp, record: C::In, emit: &mut impl FnMut(Timestamp, Change<T>)) {
        let FilterRows { before, predicate } = self;
        before.push(time, record, &mut |time, change: Change<T>| {
            if predicate(&change.row) {
                emit(time, change);
            }
        });
    }
}
