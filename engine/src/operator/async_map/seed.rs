//! From the graph to the stage of a core, with what a checkpoint has of it.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use crate::checkpoint::manifest::Part;
use crate::error::Result;
use crate::exchange::edge::{Edge, Receiver};
use crate::exchange::intake::Intake;
use crate::exchange::outlet::{Outlet, SharedOutlet};
use crate::exchange::overtaken;
use crate::graph::Layout;
use crate::host::{Class, LocalFuture};
use crate::operator::async_map::context::{AsyncContext, HostClock};
use crate::operator::async_map::options::AsyncOptions;
use crate::operator::async_map::queue::Queue;
use crate::operator::async_map::request::answer;
use crate::operator::async_map::stage::{Answers, Ask, AsyncStage};
use crate::operator::process::core::Sealed;
use crate::operator::process::{Declare, Scope};
use crate::operator::stage::restored_progress;
use crate::record::MarkKind;
use crate::stage::{OpenContext, Stage, StageSeed};
use crate::state::codec::StateValue;
use crate::state::operator::{OperatorList, OperatorStates, Place};
use crate::time::{MIN_TIME, Timestamp};

/// The records in flight, as the step's state: their times are dealt out as they are.
pub(crate) struct InFlight<T> {
    pub records: OperatorList<T>,
    pub times: OperatorList<i64>,
}

/// What a step with records of this type declares.
pub(crate) fn declared<T: StateValue>() -> (Declare, InFlight<T>) {
    let mut declare = Declare::default();
    let records = declare.operator_list("in flight");
    let times = declare.operator_list("times in flight");
    (declare, InFlight { records, times })
}

/// The lists of one core.
pub(super) struct Lists(pub OperatorStates);

impl Scope for Lists {}

impl Sealed for Lists {
    fn operator(&self) -> &OperatorStates {
        &self.0
    }

    fn operator_mut(&mut self) -> &mut OperatorStates {
        &mut self.0
    }
}

/// The step in the graph.
pub(crate) struct AsyncSpec<T, U, F> {
    pub name: String,
    pub edge: Arc<Edge<T>>,
    pub main: SharedOutlet<U>,
    pub options: AsyncOptions<T, U>,
    pub function: F,
}

impl<T, U, E, F, A> AsyncSpec<T, U, F>
where
    T: StateValue + Clone + Send,
    U: Send + 'static,
    E: Into<Box<dyn StdError + Send + Sync>> + 'static,
    F: Fn(T, AsyncContext) -> A + Clone + Send + 'static,
    A: Future<Output = Result<U, E>> + 'static,
{
    pub(crate) fn seed(&self, layout: &Layout<'_>) -> Box<dyn StageSeed> {
        let Layout { mesh, placements, core, .. } = *layout;
        Box::new(AsyncSeed {
            name: self.name.clone(),
            receivers: self.edge.take_receivers(mesh, core),
            main: self.main.borrow().build(mesh, placements, core),
            options: self.options.clone(),
            limit: mesh.batch_size,
            function: self.function.clone(),
        })
    }
}

/// The stage before its core has started.
struct AsyncSeed<T, U, F> {
    name: String,
    receivers: Vec<Receiver<T>>,
    main: Outlet<U>,
    options: AsyncOptions<T, U>,
    limit: usize,
    function: F,
}

impl<T, U, E, F, A> StageSeed for AsyncSeed<T, U, F>
where
    T: StateValue + Clone + Send,
    U: Send + 'static,
    E: Into<Box<dyn StdError + Send + Sync>> + 'static,
    F: Fn(T, AsyncContext) -> A + Clone + Send + 'static,
    A: Future<Output = Result<U, E>> + 'static,
{
    fn open(self: Box<Self>, cx: OpenContext) -> LocalFuture<Result<Box<dyn Stage>>> {
        Box::pin(async move {
            let AsyncSeed { name, receivers, main, options, limit, function } = *self;
            let (watermark, _) = restored_progress(cx.parts(&name), cx.own_part(&name));
            let mut queue = Queue::new(options.ordered, options.capacity);
            restore(&mut queue, &cx, &name, watermark)
                .map_err(|error| error.at(format_args!("step `{name}`")))?;
            let (intake, answers) = (Intake::new(receivers, watermark), Answers::default());
            let ask = asker(function, options, &cx, answers.clone());
            let mut stage = AsyncStage::new(name, intake, queue, (ask, answers), (main, limit));
            stage.ask();
            Ok(Box::new(stage) as Box<dyn Stage>)
        })
    }
}

/// Each request is a task of its core, which drops them all when the job is over.
fn asker<T, U, E, F, A>(
    function: F,
    options: AsyncOptions<T, U>,
    cx: &OpenContext,
    answers: Answers<U>,
) -> Ask<T>
where
    T: StateValue + Clone,
    U: 'static,
    E: Into<Box<dyn StdError + Send + Sync>> + 'static,
    F: Fn(T, AsyncContext) -> A + Clone + 'static,
    A: Future<Output = Result<U, E>> + 'static,
{
    let (host, wake) = (cx.host.clone(), cx.wake.clone());
    Box::new(move |id, time, record| {
        let (function, attempts) = (function.clone(), options.attempts.clone());
        let (clock, answers, wake) = (Rc::new(HostClock(host.clone())), answers.clone(), wake.clone());
        let task = async move {
            let answer = answer(function, attempts, clock, (time, record)).await;
            answers.borrow_mut().push((id, answer));
            wake.wake();
        };
        host.spawn(Class::Records, Box::pin(task));
    })
}

/// Puts what was in flight back into the queue. On another number of cores the records are dealt out, and the watermark
/// that all parts had read stays behind them.
fn restore<T: StateValue + Clone, U>(
    queue: &mut Queue<T, U>,
    cx: &OpenContext,
    name: &str,
    watermark: Timestamp,
) -> Result<()> {
    let ((declare, in_flight), none) = (declared::<T>(), BTreeMap::new());
    let parts = cx.parts(name);
    let place = Place { shard: cx.shard, cores: cx.shards, before: parts.len() };
    let saved = cx.restored.get(name).map_or(&none, |manifest| &manifest.schema.states);
    let lists = Lists(OperatorStates::restore(declare.operator(), parts, saved, place)?);
    let (records, times) = (in_flight.records.load(&lists), in_flight.times.load(&lists));
    let mut marks = match parts.iter().find(|part| parts.len() == cx.shards && part.shard == cx.shard) {
        Some(part) => saved_marks(part),
        None => vec![(records.len(), watermark)],
    }
    .into_iter()
    // What it had told those behind may have been overtaken.
    .chain(overtaken::is_in(&cx.restored).then_some((records.len(), watermark)))
    .filter(|(_, watermark)| *watermark > MIN_TIME)
    .peekable();
    for (i, (record, time)) in records.into_iter().zip(times).enumerate() {
        while let Some((_, watermark)) = marks.next_if(|(at, _)| *at <= i) {
            queue.wait(MarkKind::Watermark(watermark));
        }
        queue.push(time, record);
    }
    marks.for_each(|(_, watermark)| queue.wait(MarkKind::Watermark(watermark)));
    Ok(())
}

fn saved_marks(part: &Part) -> Vec<(usize, Timestamp)> {
    let marks = part.meta["operator"]["marks"].as_array().map(Vec::as_slice).unwrap_or_default();
    marks.iter().filter_map(|pair| Some((pair[0].as_u64()? as usize, pair[1].as_i64()?))).collect()
}
