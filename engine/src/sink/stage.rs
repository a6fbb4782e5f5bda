//! The stage of a sink: hands batches to its writer, and takes part in the two-phase commit.

use serde_json::json;

use crate::error::Result;
use crate::exchange::intake::{Aligned, Intake};
use crate::host::LocalFuture;
use crate::sink::Writer;
use crate::stage::{Event, Snapshot, Stage, StepContext};
use crate::time::Timestamp;

pub(crate) struct SinkStage<T> {
    pub name: String,
    pub writer: Box<dyn Writer<T>>,
    pub intake: Intake<T>,
}

impl<T> SinkStage<T> {
    fn settle(&mut self, aligned: Aligned, cx: &mut StepContext<'_>) {
        match aligned {
            Aligned::No | Aligned::Start => {}
            Aligned::EndOfData => {
                self.writer.drained();
                cx.events.push(Event::Drained);
            }
            Aligned::Barrier(barrier) => {
                let snapshot = Snapshot {
                    step: self.name.clone(),
                    epoch: barrier.epoch,
                    meta: json!({ "watermark": self.intake.watermark() }),
                    sealed: None,
                    prepare: Some(self.writer.pre_commit(barrier.epoch)),
                    overtaken: None,
                    alignment: self.intake.alignment(),
                };
                cx.events.push(Event::Snapshot(Box::new(snapshot)));
            }
        }
    }
}

impl<T> Stage for SinkStage<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        self.intake.set_now(cx.now.monotonic);
        let mut busy = false;
        while cx.budget > 0 && self.writer.has_room() {
            let Some((channel, mut batch)) = self.intake.next() else { break };
            busy = true;
            let count = batch.records.len();
            cx.budget = cx.budget.saturating_sub(count);
            if count > 0 {
                self.writer.write(&mut batch.records, &batch.times)?;
                cx.metrics.records_out.add(count as u64);
            }
            let aligned = self.intake.finish(channel, batch);
            self.settle(aligned, cx);
        }
        Ok(busy)
    }

    fn watermarks(&self, tell: &mut dyn FnMut(Option<&str>, Timestamp)) {
        tell(None, self.intake.watermark());
    }

    fn is_ready(&mut self) -> bool {
        self.writer.has_room() && self.intake.is_ready()
    }

    fn commit(&mut self, epoch: u64) -> Option<LocalFuture<Result<()>>> {
        Some(self.writer.commit(epoch))
    }
}
