//! The stage that makes requests: reads records while there is room, and lets results and marks leave in order.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::future::Future;
use std::rc::Rc;

use millstream_storage::planted;
use serde_json::{Value as Json, json};

use crate::checkpoint::manifest::Part;
use crate::error::Result;
use crate::exchange::cursor::{Cursor, Next};
use crate::exchange::edge::{Edge, Receiver};
use crate::exchange::intake::{Aligned, Intake};
use crate::exchange::outlet::{Outlet, SharedOutlet};
use crate::graph::Layout;
use crate::host::{Class, LocalFuture};
use crate::operator::async_map::context::{AsyncContext, HostClock};
use crate::operator::async_map::options::AsyncOptions;
use crate::operator::async_map::queue::{Leaving, Queue};
use crate::operator::async_map::request::{Answer, answer};
use crate::operator::process::core::Sealed;
use crate::operator::process::{Declare, Scope};
use crate::operator::stage::restored_progress;
use crate::record::{Barrier, Batch, MarkKind, Tail};
use crate::stage::{Event, OpenContext, Snapshot, Stage, StageSeed, StepContext};
use crate::state::codec::StateValue;
use crate::state::operator::{OperatorList, OperatorStates};
use crate::time::{MIN_TIME, Timestamp};

/// The records in flight, as the step's state: their times are dealt out as they are.
pub(crate) struct InFlight<T> {
    records: OperatorList<T>,
    times: OperatorList<i64>,
}

/// What a step with records of this type declares.
pub(crate) fn declared<T: StateValue>() -> (Declare, InFlight<T>) {
    let mut declare = Declare::default();
    let records = declare.operator_list("in flight");
    let times = declare.operator_list("times in flight");
    (declare, InFlight { records, times })
}

/// The lists of one core.
struct Lists(OperatorStates);

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
    pub edge: Rc<Edge<T>>,
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
        let Layout { mesh, placement, core } = *layout;
        Box::new(AsyncSeed {
            name: self.name.clone(),
            receivers: self.edge.take_receivers(mesh, core),
            main: self.main.borrow().build(mesh, placement, core),
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

/// Answers that the stage has not seen yet, by the numbers of their requests.
type Answers<U> = Rc<RefCell<Vec<(u64, Answer<U>)>>>;

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
            let (watermark, _) = restored_progress(cx.parts(&name), cx.shard, cx.shards);
            let mut queue = Queue::new(options.ordered, options.capacity);
            restore(&mut queue, &cx, &name, watermark)
                .map_err(|error| error.at(format_args!("step `{name}`")))?;
            let (intake, answers) = (Intake::new(receivers, watermark), Answers::default());
            let ask = asker(function, options, &cx, answers.clone());
            let (current, output) = (None, Batch::default());
            let (begun, ended, told) = (false, false, false);
            let mut stage = AsyncStage {
                name,
                intake,
                current,
                queue,
                ask,
                answers,
                output,
                main,
                limit,
                begun,
                ended,
                told,
            };
            stage.ask();
            Ok(Box::new(stage) as Box<dyn Stage>)
        })
    }
}

/// Makes the request of a number, for a record of a time.
type Ask<T> = Box<dyn Fn(u64, Timestamp, T)>;

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
    let (parts, place) = (cx.parts(name), (cx.shard, cx.shards));
    let saved = cx.restored.get(name).map_or(&none, |manifest| &manifest.schema.states);
    let lists = Lists(OperatorStates::restore(declare.operator(), parts, saved, place)?);
    let (records, times) = (in_flight.records.load(&lists), in_flight.times.load(&lists));
    let mut marks = match parts.iter().find(|part| parts.len() == cx.shards && part.shard == cx.shard) {
        Some(part) => saved_marks(part),
        None => vec![(records.len(), watermark)],
    }
    .into_iter()
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

struct AsyncStage<T, U> {
    name: String,
    intake: Intake<T>,
    /// The batch being read, and its channel.
    current: Option<(usize, Cursor<T>)>,
    queue: Queue<T, U>,
    ask: Ask<T>,
    answers: Answers<U>,
    /// Empty between two calls, unless there is no room for it.
    output: Batch<U>,
    main: Outlet<U>,
    /// Records in a batch.
    limit: usize,
    /// The start was sent: results may follow.
    begun: bool,
    /// All input has ended.
    ended: bool,
    /// Its end was sent.
    told: bool,
}

