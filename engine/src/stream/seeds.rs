//! From the graph to the stages: what each node keeps to make the stage of a core, and what travels there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_storage::planted;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::exchange::edge::{Edge, Receiver};
use crate::exchange::intake::Intake;
use crate::exchange::outlet::{Outlet, OutletSpec, SharedOutlet};
use crate::exchange::overtaken;
use crate::graph::Layout;
use crate::host::LocalFuture;
use crate::operator::Operator;
use crate::operator::sides::{SideOutlets, SideSpecs};
use crate::operator::stage::{OperatorStage, StageSettings, restored_progress};
use crate::reference::{self, Event, Inputs, Times};
use crate::sink::stage::SinkStage;
use crate::sink::{Sink, SinkContext};
use crate::source::alignment::Joined;
use crate::source::stage::{AssignTimes, EventTime, SourceParts, SourceStage};
use crate::source::watermarks::{Marks, WatermarkStrategy};
use crate::source::{DeadLetter, NoSplits, Poison, Reader, Source, SourceContext};
use crate::stage::{OpenContext, Stage, StageSeed};
use crate::stream::batch::Mode;
use crate::time::Timestamp;

/// Makes a copy of a time function for each core.
type MakeTime<T> = Box<dyn Fn() -> Box<dyn AssignTimes<T>> + Send>;

/// Makes what says how watermarks follow.
type MakeMarks<T> = Box<dyn Fn() -> Marks<T> + Send>;

/// Event time in the graph: for the cores, and for the reference.
struct TimeSpec<T> {
    make: MakeTime<T>,
    marks: MakeMarks<T>,
    reference: Times<T>,
}

/// A source in the graph.
pub(crate) struct SourceSpec<T> {
    name: String,
    pub outlet: SharedOutlet<T>,
    time: Mutex<Option<TimeSpec<T>>>,
    dead: Mutex<Option<SharedOutlet<DeadLetter>>>,
    mode: Mode,
}

