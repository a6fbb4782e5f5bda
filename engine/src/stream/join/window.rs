//! Joining what two streams have in the same windows.

use std::rc::Rc;

use crate::key::Key;
use crate::operator::join::shape::Shape;
use crate::operator::join::window::{Grouped, Paired, Together, WindowJoin};

use crate::operator::window::{Assign, Window, Windowed};
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
    /// The join of what the two streams have in each window of a key: [`Inner`](crate::join::Inner),
    /// [outer](crate::join::FullOuter), [semi](crate::join::Semi) or [anti](crate::join::Anti). It comes when the watermark
    /// passes the window's end, with the window's last timestamp, and all of it again with each record that comes within
    /// the allowed lateness. Later ones go to the side outputs [`late_left`](crate::join::late_left) and
    /// [`late_right`](crate::join::late_right). The windows may overlap, but must hold the time of their records and depend
    /// on nothing else: sessions are not among them. The name is for ever: state is found by it.
    ///
    /// # Panics
    /// If the windows merge.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::join::FullOuter;
    ///
    /// let job = Job::new("doc");
    /// let (sink, both) = collect();
    /// let source = |name, records: Vec<(i64, char)>| {
    ///     job.source(name, from_vec(records)).event_time(|r| r.0, Watermarks::monotonous()).key_by(|_| 7_u64)
    /// };
    /// let letters = source("letters", vec![(1, 'a'), (2, 'b'), (11, 'c')]);
    /// let signs = source("signs", vec![(3, '!'), (25, '?')]);
    /// letters
    ///     .window_join("both", signs, Tumbling::of(millis(10)), FullOuter)
    ///     .map(|w| (w.window.start, w.value.0.map(|l| l.1), w.value.1.map(|s| s.1)))
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// let some = Some::<char>;
    /// assert_eq!(both.take(), [
    ///     (0, some('a'), some('!')),
    ///     (0, some('b'), some('!')),
    ///     (10, some('c'), None),
    ///     (20, None, some('?')),
    /// ]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn window_join<R, D, G, W, S>(
        self,
        name: &str,
        right: Keyed<K, R, D, G>,
        windows: W,
        shape: S,
    ) -> ProcessResults<Windowed<K, S::Out>>
    where
        R: StateValue + Clone + Send,
        D: Chain<Out = R>,
        G: Fn(&R) -> K + Clone + Send + 'static,
        W: Assign<()>,
        S: Shape<L, R>,
    {
        self.in_windows(name, right, windows, (S::NAME, Paired(shape)))
    }

    /// All that the two streams have in each window of a key, each in the order of time, through a function; see
    /// [`Keyed::window_join`].
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// let numbers = |name, numbers: Vec<i64>| {
    ///     job.source(name, from_vec(numbers)).event_time(|n| *n, Watermarks::monotonous()).key_by(|_| 'k')
    /// };
    /// numbers("asks", vec![1, 3, 12])
    ///     .co_group("imbalance", numbers("bids", vec![2, 15, 16]), Tumbling::of(millis(10)), |_, asks, bids| {
    ///         [asks.len() as i64 - bids.len() as i64]
    ///     })
    ///     .map(|w| w.value)
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(out.take(), [1, -1]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn co_group<R, D, G, W, I, H>(
        self,
        name: &str,
        right: Keyed<K, R, D, G>,
        windows: W,
        function: H,
    ) -> ProcessResults<Windowed<K, I::Item>>
    where
        R: StateValue + Clone + Send,
        D: Chain<Out = R>,
        G: Fn(&R) -> K + Clone + Send + 'static,
        W: Assign<()>,
        I: IntoIterator,
        I::Item: Send + 'static,
        H: Fn(Window, &[L], &[R]) -> I + Clone + Send + 'static,
    {
        self.in_windows(name, right, windows, ("co-group", Grouped(function)))
    }

    fn in_windows<R, D, G, W, T>(
        self,
        name: &str,
        right: Keyed<K, R, D, G>,
        windows: W,
        (shape, together): (&str, T),
    ) -> ProcessResults<Windowed<K, T::Out>>
    where
        R: StateValue + Clone + Send,
        D: Chain<Out = R>,
        G: Fn(&R) -> K + Clone + Send + 'static,
        W: Assign<()>,
        T: Together<L, R>,
    {
        let (of_left, of_right) = (self.key.clone(), right.key.clone());
        let inputs = two_inputs(self, right);
        let (left, right) = (inputs.left.clone(), inputs.right.clone());
        let (of, assign) = (together.clone(), windows.clone());
        let compute: Compute<Windowed<K, T::Out>> = Rc::new(move |inputs| {
            let together = |window, l: &[L], r: &[R]| {
                let mut results = Vec::new();
                of.together(window, l, r, &mut |result| results.push(result));
                results
            };
            let windows_of = |at| {
                let mut windows = Vec::new();
                assign.assign(at, &(), &mut windows);
                windows
            };
            let (left, right) = (left(inputs), right(inputs));
            reference::join::windows(left, right, (&of_left, &of_right), &windows_of, &together)
        });
        let settings = [("shape", shape.to_owned()), ("windows", windows.describe())];
        inputs.process(name, ("window join", &settings), WindowJoin::new(windows, together), compute)
    }
}