impl<T: StateValue + Clone + Send, U: Send + 'static> AsyncStage<T, U> {
    fn ask(&mut self) {
        while let Some((id, time, record)) = self.queue.ask() {
            (self.ask)(id, time, record);
        }
    }

    /// Takes the answers that have come.
    fn hear(&mut self) -> Result<bool> {
        let answers = self.answers.take();
        let heard = !answers.is_empty();
        for (id, answer) in answers {
            self.queue.answer(id, answer?);
        }
        Ok(heard)
    }

    /// Before the start, marks may leave, but no record, nor what is behind one.
    fn may_leave(&self) -> bool {
        self.begun || !self.queue.has_requests()
    }

    /// Moves what may leave to the output, as much as fits a batch.
    fn fill(&mut self) {
        while self.output.records.len() < self.limit
            && self.may_leave()
            && let Some(leaving) = self.queue.leave()
        {
            match leaving {
                Leaving::Mark(kind) => self.output.mark(kind),
                Leaving::Result(time, result) => self.output.push(time, result),
                Leaving::Nothing => {}
            }
        }
    }

    /// Sends what may leave, while there is room, and asks for what there is room for then. Returns whether anything left.
    fn emit(&mut self, cx: &mut StepContext<'_>) -> bool {
        let mut busy = false;
        while self.main.has_room() {
            self.fill();
            if self.output.is_empty() {
                break;
            }
            cx.budget = cx.budget.saturating_sub(self.output.records.len());
            self.main.send(&mut self.output);
            busy = true;
        }
        self.ask();
        busy
    }

    /// Reads the current or the next batch until it is over or there is no room. Returns whether anything was read.
    fn advance(&mut self, cx: &mut StepContext<'_>) -> bool {
        let (channel, mut cursor) = match self.current.take().or_else(|| self.next_batch()) {
            Some(current) => current,
            None => return false,
        };
        let mut read = false;
        loop {
            match cursor.peek() {
                Next::End => break,
                Next::Mark(kind) => {
                    self.queue.mark(kind).into_iter().for_each(|kind| self.output.mark(kind));
                    cursor.pass_mark();
                }
                Next::Records(n) => {
                    let n = n.min(self.queue.room());
                    if n == 0 {
                        self.current = Some((channel, cursor));
                        return read;
                    }
                    let mut run = cursor.run(n);
                    while let Some((time, record)) = run.take() {
                        self.queue.push(time, record);
                    }
                    cx.budget = cx.budget.saturating_sub(n);
                }
            }
            read = true;
        }
        let aligned = self.intake.finish(channel, cursor.into_batch());
        self.settle(aligned, cx);
        true
    }

    fn next_batch(&mut self) -> Option<(usize, Cursor<T>)> {
        let (channel, batch) = self.intake.next()?;
        Some((channel, Cursor::new(batch)))
    }

    /// What goes ahead of the requests goes now, behind what has left.
    fn settle(&mut self, aligned: Aligned, cx: &mut StepContext<'_>) {
        match aligned {
            Aligned::No => {}
            Aligned::Start => self.begin(),
            Aligned::Barrier(barrier) => {
                self.fill();
                cx.events.push(Event::Snapshot(Box::new(self.snapshot(barrier))));
                self.send(Tail::Barrier(barrier));
            }
            Aligned::EndOfData => {
                // Without input to come, there can still be requests of the checkpoint that was restored.
                if self.queue.has_requests() && !self.begun {
                    self.begin();
                }
                self.ended = true;
            }
        }
    }

    fn begin(&mut self) {
        self.fill();
        self.send(Tail::Start);
        self.begun = true;
    }

    fn send(&mut self, tail: Tail) {
        self.output.tail = tail;
        self.main.send(&mut self.output);
    }

    /// Tells the end, once all results have left.
    fn end(&mut self, cx: &mut StepContext<'_>) -> bool {
        if !self.is_over() || !self.main.has_room() {
            return false;
        }
        self.told = true;
        self.send(Tail::EndOfData);
        cx.events.push(Event::Drained);
        true
    }

    fn is_over(&self) -> bool {
        self.ended && !self.told && self.queue.is_empty()
    }

    fn snapshot(&self, barrier: Barrier) -> Snapshot {
        let (declare, in_flight) = declared::<T>();
        let mut lists = Lists(OperatorStates::new(declare.operator()));
        for (time, record) in self.queue.records().filter(|_| !planted!(in_flight_forgotten)) {
            in_flight.records.push(&mut lists, record);
            in_flight.times.push(&mut lists, &time);
        }
        let marks: Vec<Json> = self.queue.watermarks().map(|(at, t)| json!([at, t])).collect();
        let meta = json!({
            "watermark": self.intake.watermark(),
            "finished": self.told,
            "operator": { "states": lists.0.meta(), "marks": marks },
        });
        Snapshot { step: self.name.clone(), epoch: barrier.epoch, meta, sealed: None, prepare: None }
    }
}

impl<T: StateValue + Clone + Send, U: Send + 'static> Stage for AsyncStage<T, U> {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        let mut busy = self.hear()?;
        busy |= self.emit(cx);
        while cx.budget > 0 && self.main.has_room() && self.advance(cx) {
            busy = true;
            self.emit(cx);
        }
        Ok(busy | self.end(cx))
    }

    fn flush(&mut self) -> bool {
        self.main.flush()
    }

    fn is_ready(&mut self) -> bool {
        let leaves = (self.may_leave() && self.queue.can_leave()) || self.is_over();
        let reads = match &self.current {
            Some((_, cursor)) => self.queue.room() > 0 || !matches!(cursor.peek(), Next::Records(_)),
            None => self.intake.is_ready(),
        };
        let waits = leaves || reads || !self.output.is_empty();
        !self.answers.borrow().is_empty() || self.main.can_flush() || (waits && self.main.has_room())
    }
}
