//! The stage around an operator: input, marks, barriers and output are the same for all of them.

use std::collections::VecDeque;
use std::time::Duration;

use millstream_storage::error::StoreError;
use millstream_storage::planted;
use millstream_storage::read::{Fetched, Read};
use millstream_storage::snapshot::StoreSnapshot;
use serde_json::{Value as Json, json};

use crate::checkpoint::manifest::Part;
use crate::error::Result;
use crate::exchange::cursor::{Cursor, Next};
use crate::exchange::intake::{Aligned, Intake};
use crate::exchange::outlet::Outlet;
use crate::exchange::overtaken::Waiting as Overtaken;
use crate::operator::residence::{Residence, Waiting};
use crate::operator::sides::SideOutlets;
use crate::operator::{Operator, Output, Progress};
use crate::record::{Barrier, Batch, MarkKind, Tail};
use crate::stage::{Event, Memory, Now, Snapshot, Stage, StepContext};
use crate::time::{MIN_TIME, Timestamp};

/// How many pieces are worked on at a time where memory has no limit.
const UNLIMITED_PIECE: usize = 8;

/// Records whose state is prefetched together: as many reads as a core has under way, several times over.
const TOGETHER: usize = 64;

pub(crate) struct OperatorStage<O: Operator> {
    pub(super) name: String,
    pub(super) operator: O,
    pub(super) intake: Intake<O::In>,
    /// The batch being worked on, and its channel.
    pub(super) current: Option<(usize, Cursor<O::In>)>,
    /// Batches behind it that were read to ask for their state.
    pub(super) ahead: VecDeque<(usize, Cursor<O::In>)>,
    /// Its part in the limit of memory; see there.
    pub(super) memory: Residence,
    output: Output<O::Out>,
    main: Outlet<O::Out>,
    sides: SideOutlets,
    finished: bool,
    /// The last watermark that it was through with.
    reached: Timestamp,
    /// It is in the middle of firing what the next mark makes due.
    firing: bool,
    /// See [`StageSettings::announced`].
    announced: Option<Timestamp>,
    /// When last asked, processing-time timers could not fire, due or not.
    held: bool,
    /// Without checkpoints, state is never sealed.
    pub(super) durable: bool,
}

impl<O: Operator> OperatorStage<O> {
    pub(crate) fn new(
        name: String,
        operator: O,
        intake: Intake<O::In>,
        main: Outlet<O::Out>,
        sides: SideOutlets,
        settings: StageSettings,
    ) -> OperatorStage<O> {
        let output =
            Output { main: Batch::default(), sides: sides.sides(), late: 0, limit: settings.batch_size };
        let StageSettings { finished, durable, announced, .. } = settings;
        let (current, held, ahead, memory) = (None, true, VecDeque::new(), Residence::default());
        let (reached, firing) = (intake.watermark(), false);
        OperatorStage {
            name,
            operator,
            intake,
            current,
            ahead,
            memory,
            output,
            main,
            sides,
            finished,
            reached,
            firing,
            announced,
            held,
            durable,
        }
    }

