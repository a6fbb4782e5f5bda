//! Joining records with what was in force at their time.

use std::rc::Rc;

use crate::key::Key;
use crate::operator::join::shape::Shape;
use crate::operator::join::temporal::TemporalJoin;
use crate::reference::{self, Compute};
use crate::state::StateValue;
use crate::stream::chain::Chain;
use crate::stream::two::two_inputs;
use crate::stream::{Change, Keyed, ProcessResults};

impl<K, L, C, F> Keyed<K, L, C, F>
where
    K: Key,
    L: StateValue + Clone + Send,
    C: Chain<Out = L>,
    F: Fn(&L) -> K + Clone + Send + 'static,
{
    /// Each record with the version of a table's row that was in force at its time ("as of"): the right stream is a
    /// changelog with at most one row per key, whose changes are in force from their event time on. A record comes out,
    /// with its own time, when the watermark has passed that: then the version is known. The shape says what comes of
    /// records without a version, or with one that was deleted: [`Inner`](crate::join::Inner) drops them,
    /// [`LeftOuter`](crate::join::LeftOuter) keeps them. The name is for ever: state is found by it.
    ///
    /// A record that is late still gets its version while that is kept; else it goes to the side output
    /// [`late_left`](crate::join::late_left). A version that is older than one that the watermark has passed goes to
    /// [`late_right`](crate::join::late_right).
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::join::LeftOuter;
    ///
    /// let job = Job::new("doc");
    /// let (sink, amounts) = collect();
    /// let rates = job
    ///     .source("rates", from_vec(vec![(10_i64, "EUR", 114_u64), (20, "EUR", 116)]))
    ///     .event_time(|rate| rate.0, Watermarks::monotonous())
    ///     .map(|(_, currency, rate)| (currency.to_owned(), rate))
    ///     .insertions()
    ///     .key_by(|rate| rate.row.0.clone());
    /// let orders = job
    ///     .source("orders", from_vec(vec![(9_i64, "EUR", 2_u64), (15, "EUR", 3), (20, "EUR", 4)]))
    ///     .event_time(|order| order.0, Watermarks::monotonous())
    ///     .map(|(_, currency, amount)| (currency.to_owned(), amount))
    ///     .key_by(|order| order.0.clone());
    /// orders
    ///     .temporal_join("converted", rates, LeftOuter)
    ///     .map(|(order, rate)| rate.map(|rate| order.1 * rate.1))
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(2))?;
    /// assert_eq!(amounts.take(), [None, Some(3 * 114), Some(4 * 116)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn temporal_join<R, D, G, S>(
        self,
        name: &str,
        versions: Keyed<K, Change<R>, D, G>,
        _: S,
    ) -> ProcessResults<S::Out>
    where
        R: Clone + Send + 'static,
        Option<R>: StateValue,
        D: Chain<Out = Change<R>>,
        G: Fn(&Change<R>) -> K + Clone + Send + 'static,
        S: Shape<L, R>,
    {
        let (of_left, of_right) = (self.key.clone(), versions.key.clone());
        let inputs = two_inputs(self, versions);
        let (left, right) = (inputs.left.clone(), inputs.right.clone());
        let compute: Compute<S::Out> = Rc::new(move |inputs| {
            let same = |l: &L, r: &Change<R>| of_left(l) == of_right(r);
            reference::join::temporal::<L, R, S>(left(inputs), right(inputs), &same)
        });
        let settings = [("shape", S::NAME.to_owned())];
        inputs.process(name, ("temporal join", &settings), TemporalJoin::<K, L, R, S>::new(), compute)
    }
}
