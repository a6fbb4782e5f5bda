//! One core's share of a job, and the step that moves it on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use millstream_storage::error::StoreError;
use millstream_storage::read::{Fetched, Read};
use millstream_storage::snapshot::StoreSnapshot;

use crate::error::Result;
use crate::failure::panicked;
use crate::host::LocalFuture;
use crate::metrics::{Board, ShardMetrics};
use crate::record::Barrier;
use crate::stage::{Event, Memory, Now, Stage, StepContext};

/// How much one step may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepLimits {
    /// Records per stage.
    pub budget: usize,
    /// Records per batch.
    pub batch_size: usize,
    /// Bytes of memory for the state of all stages together.
    pub memory: Option<u64>,
}

/// Steps between two divisions of the memory.
const DIVIDED_EVERY: u64 = 32;

/// The stages of one core, sources first, each before those that it feeds.
pub(crate) struct Shard {
    stages: Vec<Box<dyn Stage>>,
    limits: StepLimits,
    /// Checkpoints that were ordered and have not started yet.
    barriers: Vec<Barrier>,
    /// The stage that is running; names the culprit when user code panics.
    running: usize,
    steps: u64,
}

impl Shard {
    pub(crate) fn new(stages: Vec<Box<dyn Stage>>, limits: StepLimits) -> Shard {
        Shard { stages, limits, barriers: Vec::new(), running: 0, steps: 0 }
    }

    /// One step: a bounded amount of work, without waiting, without looking at the world. Returns whether anything
    /// was done.
    ///
    /// # Errors
    /// If a stage cannot go on. The shard must not be stepped again.
    pub(crate) fn step(&mut self, now: Now, metrics: &ShardMetrics, events: &mut Vec<Event>) -> Result<bool> {
        self.divide_memory(metrics);
        let mut busy = self.start_checkpoints(now, metrics, events);
        // Sources are polled, then every operator drains its rings, aligns, runs and fires; in the order of the
        // graph, so that what a stage emits to its own core is worked on in the same step.
        for i in 0..self.stages.len() {
            self.running = i;
            busy |= self.run_stage(i, now, metrics, events)?;
        }
        // Batches that did not fill leave now: latency is low when load is low.
        for (i, stage) in self.stages.iter_mut().enumerate() {
            self.running = i;
            busy |= stage.flush();
        }
        metrics.busy_steps.add(u64::from(busy));
        Ok(busy)
    }

    /// The barriers of ordered checkpoints enter at the sources, behind what these have emitted.
    fn start_checkpoints(&mut self, now: Now, metrics: &ShardMetrics, events: &mut Vec<Event>) -> bool {
        let barriers = std::mem::take(&mut self.barriers);
        for &barrier in &barriers {
            for stage in &mut self.stages {
                let StepLimits { budget, batch_size, .. } = self.limits;
                stage.inject(barrier, &mut StepContext { now, budget, batch_size, metrics, events });
            }
        }
        !barriers.is_empty()
    }

    fn run_stage(
        &mut self,
        i: usize,
        now: Now,
        metrics: &ShardMetrics,
        events: &mut Vec<Event>,
    ) -> Result<bool> {
        let StepLimits { budget, batch_size, .. } = self.limits;
        let stage = &mut self.stages[i];
        let mut cx = StepContext { now, budget, batch_size, metrics, events };
        stage.run(&mut cx).map_err(|error| error.at(format_args!("step `{}`", stage.name())))
    }

    /// Gives each stage its share of the memory, now and then: what it wants if there is enough, otherwise what it cannot
    /// do without, and of the rest in proportion to what it wants beyond that.
    fn divide_memory(&mut self, metrics: &ShardMetrics) {
        let due = self.steps.is_multiple_of(DIVIDED_EVERY);
        self.steps += 1;
        if !due {
            return;
        }
        let mut of: Vec<(usize, Memory)> =
            self.stages.iter().enumerate().filter_map(|(i, stage)| Some((i, stage.memory()?))).collect();
        let used = of.iter().map(|(_, memory)| memory.used).sum();
        metrics.state_bytes.set(used);
        metrics.most_state_bytes.set(metrics.most_state_bytes.get().max(used));
        metrics.evicted_bytes.set(of.iter().map(|(_, memory)| memory.evicted).sum());
        metrics.damaged_indexes.set(of.iter().map(|(_, memory)| memory.damaged_indexes).sum());
        let Some(memory) = self.limits.memory else { return };
        // What has no limit takes what it takes; the others divide what is left, and are left half.
        let unlimited: u64 =
            of.iter().filter(|(_, memory)| !memory.limited).map(|(_, memory)| memory.used).sum();
        let memory = memory.saturating_sub(unlimited).max(memory / 2);
        of.retain(|(_, memory)| memory.limited);
        let sum = |part: fn(&Memory) -> u64| of.iter().map(|(_, memory)| part(memory)).sum::<u64>();
        let (least, wanted) = (sum(|of| of.least), sum(|of| of.wanted.max(of.least)));
        let share = |of_stage: &Memory| {
            let more = of_stage.wanted.saturating_sub(of_stage.least);
            if wanted <= memory {
                of_stage.least + more + (memory - wanted) / of.len() as u64
            } else if least <= memory {
                of_stage.least + part(memory - least, more, wanted - least)
            } else {
                part(memory, of_stage.least, least)
            }
        };
        // Who has more than its share gives it up as fast as it can be written: until then the others do with less.
        let over: u64 = of.iter().map(|(_, memory)| memory.used.saturating_sub(share(memory))).sum();
        let spare = |of: &Memory| share(of).saturating_sub(of.used.max(of.least));
        let free: u64 = of.iter().map(|(_, memory)| spare(memory)).sum();
        for (i, memory) in &of {
            self.stages[*i].set_memory(share(memory) - part(over.min(free), spare(memory), free));
        }
    }