    /// Works on the current or the next batch until it is done or the output is full.
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        if self.memory.limited && !self.has_memory(cx)? {
            return Ok(false);
        }
        let (channel, mut cursor) = match self.current.take().or_else(|| self.ahead.pop_front()) {
            Some(current) => current,
            None => match self.intake.next() {
                Some((channel, batch)) => (channel, Cursor::new(batch)),
                None => return Ok(false),
            },
        };
        let progress = self.consume(&mut cursor, cx)?;
        if progress != Progress::Done {
            self.current = Some((channel, cursor));
            return Ok(progress == Progress::More);
        }
        let aligned = self.intake.finish(channel, cursor.into_batch());
        self.settle(aligned, cx);
        Ok(true)
    }

    fn consume(&mut self, cursor: &mut Cursor<O::In>, cx: &mut StepContext<'_>) -> Result<Progress> {
        // Nothing is evicted before this returns.
        let mut present = 0;
        let mut prefetched = 0;
        loop {
            match cursor.peek() {
                Next::End => return Ok(Progress::Done),
                Next::Records(n) => {
                    if prefetched == 0 {
                        // Whatever marks there are in between: they may be close together. What is evicted is not there to
                        // be prefetched.
                        let is_resident = self.operator.store_ref().is_none_or(|store| store.is_resident());
                        prefetched = match is_resident {
                            true => self.operator.prefetch(cursor.view(TOGETHER)),
                            false => usize::MAX,
                        };
                    }
                    let n = n.min(prefetched);
                    let n = match self.memory.limited {
                        true => self.piece_of(n, &mut present, cursor)?,
                        // What works on collections may emit much for each record.
                        false => n.min(self.operator.piece().saturating_mul(UNLIMITED_PIECE)),
                    };
                    if n == 0 {
                        self.wait_for_state(Waiting::Records, cx);
                        return Ok(Progress::Fetch);
                    }
                    prefetched -= n;
                    cx.budget = cx.budget.saturating_sub(n);
                    self.operator.on_records(cursor.run(n), &mut self.output)?;
                }
                Next::Mark(kind) => {
                    if planted!(watermark_before_timers) {
                        self.output.main.mark(kind);
                    }
                    let progress = match kind {
                        MarkKind::Watermark(t) => self.operator.on_watermark(t, &mut self.output)?,
                        _ => Progress::Done,
                    };
                    self.firing = progress != Progress::Done;
                    if self.firing {
                        // Also if what fired has emitted nothing: a step ends.
                        cx.budget = cx.budget.saturating_sub(self.output.emitted().max(self.output.limit));
                        if progress == Progress::Fetch {
                            self.wait_for_state(Waiting::Firing, cx);
                        }
                        return Ok(progress);
                    }
                    if let MarkKind::Watermark(t) = kind {
                        self.reached = t;
                    }
                    self.output.main.mark(kind);
                    self.output.sides.mark(kind);
                    cursor.pass_mark();
                }
            }
            let pause = self.output.is_full() || (self.memory.limited && self.is_short_of_memory());
            if pause && cursor.peek() != Next::End {
                return Ok(Progress::More);
            }
        }
    }

    fn settle(&mut self, aligned: Aligned, cx: &mut StepContext<'_>) {
        match aligned {
            Aligned::No => {}
            Aligned::Start => {
                self.set_tail(Tail::Start);
                self.send(cx);
                self.announce();
            }
            Aligned::EndOfData => {
                if !std::mem::replace(&mut self.finished, true) {
                    self.operator.finish(&mut self.output);
                }
                self.set_tail(Tail::EndOfData);
                cx.events.push(Event::Drained);
            }
            Aligned::Barrier(barrier) => {
                cx.events.push(Event::Snapshot(Box::new(self.snapshot(barrier, None))));
                self.set_tail(Tail::Barrier(barrier));
            }
        }
    }

    /// Once, behind the start.
    fn announce(&mut self) {
        if let Some(t) = self.announced.take().filter(|&t| t > MIN_TIME && !self.finished) {
            self.output.main.mark(MarkKind::Watermark(t));
            self.output.sides.mark(MarkKind::Watermark(t));
        }
    }

    fn set_tail(&mut self, tail: Tail) {
        self.output.main.tail = tail;
        self.output.sides.set_tail(tail);
    }

    fn snapshot(&mut self, barrier: Barrier, overtaken: Option<Overtaken>) -> Snapshot {
        let meta = json!({
            "watermark": self.reached,
            "finished": self.finished,
            "operator": self.operator.meta(),
        });
        let store = if self.durable { self.operator.store() } else { None };
        Snapshot {
            step: self.name.clone(),
            epoch: barrier.epoch,
            meta,
            sealed: store.map(|store| store.seal(barrier.epoch)),
            prepare: None,
            overtaken,
            alignment: self.intake.alignment(),
        }
    }

    /// Looks for a barrier behind what waits, and lets it by if it is there and can. Returns whether it did.
    fn let_pass(&mut self, cx: &mut StepContext<'_>) -> bool {
        self.intake.look();
        let Some(barrier) = self.intake.overtaking().filter(|_| self.can_let_pass()) else { return false };
        let codec = self.intake.codec().expect("barriers overtake where there is a codec");
        let mut waiting = Overtaken::new(&*codec);
        for (_, cursor) in self.current.iter_mut().chain(&mut self.ahead) {
            waiting.add(&*codec, cursor.view(usize::MAX >> 1));
            cursor.pass_barrier(barrier);
        }
        self.intake.pass(barrier, &mut waiting);
        let waiting = Some(waiting).filter(|waiting| waiting.records() > 0 && !planted!(overtaken_dropped));
        cx.events.push(Event::Snapshot(Box::new(self.snapshot(barrier, waiting))));
        self.set_tail(Tail::Barrier(barrier));
        self.send(cx);
        true
    }

    /// Not in the middle of firing, which the state does not show, nor while state is being read.
    fn can_let_pass(&self) -> bool {
        !self.firing
            && !self.operator.holds_input()
            && !self.operator.is_visiting()
            && self.memory.outstanding == 0
    }

    /// Whether a barrier has been seen that goes by as soon as what was asked for has come.
    fn holds_barrier(&self) -> bool {
        self.memory.outstanding > 0 && self.intake.overtaking().is_some()
    }

    /// Hands the output to its consumers.
    fn send(&mut self, cx: &StepContext<'_>) {
        cx.metrics.late.add(std::mem::take(&mut self.output.late));
        if !self.output.main.is_empty() {
            self.main.send(&mut self.output.main);
        }
        self.sides.send(&mut self.output.sides);
    }

    fn has_room(&mut self) -> bool {
        self.main.has_room() && self.sides.has_room()
    }

    fn fire_processing_time(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        let due = self.operator.next_processing_time().is_some_and(|at| at <= cx.now.wall);
        // In the middle of a batch the operator may be in the middle of firing. What is overdue at a restore waits for
        // the start, which goes ahead of all records.
        self.held = self.current.is_some()
            || !self.ahead.is_empty()
            || !self.intake.has_started()
            || !self.has_room();
        if !due || self.held || self.finished {
            return Ok(false);
        }
        // More is asked for by the next step: what is due stays due.
        let until = cx.now.wall + i64::from(planted!(timer_fires_early));
        let progress = self.operator.on_processing_time(until, &mut self.output)?;
        if progress == Progress::Fetch {
            self.wait_for_state(Waiting::Firing, cx);
        }
        self.send(cx);
        Ok(true)
    }
}

