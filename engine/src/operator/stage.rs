//! The stage around an operator: input, marks, barriers and output are the same for all of them.

use std::time::Duration;

use millstream_storage::planted;
use millstream_storage::snapshot::StoreSnapshot;
use serde_json::{Value as Json, json};

use crate::checkpoint::manifest::Part;
use crate::error::Result;
use crate::exchange::cursor::{Cursor, Next};
use crate::exchange::intake::{Aligned, Intake};
use crate::exchange::outlet::Outlet;
use crate::operator::{Operator, Output, Progress};
use crate::record::{Barrier, Batch, MarkKind, Tail};
use crate::stage::{Event, Now, Snapshot, Stage, StepContext};

/// Bytes of compaction per step, so that it never holds up records for long.
const MAINTENANCE: usize = 64 << 10;

pub(crate) struct OperatorStage<O: Operator> {
    name: String,
    operator: O,
    intake: Intake<O::In>,
    /// The batch being worked on, and its channel.
    current: Option<(usize, Cursor<O::In>)>,
    output: Output<O::Out, O::Side>,
    main: Outlet<O::Out>,
    side: Outlet<O::Side>,
    finished: bool,
    /// When last asked, processing-time timers could not fire, due or not.
    held: bool,
    /// Without checkpoints, state is never sealed.
    durable: bool,
}

impl<O: Operator> OperatorStage<O> {
    pub(crate) fn new(
        name: String,
        operator: O,
        intake: Intake<O::In>,
        main: Outlet<O::Out>,
        side: Outlet<O::Side>,
        settings: StageSettings,
    ) -> OperatorStage<O> {
        let output = Output {
            main: Batch::default(),
            side: Batch::default(),
            dropped_late: 0,
            side_connected: settings.side_connected,
            limit: settings.batch_size,
        };
        let StageSettings { finished, durable, .. } = settings;
        let (current, held) = (None, true);
        OperatorStage { name, operator, intake, current, output, main, side, finished, held, durable }
    }