impl<T: Send + 'static> SourceSpec<T> {
    pub(crate) fn new(name: &str, mode: Mode) -> Arc<SourceSpec<T>> {
        Arc::new(SourceSpec {
            name: name.to_owned(),
            outlet: OutletSpec::shared(),
            time: Mutex::new(None),
            dead: Mutex::new(None),
            mode,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn set_time<F>(&self, time: F, strategy: impl WatermarkStrategy<T>)
    where
        F: Fn(&T) -> Timestamp + Clone + Send + 'static,
    {
        let marks: MakeMarks<T> = Box::new(move || strategy.marks());
        let (of, told) = (time.clone(), marks());
        let watermarks = move || -> reference::Watermark<T> {
            match &told.generator {
                None => Box::new(move |_, seen| Some(told.rule.after(seen))),
                Some(make) => {
                    let mut generator = make();
                    Box::new(move |record, at| generator.on_record(record, at))
                }
            }
        };
        let reference = Times { of: Box::new(of), watermarks: Box::new(watermarks) };
        let make: MakeTime<T> = Box::new(move || Box::new(time.clone()));
        *lock(&self.time) = Some(TimeSpec { make, marks, reference });
    }

    pub(crate) fn dead_outlet(&self) -> SharedOutlet<DeadLetter> {
        lock(&self.dead).get_or_insert_with(OutletSpec::shared).clone()
    }

    /// Whether splits of it that have nothing for some time do not hold back the others.
    pub(crate) fn idles(&self) -> bool {
        lock(&self.time).as_ref().is_some_and(|time| (time.marks)().rule.idle_after.is_some())
    }

    /// The reference's view of the source.
    pub(crate) fn compute(&self, inputs: &Inputs) -> Vec<Event<T>> {
        let time = lock(&self.time);
        reference::source(inputs.splits(&self.name), time.as_ref().map(|time| &time.reference))
    }

    pub(crate) fn seed<S: Source<T>>(&self, source: S, layout: &Layout<'_>) -> Box<dyn StageSeed> {
        let Layout { mesh, placements, core, alignments, .. } = *layout;
        let time = lock(&self.time);
        let time = time.as_ref().map(|time| {
            let told = (time.marks)();
            let Marks { rule, generator } = if self.mode.is_batch() { told.at_end_only() } else { told };
            EventTime { assign: (time.make)(), marks: rule, generator }
        });
        let alignment = time.as_ref().and_then(|time| time.marks.alignment);
        let joined = alignment.map(|alignment| alignments.join(alignment));
        let dead = lock(&self.dead);
        let dead = dead.as_ref().map(|dead| dead.borrow().build(mesh, placements, core));
        let main = self.outlet.borrow().build(mesh, placements, core);
        Box::new(SourceSeed { name: self.name.clone(), source, time, joined, main, dead })
    }
}

/// Nothing is done under these locks that can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct SourceSeed<T, S> {
    name: String,
    source: S,
    time: Option<EventTime<T>>,
    joined: Option<Joined>,
    main: Outlet<T>,
    dead: Option<Outlet<DeadLetter>>,
}

impl<T: Send + 'static, S: Source<T>> StageSeed for SourceSeed<T, S> {
    fn open(self: Box<Self>, cx: OpenContext) -> LocalFuture<Result<Box<dyn Stage>>> {
        Box::pin(async move {
            let SourceSeed { name, source, time, joined, main, dead } = *self;
            let (mut restored, mut seen, mut had_ended) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
            for part in cx.parts(&name) {
                restored.extend(entries(&part.meta["positions"]).map(|(k, v)| (k.clone(), v.clone())));
                let times = entries(&part.meta["seen"]).filter(|_| !planted!(watermark_regresses));
                let ended = part.meta["ended"].as_array().into_iter().flatten();
                had_ended.extend(ended.filter_map(|split| split.as_str().map(str::to_owned)));
                seen.extend(times.filter_map(|(split, t)| Some((split.clone(), t.as_i64()?))));
            }
            let poison: Poison = source.poison();
            let context = SourceContext {
                host: cx.host.clone(),
                wake: cx.wake.clone(),
                shard: cx.shard,
                shards: cx.placements.cores(&name),
                restored,
                agreement: cx.agreements.of(&name),
            };
            let reader = match context.shard < context.shards {
                true => source.open(context).await,
                false => Ok(Box::new(NoSplits) as Box<dyn Reader<T>>),
            };
            let reader = reader.map_err(|error| error.at(format_args!("source `{name}`")))?;
            let member = joined.map(|joined| joined.open(cx.wake));
            let parts = SourceParts { name, reader, time, member, poison, main, dead, seen, had_ended };
            Ok(Box::new(SourceStage::new(parts)?) as Box<dyn Stage>)
        })
    }
}

fn entries(json: &Json) -> impl Iterator<Item = (&String, &Json)> {
    json.as_object().into_iter().flatten()
}

/// A node with an operator, in the graph.
pub(crate) struct OperatorSpec<In, Out> {
    name: String,
    edges: Vec<Arc<Edge<In>>>,
    main: SharedOutlet<Out>,
    sides: SideSpecs,
}

/// What makes the operator, once its core has started and its state can be restored.
type OpenOperator<O> = Box<dyn FnOnce(OpenContext, Timestamp) -> LocalFuture<Result<O>> + Send>;

/// An operator's stage before its core has started.
pub(crate) struct OperatorSeed<O: Operator> {
    name: String,
    receivers: Vec<Receiver<O::In>>,
    main: Outlet<O::Out>,
    sides: SideOutlets,
    batch_size: usize,
    open: OpenOperator<O>,
}