impl<O: Operator> Stage for OperatorStage<O> {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        self.operator.set_now(cx.now.wall);
        self.intake.set_now(cx.now.monotonic);
        // A deadline that is past has woken the core. It would do so over and over while the step waits for something else.
        self.memory.retry_at.take_if(|at| *at <= cx.now.monotonic);
        let passed = self.let_pass(cx);
        if self.holds_barrier() {
            return Ok(passed);
        }
        if self.memory.is_waiting() {
            self.look_ahead(cx);
            return Ok(passed);
        }
        self.memory.waiting = None;
        let mut busy = passed;
        busy |= !self.memory.short && self.fire_processing_time(cx)?;
        let held = self.operator.holds_input();
        if held && self.memory.limited {
            self.has_memory(cx)?;
        }
        while !held && cx.budget > 0 && !self.memory.is_waiting() && self.has_room() && self.advance(cx)? {
            self.send(cx);
            busy = true;
        }
        // What was emitted before something had to be waited for.
        self.send(cx);
        Ok(busy | self.maintain(cx)?)
    }

    fn watermarks(&self, tell: &mut dyn FnMut(Option<&str>, Timestamp)) {
        tell(None, self.intake.watermark());
    }

    fn flush(&mut self) -> bool {
        self.main.flush() | self.sides.flush()
    }

    fn is_ready(&mut self) -> bool {
        if self.intake.can_look() || (self.intake.overtaking().is_some() && self.can_let_pass()) {
            return true;
        }
        let blocked = self.memory.is_waiting() || self.memory.short || self.holds_barrier();
        let input = !blocked && (self.current.is_some() || !self.ahead.is_empty() || self.intake.is_ready());
        (input && self.has_room()) || self.main.can_flush() || self.sides.can_flush()
    }

    fn deadline(&self, now: Now) -> Option<Duration> {
        // What holds timers up wakes the core when it is over; the clock would only wake it over and over.
        let blocked = self.finished || self.held || self.memory.is_waiting() || self.memory.short;
        let timer = self.operator.next_processing_time().filter(|_| !blocked);
        let timer =
            timer.map(|at| Duration::from_millis(u64::try_from(at.saturating_sub(now.wall)).unwrap_or(0)));
        let again = self.memory.retry_at.map(|at| at.saturating_sub(now.monotonic));
        timer.into_iter().chain(again).min()
    }

    fn overtake(&mut self, epoch: u64) {
        self.intake.overtake(epoch);
    }

    fn admit(&mut self, read: &Read, fetched: Result<Fetched, StoreError>) -> Result<(), StoreError> {
        self.memory.outstanding -= 1;
        let Some(store) = self.operator.store() else { return Ok(()) };
        match fetched {
            Ok(fetched) => store.admit(fetched)?,
            Err(error) => store.refuse(read, error)?,
        }
        Ok(())
    }

    fn spilled(&mut self, written: Result<(), StoreError>) {
        self.memory.spilled(written);
    }

    fn memory(&self) -> Option<Memory> {
        self.memory_of_store()
    }

    fn set_memory(&mut self, bytes: u64) {
        // A store that was opened without a limit holds what cannot be evicted.
        if let Some(store) = self.operator.store().filter(|store| O::FETCHES && store.is_limited()) {
            store.set_budget(Some(bytes));
            self.memory.limited = true;
        }
    }

    fn flushed(&mut self, epoch: u64, written: Option<&StoreSnapshot>) {
        let Some(store) = self.operator.store() else { return };
        match written {
            Some(snapshot) => {
                store.flushed(epoch, snapshot);
                self.memory.written();
            }
            None => store.flush_failed(epoch),
        }
    }
}

/// What a stage is told about the job and the restored checkpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StageSettings {
    pub batch_size: usize,
    /// `finish` was called before the restored checkpoint.
    pub finished: bool,
    pub durable: bool,
    /// The watermark that those behind are told at the start, as what told them before may have been overtaken.
    pub announced: Option<Timestamp>,
}

/// The watermark and the end of a stage in a restored checkpoint: what its own part has reached if there are as many
/// cores as then, or else what all of the parts have. Silent inputs can make the watermarks of the parts differ: what
/// a core has told those behind it, and what it has fired, follows from its own.
pub(crate) fn restored_progress(parts: &[Part], own: Option<usize>) -> (i64, bool) {
    if planted!(watermark_regresses) {
        return (i64::MIN, false);
    }
    let mine = |part: &&Part| own.is_none_or(|own| part.shard == own);
    let watermarks = parts.iter().filter(mine).map(|part| part.meta["watermark"].as_i64());
    let watermark = watermarks.map(|watermark| watermark.unwrap_or(i64::MIN)).min();
    let finished = !parts.is_empty() && parts.iter().all(|part| part.meta["finished"] == Json::Bool(true));
    (watermark.unwrap_or(i64::MIN), finished)
}

#[cfg(test)]
mod tests;
