//! Process functions in the graph: over a keyed stream, over two of them, or beside a broadcast stream.

use std::any::Any;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::checkpoint::manifest::Schema;
use crate::exchange::edge::Edge;
use crate::exchange::outlet::{OutletSpec, SharedOutlet};
use crate::graph::{Layout, Node, SharedGraph};
use crate::operator::Operator;
use crate::operator::process::broadcast::BroadcastOperator;
use crate::operator::process::operator::Opened;
use crate::operator::process::{BroadcastProcess, Declare, OutputTag, Process, ProcessOperator};
use crate::operator::sides::SideSpecs;
use crate::reference::{self, Compute, Inputs, Processed};
use crate::state::restore::open_state;
use crate::stream::chain::Identity;
use crate::stream::seeds::OperatorSpec;
use crate::stream::two::Either;
use crate::stream::{Extra, Stream};

/// The tag of a stream that comes right out of a process function.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::stream::chain::Identity;
/// use millstream::stream::{FromProcess, ProcessResults};
///
/// /// `ProcessResults`, spelled out.
/// type Same = Stream<u64, Identity<u64, FromProcess>>;
/// let same: fn(ProcessResults<u64>) -> Same = |results| results;
/// # let _ = same;
/// ```
pub struct FromProcess;

/// What a process function emits, and, by tag, its side outputs.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::stream::ProcessResults;
///
/// const REFUSED: OutputTag<String> = OutputTag::new("refused");
///
/// fn split(results: ProcessResults<u64>) -> (Stream<u64>, Stream<String>) {
///     let refused = results.side(REFUSED);
///     (results.stage("accepted"), refused)
/// }
/// # let _ = split;
/// ```
pub type ProcessResults<T> = Stream<T, Identity<T, FromProcess>>;

/// What the side outputs of a process function are made of.
struct Outlets {
    step: String,
    /// By name: the place, and the `SharedOutlet` of whatever type.
    by_name: BTreeMap<&'static str, (usize, Rc<dyn Any>)>,
    /// What the reference has in them.
    compute: Rc<dyn Fn(&Inputs) -> crate::operator::sides::Sides>,
}

impl<T: Send + 'static> ProcessResults<T> {
    /// The side output of this tag; [`OutputTag`] has an example.
    ///
    /// # Panics
    /// If the process function has declared none of this name and type.
    pub fn side<S: Send + 'static>(&self, tag: OutputTag<S>) -> Stream<S> {
        let extra = self.extra.clone().expect("a process function's stream knows its side outputs");
        let outlets: Rc<Outlets> = extra.downcast().expect("a process function's stream has its tag");
        let found = outlets
            .by_name
            .get(tag.name())
            .and_then(|(place, outlet)| Some((*place, outlet.downcast_ref::<SharedOutlet<S>>()?.clone())));
        let Some((place, outlet)) = found else {
            panic!(
                "step `{}` has not declared a side output `{}` of {}; declare it by `state.side(..)`",
                outlets.step,
                tag.name(),
                std::any::type_name::<S>()
            )
        };
        let all = outlets.compute.clone();
        let compute: Compute<S> = Rc::new(move |inputs| reference::events(all(inputs).batch::<S>(place)));
        Stream { graph: self.graph.clone(), outlet, chain: Identity::new(), compute, extra: None }
    }
}

impl<T: Send + 'static> ProcessResults<T> {
    /// The results of a function of ours without side outputs, of which the reference expects something else than what
    /// the function itself would make.
    pub(crate) fn expecting(self, compute: Compute<T>) -> Stream<T> {
        let Stream { graph, outlet, .. } = self;
        Stream { graph, outlet, chain: Identity::new(), compute, extra: None }
    }
}

/// A step that is about to be made.
pub(crate) struct ProcessStep<'a, In> {
    pub graph: SharedGraph,
    pub name: &'a str,
    /// What kind of step a checkpoint remembers, and what besides its state.
    pub kind: &'a str,
    pub settings: &'a [(&'a str, String)],
    pub edges: Vec<Arc<Edge<In>>>,
}

