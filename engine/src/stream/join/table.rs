//! Joining two tables that change.

use std::rc::Rc;

use crate::key::Key;
use crate::operator::join::shape::Shape;
use crate::operator::join::table::TableJoin;
use crate::reference::{self, Compute};
use crate::state::StateValue;
use crate::stream::chain::Chain;
use crate::stream::two::two_inputs;
use crate::stream::{Change, Keyed, Stream};

impl<K, L, C, F> Keyed<K, Change<L>, C, F>
where
    K: Key,
    L: StateValue + Clone + Send,
    C: Chain<Out = Change<L>>,
    F: Fn(&Change<L>) -> K + Clone + Send + 'static,
{
    /// The join of two tables by key, as the changelog of the resulting table: [`Inner`](crate::join::Inner),
    /// [outer](crate::join::FullOuter), [semi](crate::join::Semi) or [anti](crate::join::Anti). All rows are kept for as
    /// long as they are in the table. The name is for ever: state is found by it.
    ///
    /// Rows are equal if their archives are, and up to 2,000 bytes long there.
    ///
    /// # Errors
    /// The job ends with an error if a row is taken back that is not there, or is too long.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::join::LeftOuter;
    ///
    /// let job = Job::new("doc");
    /// let (sink, changes) = collect();
    /// let people = job.source("people", from_vec(vec![Change::insert((1_u64, 'a')), Change::insert((2, 'b'))]));
    /// let cats = job.source("cats", from_vec(vec![Change::insert((2_u64, 't')), Change::delete((2, 't'))]));
    /// people
    ///     .key_by(|person| person.row.0)
    ///     .table_join("owned", cats.key_by(|cat| cat.row.0), LeftOuter)
    ///     .map_rows(|(person, cat)| (person.1, cat.map(|cat| cat.1)))
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// let table: Table<_> = changes.take().into_iter().collect();
    /// assert_eq!(table.into_rows(), [('a', None), ('b', None)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn table_join<R, D, G, S>(
        self,
        name: &str,
        right: Keyed<K, Change<R>, D, G>,
        shape: S,
    ) -> Stream<Change<S::Out>>
    where
        R: StateValue + Clone + Send,
        D: Chain<Out = Change<R>>,
        G: Fn(&Change<R>) -> K + Clone + Send + 'static,
        S: Shape<L, R>,
    {
        self.table_join_on(name, right, shape, |_, _| true)
    }

    /// As [`Keyed::table_join`], where rows with equal keys meet only if a condition holds. It must be pure.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::join::Anti;
    ///
    /// let job = Job::new("doc");
    /// let (sink, unsold) = collect();
    /// let asks = job.source("asks", from_vec(vec![(1_u64, 30), (1, 10)])).insertions();
    /// let bids = job.source("bids", from_vec(vec![(1_u64, 20)])).insertions();
    /// asks.key_by(|ask| ask.row.0)
    ///     .table_join_on("unsold", bids.key_by(|bid| bid.row.0), Anti, |ask, bid| ask.1 <= bid.1)
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// let table: Table<_> = unsold.take().into_iter().collect();
    /// assert_eq!(table.into_rows(), [(1, 30)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn table_join_on<R, D, G, S, O>(
        self,
        name: &str,
        right: Keyed<K, Change<R>, D, G>,
        _: S,
        on: O,
    ) -> Stream<Change<S::Out>>
    where
        R: StateValue + Clone + Send,
        D: Chain<Out = Change<R>>,
        G: Fn(&Change<R>) -> K + Clone + Send + 'static,
        S: Shape<L, R>,
        O: Fn(&L, &R) -> bool + Clone + Send + 'static,
    {
        let (of_left, of_right) = (self.key.clone(), right.key.clone());
        let inputs = two_inputs(self, right);
        let (left, right) = (inputs.left.clone(), inputs.right.clone());
        let meets = on.clone();
        let compute: Compute<Change<S::Out>> = Rc::new(move |inputs| {
            let meet = |l: &Change<L>, r: &Change<R>| of_left(l) == of_right(r) && meets(&l.row, &r.row);
            reference::join::tables::<L, R, S>(left(inputs), right(inputs), &meet)
        });
        let settings = [("shape", S::NAME.to_owned())];
        let join = TableJoin::<K, L, R, S, O>::new(on);
        inputs.process(name, ("table join", &settings), join, compute.clone()).expecting(compute)
    }
}
