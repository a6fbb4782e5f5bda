//! One record per key: the one that comes first.

use std::marker::PhantomData;
use std::rc::Rc;

use crate::key::Key;
use crate::operator::process::{Context, Declare, Process};
use crate::reference::{self, Compute};
use crate::state::{Ttl, Value};
use crate::stream::chain::Chain;
use crate::stream::ready::expiring;
use crate::stream::{Keyed, Stream};

struct Distinct<K, T> {
    ttl: Option<Ttl>,
    of: PhantomData<fn() -> (K, T)>,
}

impl<K, T> Clone for Distinct<K, T> {
    fn clone(&self) -> Self {
        Distinct { ttl: self.ttl, of: PhantomData }
    }
}

impl<K: Key, T: Send + 'static> Process for Distinct<K, T> {
    type Key = K;
    type In = T;
    type Out = T;
    type State = Value<u8>;

    fn declare(&self, state: &mut Declare) -> Value<u8> {
        expiring!(state.value("seen"), self.ttl)
    }

    fn on_record(&mut self, record: T, seen: &Value<u8>, cx: &mut Context<'_, Self>) {
        if seen.get(cx).is_none() {
            seen.set(cx, &1);
            cx.emit(record);
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
    /// The record of each key that comes first; those after it are dropped. Which is the first by event time is known
    /// later only: see [`Keyed::deduplicate`]. The name is for ever: state is found by it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, words) = collect();
    /// job.source("words", from_vec(vec!["to", "be", "to"]))
    ///     .key_by(|word| word.to_string())
    ///     .distinct("words once")
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(words.take(), ["to", "be"]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn distinct(self, name: &str) -> Stream<T> {
        let (up, key, ttl) = (self.stream.compute.clone(), self.key.clone(), self.ttl);
        let stream = self.process(name, Distinct { ttl, of: PhantomData });
        let compute: Compute<T> = Rc::new(move |inputs| reference::ready::distinct(up(inputs), &key));
        stream.expecting(compute)
    }
}
