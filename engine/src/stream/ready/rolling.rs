//! Running results: what an aggregate has come to, with every record.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::aggregate::Aggregate;
use crate::key::Key;
use crate::operator::process::{Context, Declare, Process};
use crate::reference::{self, Compute};
use crate::state::{StateValue, Ttl, Value};
use crate::stream::batch::{Last, Mode};
use crate::stream::chain::Chain;
use crate::stream::ready::expiring;
use crate::stream::{Keyed, Stream};
use crate::time::Timestamp;

#[derive(Clone)]
struct Reduce<K, T, R> {
    combine: R,
    ttl: Option<Ttl>,
    mode: Mode,
    of: PhantomData<fn() -> (K, T)>,
}

impl<K, T, R> Process for Reduce<K, T, R>
where
    K: Key,
    T: StateValue + Clone + Send,
    R: Fn(&mut T, &T) + Clone + Send + 'static,
{
    type Key = K;
    type In = T;
    type Out = T;
    type State = (Value<T>, Last);

    fn declare(&self, state: &mut Declare) -> (Value<T>, Last) {
        (expiring!(state.value("value"), self.ttl), self.mode.declare(state))
    }

    fn on_record(&mut self, record: T, (value, last): &(Value<T>, Last), cx: &mut Context<'_, Self>) {
        // The first of a key is the value, any other is combined with it.
        let record = Cell::new(Some(record));
        let take = || record.take().expect("the state is asked for a first value once");
        let now = value.update_or(cx, take, |now| {
            if let Some(record) = record.take() {
                (self.combine)(now, &record);
            }
            now.clone()
        });
        if !last.put_off(cx) {
            cx.emit(now);
        }
    }

    fn on_timer(&mut self, _: Timestamp, (value, last): &(Value<T>, Last), cx: &mut Context<'_, Self>) {
        last.recall(cx);
        if let Some(now) = value.load(cx) {
            cx.emit(now);
        }
    }
}

#[derive(Clone)]
struct Rolling<K, A> {
    aggregate: A,
    ttl: Option<Ttl>,
    mode: Mode,
    of: PhantomData<fn() -> K>,
}

impl<K: Key, A: Aggregate> Process for Rolling<K, A> {
    type Key = K;
    type In = A::In;
    type Out = (K, A::Out);
    type State = (Value<A::Acc>, Last);

    fn declare(&self, state: &mut Declare) -> Self::State {
        (expiring!(state.value("accumulator"), self.ttl), self.mode.declare(state))
    }

    fn on_record(&mut self, record: A::In, (acc, last): &Self::State, cx: &mut Context<'_, Self>) {
        let aggregate = &self.aggregate;
        if last.put_off(cx) {
            return acc.update(cx, |acc| aggregate.add(acc, &record));
        }
        let result = acc.update(cx, |acc| {
            aggregate.add(acc, &record);
            aggregate.finish(acc)
        });
        cx.emit((cx.key().clone(), result));
    }

    fn on_timer(&mut self, _: Timestamp, (acc, last): &Self::State, cx: &mut Context<'_, Self>) {
        last.recall(cx);
        if let Some(acc) = acc.load(cx) {
            cx.emit((cx.key().clone(), self.aggregate.finish(&acc)));
        }
    }
}

impl<K, T, C, F> Keyed<K, T, C, F>
where
    K: Key,
    T: Send + 'static,
    C: Chain<Out = T>,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    /// Combines the records of each key by a function, from the first on, and emits what that gives with every record. The
    /// name is for ever: state is found by it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, balance) = collect();
    /// job.source("payments", from_vec(vec![10, -3, 5]))
    ///     .key_by(|_| 'k')
    ///     .reduce("balance", |balance, payment| *balance += payment)
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(balance.take(), [10, 7, 12]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn reduce<R>(self, name: &str, combine: R) -> Stream<T>
    where
        T: StateValue + Clone,
        R: Fn(&mut T, &T) + Clone + Send + 'static,
    {
        let (up, key, ttl) = (self.stream.compute.clone(), self.key.clone(), self.ttl);
        let mode = self.stream.graph.borrow().mode.clone();
        let stream = self.process(name, Reduce { combine: combine.clone(), ttl, mode, of: PhantomData });
        let compute: Compute<T> = Rc::new(move |inputs| reference::ready::reduce(up(inputs), &key, &combine));
        stream.expecting(compute)
    }

    /// Aggregates the records of each key from the first on, and emits what that has come to with every record. The name is
    /// for ever: state is found by it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// #[derive(Clone)]
    /// struct Count;
    /// impl Aggregate for Count {
    ///     type In = char;
    ///     type Acc = u64;
    ///     type Out = u64;
    ///     fn add(&self, count: &mut u64, _: &char) {
    ///         *count += 1;
    ///     }
    ///     fn finish(&self, count: &u64) -> u64 {
    ///         *count
    ///     }
    /// }
    ///
    /// let job = Job::new("doc");
    /// let (sink, counts) = collect();
    /// job.source("letters", from_vec(vec!['a', 'b', 'a']))
    ///     .key_by(|letter| *letter)
    ///     .aggregate("count", Count)
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(counts.take(), [('a', 1), ('b', 1), ('a', 2)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn aggregate<A>(self, name: &str, aggregate: A) -> Stream<(K, A::Out)>
    where
        A: Aggregate<In = T>,
    {
        let (up, key, ttl) = (self.stream.compute.clone(), self.key.clone(), self.ttl);
        let mode = self.stream.graph.borrow().mode.clone();
        let stream = self.process(name, Rolling { aggregate: aggregate.clone(), ttl, mode, of: PhantomData });
        let compute: Compute<(K, A::Out)> =
            Rc::new(move |inputs| reference::ready::aggregate(up(inputs), &key, &aggregate));
        stream.expecting(compute)
    }
}