impl<In, Out> OperatorSpec<In, Out>
where
    In: Send + 'static,
    Out: Send + 'static,
{
    pub(crate) fn new(
        name: &str,
        edges: Vec<Arc<Edge<In>>>,
        main: SharedOutlet<Out>,
        sides: SideSpecs,
    ) -> OperatorSpec<In, Out> {
        edges.iter().for_each(|edge| edge.lead_to(name));
        OperatorSpec { name: name.to_owned(), edges, main, sides }
    }

    /// The stage of one core; `open` makes its operator, given the watermark to go on from.
    pub(crate) fn seed<O>(
        &self,
        layout: &Layout<'_>,
        open: impl FnOnce(OpenContext, Timestamp) -> LocalFuture<Result<O>> + Send + 'static,
    ) -> Box<dyn StageSeed>
    where
        O: Operator<In = In, Out = Out>,
    {
        let Layout { mesh, placements, core, .. } = *layout;
        let receivers = self.edges.iter().flat_map(|edge| edge.take_receivers(mesh, core)).collect();
        Box::new(OperatorSeed {
            name: self.name.clone(),
            receivers,
            main: self.main.borrow().build(mesh, placements, core),
            sides: self.sides.build(mesh, placements, core),
            batch_size: mesh.batch_size,
            open: Box::new(open),
        })
    }
}

impl<O: Operator> StageSeed for OperatorSeed<O> {
    fn keeps_state(&self) -> bool {
        O::FETCHES
    }

    fn open(self: Box<Self>, cx: OpenContext) -> LocalFuture<Result<Box<dyn Stage>>> {
        Box::pin(async move {
            let OperatorSeed { name, receivers, main, sides, batch_size, open } = *self;
            let (watermark, finished) = restored_progress(cx.parts(&name), cx.own_part(&name));
            let durable = cx.directory.is_some();
            let mut intake = Intake::new(receivers, watermark);
            let here = |error: Error| error.at(format_args!("step `{name}`"));
            let waiting = overtaken::restore(&cx, &name, intake.codec(), batch_size).await.map_err(here)?;
            intake.precede(waiting);
            let announced = overtaken::is_in(&cx.restored).then_some(watermark);
            let operator = open(cx, watermark).await.map_err(here)?;
            let settings = StageSettings { batch_size, finished, durable, announced };
            let stage = OperatorStage::new(name, operator, intake, main, sides, settings);
            Ok(Box::new(stage) as Box<dyn Stage>)
        })
    }
}

/// A sink's stage before its core has started.
pub(crate) struct SinkSeed<T, S> {
    name: String,
    sink: S,
    receivers: Vec<Receiver<T>>,
}

impl<T: Send + 'static, S: Sink<T>> SinkSeed<T, S> {
    pub(crate) fn make(name: &str, sink: S, edge: &Edge<T>, layout: &Layout<'_>) -> Box<dyn StageSeed> {
        let receivers = edge.take_receivers(layout.mesh, layout.core);
        Box::new(SinkSeed { name: name.to_owned(), sink, receivers })
    }
}

impl<T: Send + 'static, S: Sink<T>> StageSeed for SinkSeed<T, S> {
    fn open(self: Box<Self>, cx: OpenContext) -> LocalFuture<Result<Box<dyn Stage>>> {
        Box::pin(async move {
            let SinkSeed { name, sink, receivers } = *self;
            let (watermark, _) = restored_progress(cx.parts(&name), cx.own_part(&name));
            let context = SinkContext {
                host: cx.host.clone(),
                wake: cx.wake.clone(),
                shard: cx.shard,
                shards: cx.shards,
                first_epoch: cx.first_epoch,
                restored: cx.restored_epoch,
                durable: cx.directory.is_some(),
                generation: cx.generation,
                checkpoints: cx.directory.as_deref().and_then(Path::parent).map(Path::to_owned),
            };
            let writer = sink.open(context).await;
            let writer = writer.map_err(|error| error.at(format_args!("sink `{name}`")))?;
            let intake = Intake::new(receivers, watermark);
            Ok(Box::new(SinkStage { name, writer, intake }) as Box<dyn Stage>)
        })
    }
}