    /// Works on the current or the next batch until it is done or the output is full.
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        let (channel, mut cursor) = match self.current.take() {
            Some(current) => current,
            None => match self.intake.next() {
                Some((channel, batch)) => (channel, Cursor::new(batch)),
                None => return Ok(false),
            },
        };
        let progress = self.consume(&mut cursor, cx)?;
        if progress == Progress::More {
            self.current = Some((channel, cursor));
            return Ok(true);
        }
        let aligned = self.intake.finish(channel, cursor.into_batch());
        self.settle(aligned, cx);
        Ok(true)
    }

    fn consume(&mut self, cursor: &mut Cursor<O::In>, cx: &mut StepContext<'_>) -> Result<Progress> {
        loop {
            match cursor.peek() {
                Next::End => return Ok(Progress::Done),
                Next::Records(n) => {
                    cx.budget = cx.budget.saturating_sub(n);
                    self.operator.on_records(cursor.run(n), &mut self.output)?;
                }
                Next::Mark(kind) => {
                    if let MarkKind::Watermark(t) = kind
                        && self.operator.on_watermark(t, &mut self.output)? == Progress::More
                    {
                        // Also if what fired has emitted nothing: a step ends.
                        cx.budget =
                            cx.budget.saturating_sub(self.output.main.records.len().max(self.output.limit));
                        return Ok(Progress::More);
                    }
                    self.output.main.mark(kind);
                    self.output.side.mark(kind);
                    cursor.pass_mark();
                }
            }
            if self.output.is_full() && cursor.peek() != Next::End {
                return Ok(Progress::More);
            }
        }
    }

    fn settle(&mut self, aligned: Aligned, cx: &mut StepContext<'_>) {
        match aligned {
            Aligned::No => {}
            Aligned::Start => self.set_tail(Tail::Start),
            Aligned::EndOfData => {
                if !std::mem::replace(&mut self.finished, true) {
                    self.operator.finish(&mut self.output);
                }
                self.set_tail(Tail::EndOfData);
                cx.events.push(Event::Drained);
            }
            Aligned::Barrier(barrier) => {
                cx.events.push(Event::Snapshot(Box::new(self.snapshot(barrier))));
                self.set_tail(Tail::Barrier(barrier));
            }
        }
    }

    fn set_tail(&mut self, tail: Tail) {
        self.output.main.tail = tail;
        self.output.side.tail = tail;
    }

    fn snapshot(&mut self, barrier: Barrier) -> Snapshot {
        let meta = json!({
            "watermark": self.intake.watermark(),
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
        }
    }

    /// Hands the output to its consumers.
    fn send(&mut self, cx: &StepContext<'_>) {
        cx.metrics.late.add(std::mem::take(&mut self.output.dropped_late));
        if !self.output.main.is_empty() {
            self.main.send(&mut self.output.main);
        }
        if !self.output.side.is_empty() {
            cx.metrics.late.add(self.output.side.records.len() as u64);
            self.side.send(&mut self.output.side);
        }
    }

    fn has_room(&mut self) -> bool {
        self.main.has_room() && self.side.has_room()
    }

    fn fire_processing_time(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        let due = self.operator.next_processing_time().is_some_and(|at| at <= cx.now.wall);
        // In the middle of a batch the operator may be in the middle of firing. What is overdue at a restore waits for
        // the start, which goes ahead of all records.
        self.held = self.current.is_some() || !self.intake.has_started() || !self.has_room();
        if !due || self.held || self.finished {
            return Ok(false);
        }
        // More is asked for by the next step: what is due stays due.
        self.operator.on_processing_time(cx.now.wall, &mut self.output)?;
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
        let mut busy = self.fire_processing_time(cx)?;
        while cx.budget > 0 && self.has_room() && self.advance(cx)? {
            self.send(cx);
            busy = true;
        }
        if let Some(store) = self.operator.store() {
            busy |= store.maintain(MAINTENANCE) > 0;
        }
        Ok(busy)
    }

    fn flush(&mut self) -> bool {
        self.main.flush() | self.side.flush()
    }

    fn is_ready(&mut self) -> bool {
        let input = self.current.is_some() || self.intake.is_ready();
        (input && self.has_room()) || self.main.can_flush() || self.side.can_flush()
    }

    fn deadline(&self, now: Now) -> Option<Duration> {
        // What holds timers up wakes the core when it is over; the clock would only wake it over and over.
        let at = self.operator.next_processing_time().filter(|_| !self.finished && !self.held)?;
        Some(Duration::from_millis(u64::try_from(at.saturating_sub(now.wall)).unwrap_or(0)))
    }

    fn flushed(&mut self, epoch: u64, written: Option<&StoreSnapshot>) {
        let Some(store) = self.operator.store() else { return };
        match written {
            Some(snapshot) => store.flushed(epoch, snapshot),
            None => store.flush_failed(epoch),
        }
    }
}

/// What a stage is told about the job and the restored checkpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StageSettings {
    pub side_connected: bool,
    pub batch_size: usize,
    /// `finish` was called before the restored checkpoint.
    pub finished: bool,
    pub durable: bool,
}

/// The watermark and the end of a stage in a restored checkpoint: what its own part has reached if there are as many
/// cores as then, or else what all of the parts have. Silent inputs can make the watermarks of the parts differ: what
/// a core has told those behind it, and what it has fired, follows from its own.
pub(crate) fn restored_progress(parts: &[Part], shard: usize, shards: usize) -> (i64, bool) {
    if planted!(watermark_regresses) {
        return (i64::MIN, false);
    }
    let mine = |part: &&Part| parts.len() != shards || part.shard == shard;
    let watermarks = parts.iter().filter(mine).map(|part| part.meta["watermark"].as_i64());
    let watermark = watermarks.map(|watermark| watermark.unwrap_or(i64::MIN)).min();
    let finished = !parts.is_empty() && parts.iter().all(|part| part.meta["finished"] == Json::Bool(true));
    (watermark.unwrap_or(i64::MIN), finished)
}

#[cfg(test)]
mod tests;
