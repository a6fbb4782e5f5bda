//! Joining all records of two streams.

use std::rc::Rc;

use crate::key::Key;
use crate::operator::join::append::AppendJoin;
use crate::reference::{self, Compute};
use crate::state::StateValue;
use crate::stream::chain::Chain;
use crate::stream::two::two_inputs;
use crate::stream::{Keyed, Stream};

impl<K, L, C, F> Keyed<K, L, C, F>
where
    K: Key,
    L: StateValue + Clone + Send,
    C: Chain<Out = L>,
    F: Fn(&L) -> K + Clone + Send + 'static,
{
    /// Every pair of records of the two streams with equal keys, emitted when its second record comes, with
    /// the greater time of the two. All records are kept for ever; where changes can take rows back it is [`Keyed::table_join`] that joins them,
    /// and [`Keyed::interval_join`] where the two must be close in time. The name is for ever: state is found by it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, owned) = collect();
    /// let people = job.source("people", from_vec(vec![(1_u64, "ada".to_owned()), (2, "bob".to_owned())]));
    /// let cats = job.source("cats", from_vec(vec![("tom".to_owned(), 2_u64), ("kit".to_owned(), 2)]));
    /// people
    ///     .key_by(|person| person.0)
    ///     .join("owned", cats.key_by(|cat| cat.1))
    ///     .map(|(person, cat)| (person.1, cat.0))
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(2))?;
    /// let mut owned = owned.take();
    /// owned.sort();
    /// assert_eq!(owned, [("bob", "kit"), ("bob", "tom")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn join<R, D, G>(self, name: &str, right: Keyed<K, R, D, G>) -> Stream<(L, R)>
    where
        R: StateValue + Clone + Send,
        D: Chain<Out = R>,
        G: Fn(&R) -> K + Clone + Send + 'static,
    {
        let (of_left, of_right) = (self.key.clone(), right.key.clone());
        let inputs = two_inputs(self, right);
        let (left, right) = (inputs.left.clone(), inputs.right.clone());
        let compute: Compute<(L, R)> =
            Rc::new(move |inputs| reference::join::append(left(inputs), right(inputs), &of_left, &of_right));
        inputs.process(name, ("join", &[]), AppendJoin::new(), compute.clone()).expecting(compute)
    }
}
