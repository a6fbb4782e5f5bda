//! The stage that makes requests: reads records while there is room, and lets results and marks leave in order.

use std::cell::RefCell;
use std::rc::Rc;

use millstream_storage::planted;
use serde_json::{Value as Json, json};

use crate::error::Result;
use crate::exchange::cursor::{Cursor, Next};
use crate::exchange::intake::{Aligned, Intake};
use crate::exchange::outlet::Outlet;
use crate::operator::async_map::queue::{Leaving, Queue};
use crate::operator::async_map::request::Answer;
use crate::operator::async_map::seed::{Lists, declared};
use crate::record::{Barrier, Batch, Tail};
use crate::stage::{Event, Snapshot, Stage, StepContext};
use crate::state::codec::StateValue;
use crate::state::operator::OperatorStates;
use crate::time::Timestamp;

/// Answers that the stage has not seen yet, by the numbers of their requests.
pub(super) type Answers<U> = Rc<RefCell<Vec<(u64, Answer<U>)>>>;

/// Makes the request of a number, for a record of a time.
pub(super) type Ask<T> = Box<dyn Fn(u64, Timestamp, T)>;

pub(super) struct AsyncStage<T, U> {
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
    pub(super) fn new(
        name: String,
        intake: Intake<T>,
        queue: Queue<T, U>,
        (ask, answers): (Ask<T>, Answers<U>),
        (main, limit): (Outlet<U>, usize),
    ) -> AsyncStage<T, U> {
        let (current, output) = (None, Batch::default());
        let (begun, ended, told) = (false, false, false);
        AsyncStage { name, intake, current, queue, ask, answers, output, main, limit, begun, ended, told }
    }

    pub(super) fn ask(&mut self) {
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
                // Those behind hear a start or an end before the first barrier.
                if self.is_over() && !planted!(barrier_overtakes_end) {
                    self.tell_end(cx);
                }
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
        let ends = self.is_over() && self.main.has_room();
        if ends {
            self.tell_end(cx);
        }
        ends
    }

    fn tell_end(&mut self, cx: &mut StepContext<'_>) {
        self.told = true;
        self.send(Tail::EndOfData);
        cx.events.push(Event::Drained);
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
        Snapshot {
            step: self.name.clone(),
            epoch: barrier.epoch,
            meta,
            sealed: None,
            prepare: None,
            overtaken: None,
            alignment: self.intake.alignment(),
        }
    }
}

impl<T: StateValue + Clone + Send, U: Send + 'static> Stage for AsyncStage<T, U> {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        self.intake.set_now(cx.now.monotonic);
        let mut busy = self.hear()?;
        busy |= self.emit(cx);
        while cx.budget > 0 && self.main.has_room() && self.advance(cx) {
            busy = true;
            self.emit(cx);
        }
        Ok(busy | self.end(cx))
    }

    fn in_flight(&self) -> usize {
        self.queue.in_flight()
    }

    fn watermarks(&self, tell: &mut dyn FnMut(Option<&str>, Timestamp)) {
        tell(None, self.intake.watermark());
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