    /// Orders a checkpoint: its barrier enters with the next step.
    pub(crate) fn start_checkpoint(&mut self, epoch: u64) {
        self.barriers.push(Barrier { epoch });
    }

    /// Lets the barrier of a checkpoint overtake what waits.
    pub(crate) fn overtake(&mut self, epoch: u64) {
        self.stages.iter_mut().for_each(|stage| stage.overtake(epoch));
    }

    /// Has the sources give no more records, or go on.
    pub(crate) fn hold(&mut self, held: bool) {
        self.stages.iter_mut().for_each(|stage| stage.hold(held));
    }

    /// Has the sources end with the next step, behind the barriers that were ordered before.
    pub(crate) fn drain(&mut self) {
        self.stages.iter_mut().for_each(|stage| stage.drain());
    }

    /// Shows how far its stages are in event time, and what they wait for.
    pub(crate) fn post(&self, board: &Board, metrics: &ShardMetrics) {
        board.post(&self.stages);
        metrics.in_flight.set(self.stages.iter().map(|stage| stage.in_flight() as u64).sum());
    }

    /// Whether a step would do something now.
    pub(crate) fn is_ready(&mut self) -> bool {
        !self.barriers.is_empty() || self.stages.iter_mut().any(|stage| stage.is_ready())
    }

    /// When a step is due although nothing arrives.
    pub(crate) fn deadline(&self, now: Now) -> Option<Duration> {
        self.stages.iter().filter_map(|stage| stage.deadline(now)).min()
    }

    /// The number of stages: as many snapshots make up the shard's share of a checkpoint.
    pub(crate) fn len(&self) -> usize {
        self.stages.len()
    }

    /// The name of the stage that ran last.
    pub(crate) fn running(&self) -> &str {
        self.stages.get(self.running).map_or("none", |stage| stage.name())
    }

    /// Tells a step's store what became of its sealed state.
    pub(crate) fn flushed(&mut self, step: &str, epoch: u64, written: Option<&StoreSnapshot>) {
        self.stage(step).flushed(epoch, written);
    }

    /// Hands a step state that was read.
    ///
    /// # Errors
    /// If it was not read, and is still needed.
    pub(crate) fn admit(
        &mut self,
        step: &str,
        read: &Read,
        fetched: Result<Fetched, StoreError>,
    ) -> Result<(), StoreError> {
        self.stage(step).admit(read, fetched)
    }

    /// Tells a step what became of state that was written ahead.
    pub(crate) fn spilled(&mut self, step: &str, written: Result<(), StoreError>) {
        self.stage(step).spilled(written);
    }

    fn stage(&mut self, step: &str) -> &mut dyn Stage {
        let stage = self.stages.iter_mut().find(|stage| stage.name() == step);
        &mut **stage.expect("what is done in the background names its step")
    }

    /// Where in its input the stage is that ran last, as far as it knows.
    pub(crate) fn place(&self) -> Option<String> {
        self.stages.get(self.running)?.place()
    }

    /// What the sinks have to do to commit an epoch, with their names.
    pub(crate) fn commits(&mut self, epoch: u64) -> Vec<(String, LocalFuture<Result<()>>)> {
        let commit = |stage: &mut Box<dyn Stage>| -> Option<(String, LocalFuture<Result<()>>)> {
            let commit = catch_unwind(AssertUnwindSafe(|| stage.commit(epoch)));
            let commit = commit.unwrap_or_else(|panic| {
                let error = panicked(&*panic);
                Some(Box::pin(async { Err(error) }))
            });
            Some((stage.name().to_owned(), commit?))
        };
        self.stages.iter_mut().filter_map(commit).collect()
    }
}

/// `of / whole` of some bytes.
fn part(bytes: u64, of: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(of) / u128::from(whole.max(1))).unwrap_or(bytes)
}
