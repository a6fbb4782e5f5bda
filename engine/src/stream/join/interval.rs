//! Joining records that are close in time.

use std::rc::Rc;

use crate::key::Key;
use crate::operator::join::interval::{IntervalJoin, Within};
use crate::reference::{self, Compute};
use crate::state::StateValue;
use crate::stream::chain::Chain;
use crate::stream::two::two_inputs;
use crate::stream::{Keyed, ProcessResults};

impl<K, L, C, F> Keyed<K, L, C, F>
where
    K: Key,
    L: StateValue + Clone + Send,
    C: Chain<Out = L>,
    F: Fn(&L) -> K + Clone + Send + 'static,
{
    /// Pairs of records of the two streams with equal keys, the right one [within](Within) some time of the left one. A
    /// pair is emitted when its second record comes, and carries the greater time of the two. The name is for ever: state
    /// is found by it.
    ///
    /// A record that is behind the watermark is late: it goes to the side output [`late_left`](crate::join::late_left) or
    /// [`late_right`](crate::join::late_right).
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, pairs) = collect();
    /// let asked = job
    ///     .source("questions", from_vec(vec![(1_000, 7_u64), (9_000, 8)]))
    ///     .event_time(|question| question.0, Watermarks::monotonous())
    ///     .key_by(|question| question.1);
    /// let answered = job
    ///     .source("answers", from_vec(vec![(1_500, 7_u64), (3_500, 7), (9_500, 8)]))
    ///     .event_time(|answer| answer.0, Watermarks::monotonous())
    ///     .key_by(|answer| answer.1);
    /// asked
    ///     .interval_join("answered", answered, Within::secs(0..=2))
    ///     .map(|(question, answer)| (question.1, answer.0 - question.0))
    ///     .sink("after", sink);
    /// job.run(Config::new().cores(1))?;
    ///
    /// let mut pairs = pairs.take();
    /// pairs.sort();
    /// assert_eq!(pairs, [(7, 500), (8, 500)], "one answer came more than two seconds after its question");
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn interval_join<R, D, G>(
        self,
        name: &str,
        right: Keyed<K, R, D, G>,
        within: Within,
    ) -> ProcessResults<(L, R)>
    where
        R: StateValue + Clone + Send,
        D: Chain<Out = R>,
        G: Fn(&R) -> K + Clone + Send + 'static,
    {
        let (of_left, of_right) = (self.key.clone(), right.key.clone());
        let inputs = two_inputs(self, right);
        let (left, right) = (inputs.left.clone(), inputs.right.clone());
        let compute: Compute<(L, R)> = Rc::new(move |inputs| {
            reference::join::interval(left(inputs), right(inputs), &of_left, &of_right, within.bounds())
        });
        let (lo, hi) = within.bounds();
        let settings = [("within", format!("{lo} ms to {hi} ms"))];
        inputs.process(name, ("interval join", &settings), IntervalJoin::new(within), compute)
    }
}