impl<In: Send + 'static> ProcessStep<'_, In> {
    /// Runs a process function on the records of the edges. `compute` is what the reference expects of it.
    pub(crate) fn run<P, F>(
        self,
        process: P,
        key: F,
        compute: impl Fn(&Inputs) -> Processed<P::Out> + 'static,
    ) -> ProcessResults<P::Out>
    where
        P: Process<In = In>,
        F: Fn(&In) -> P::Key + Clone + Send + 'static,
    {
        self.make(process, key, compute, |operator| operator)
    }

    /// Makes the step; `wrap` is what is around the operator of the process function.
    fn make<P, F, O>(
        self,
        process: P,
        key: F,
        compute: impl Fn(&Inputs) -> Processed<P::Out> + 'static,
        wrap: fn(ProcessOperator<P, F>) -> O,
    ) -> ProcessResults<P::Out>
    where
        P: Process,
        F: Fn(&P::In) -> P::Key + Clone + Send + 'static,
        O: Operator<In = In, Out = P::Out>,
    {
        let ProcessStep { graph, name, kind, settings, edges } = self;
        let mut declare = Declare::default();
        process.declare(&mut declare);
        let (outlet, mut sides, mut by_name) = (OutletSpec::shared(), SideSpecs::default(), BTreeMap::new());
        for (place, side) in declare.sides().iter().enumerate() {
            by_name.insert(side.name(), (place, side.attach(&mut sides)));
        }
        let spec = OperatorSpec::new(name, edges, outlet.clone(), sides);
        let schema = schema::<P>(kind, settings, &declare);
        let step = name.to_owned();
        let make = move |layout: &Layout<'_>| {
            let (step, process, key) = (step.clone(), process.clone(), key.clone());
            spec.seed(layout, move |cx, watermark| {
                Box::pin(async move {
                    let mut declare = Declare::default();
                    let state = process.declare(&mut declare);
                    let (backend, operator) = open_state(&cx, &step, &declare).await?;
                    let opened = Opened::new(&cx, &step, watermark);
                    Ok(wrap(ProcessOperator::new(process, state, key, backend, operator, opened)))
                })
            })
        };
        let node = Node { name: name.to_owned(), schema, make: Box::new(make), recover: None };
        graph.borrow_mut().nodes.push(node);
        let run = Rc::new(compute);
        let aside = run.clone();
        let compute = Rc::new(move |inputs: &Inputs| aside(inputs).sides);
        let extra: Extra = Some(Rc::new(Outlets { step: name.to_owned(), by_name, compute }));
        let compute: Compute<P::Out> = Rc::new(move |inputs| run(inputs).results);
        Stream { graph, outlet, chain: Identity::new(), compute, extra }
    }
}

impl<In: Send + 'static, B: Send + 'static> ProcessStep<'_, Either<In, B>> {
    /// As [`ProcessStep::run`], with a broadcast input.
    pub(crate) fn run_beside_broadcast<P, F>(
        self,
        process: P,
        key: F,
        compute: impl Fn(&Inputs) -> Processed<P::Out> + 'static,
    ) -> ProcessResults<P::Out>
    where
        P: BroadcastProcess<In = In, Broadcast = B>,
        F: Fn(&In) -> P::Key + Clone + Send + 'static,
    {
        self.make(process, key, compute, BroadcastOperator)
    }
}

fn schema<P: Process>(kind: &str, settings: &[(&str, String)], declare: &Declare) -> Schema {
    let key = ("key", std::any::type_name::<P::Key>().to_owned());
    let details: Vec<_> = settings.iter().cloned().chain([key]).collect();
    let mut schema = Schema::new(kind, &details);
    declare.describe(&mut schema);
    schema
}
