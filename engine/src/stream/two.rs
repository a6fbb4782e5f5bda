//! Two keyed streams as the inputs of one step.

use std::sync::Arc;

use crate::exchange::codec::sides;
use crate::exchange::edge::Edge;
use crate::graph::SharedGraph;
use crate::key::Key;
use crate::operator::process::{Declare, Process};
use crate::operator::sides::Sides;
use crate::reference::{Compute, Processed};
use crate::stream::Keyed;
use crate::stream::chain::Chain;
use crate::stream::process::{ProcessResults, ProcessStep};

/// A record of one of two inputs.
///
/// ```
/// use millstream::stream::Either;
///
/// /// An order, or its payment.
/// type Input = Either<(u64, String), u64>;
///
/// fn order_of(input: &Input) -> u64 {
///     match input {
///         Either::Left((order, _)) => *order,
///         Either::Right(paid) => *paid,
///     }
/// }
/// assert_eq!(order_of(&Either::Left((7, "tea".to_owned()))), order_of(&Either::Right(7)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Either<L, R> {
    /// Of the stream that the step was called on.
    Left(L),
    /// Of the other one.
    Right(R),
}

/// Two keyed streams, attached to the step that is about to be made.
pub(crate) struct TwoInputs<L, R, F> {
    pub graph: SharedGraph,
    pub edges: Vec<Arc<Edge<Either<L, R>>>>,
    pub key: F,
    pub left: Compute<L>,
    pub right: Compute<R>,
}

/// Both streams as one input, each routed by its own key: the step's intake merges their watermarks and aligns their
/// barriers.
pub(crate) fn two_inputs<K, L, R, C, D, F, G>(
    left: Keyed<K, L, C, F>,
    right: Keyed<K, R, D, G>,
) -> TwoInputs<L, R, impl Fn(&Either<L, R>) -> K + Clone + Send + 'static>
where
    K: Key,
    L: Send + 'static,
    R: Send + 'static,
    C: Chain<Out = L>,
    D: Chain<Out = R>,
    F: Fn(&L) -> K + Clone + Send + 'static,
    G: Fn(&R) -> K + Clone + Send + 'static,
{
    let (of_left, of_right) = (left.key, right.key);
    let key = move |record: &Either<L, R>| match record {
        Either::Left(record) => of_left(record),
        Either::Right(record) => of_right(record),
    };
    let graph = left.stream.graph.clone();
    let computes = (left.stream.compute.clone(), right.stream.compute.clone());
    let [of_left, of_right] = sides(left.codec, right.codec);
    let left = left.stream.map(Either::Left).by_key(key.clone(), of_left);
    let right = right.stream.map(Either::Right).by_key(key.clone(), of_right);
    TwoInputs { graph, edges: vec![left, right], key, left: computes.0, right: computes.1 }
}

impl<L, R, F> TwoInputs<L, R, F>
where
    L: Send + 'static,
    R: Send + 'static,
{
    /// Runs a process function of ours over both. `compute` is what the reference expects of it, where nothing goes to the
    /// side; `kind` and `settings` are what a checkpoint remembers of it besides its state.
    pub(crate) fn process<P>(
        self,
        name: &str,
        (kind, settings): (&str, &[(&str, String)]),
        process: P,
        compute: Compute<P::Out>,
    ) -> ProcessResults<P::Out>
    where
        P: Process<In = Either<L, R>>,
        F: Fn(&Either<L, R>) -> P::Key + Clone + Send + 'static,
    {
        let TwoInputs { graph, edges, key, .. } = self;
        let step = ProcessStep { graph, name, kind, settings, edges };
        let of = process.clone();
        step.run(process, key, move |inputs| {
            let (mut declare, mut sides) = (Declare::default(), Sides::default());
            of.declare(&mut declare);
            declare.sides().iter().for_each(|side| side.add_batch(&mut sides));
            Processed { results: compute(inputs), sides }
        })
    }
}
