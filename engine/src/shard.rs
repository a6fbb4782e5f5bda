//! One core's share of a job, and the step that moves it on.

use std::time::Duration;

use millstream_storage::snapshot::StoreSnapshot;

use crate::error::Result;
use crate::host::LocalFuture;
use crate::metrics::ShardMetrics;
use crate::record::Barrier;
use crate::stage::{Event, Now, Stage, StepContext};

/// How much one step may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepLimits {
    /// Records per stage.
    pub budget: usize,
    /// Records per batch.
    pub batch_size: usize,
}

/// The stages of one core, sources first, each before those that it feeds.
pub(crate) struct Shard {
    stages: Vec<Box<dyn Stage>>,
    limits: StepLimits,
    /// Checkpoints that were ordered and have not started yet.
    barriers: Vec<Barrier>,
    /// The stage that is running; names the culprit when user code panics.
    running: usize,
}

impl Shard {
    pub(crate) fn new(stages: Vec<Box<dyn Stage>>, limits: StepLimits) -> Shard {
        Shard { stages, limits, barriers: Vec::new(), running: 0 }
    }

    /// One step: a bounded amount of work, without waiting, without looking at the world. Returns whether anything
    /// was done.
    ///
    /// # Errors
    /// If a stage cannot go on. The shard must not be stepped again.
    pub(crate) fn step(&mut self, now: Now, metrics: &ShardMetrics, events: &mut Vec<Event>) -> Result<bool> {
        let mut busy = self.start_checkpoints(now, metrics, events);
        // Sources are polled, then every operator drains its rings, aligns, runs and fires; in the order of the
        // graph, so that what a stage emits to its own core is worked on in the same step.
        for i in 0..self.stages.len() {
            self.running = i;
            busy |= self.run_stage(i, now, metrics, events)?;
        }
        // Batches that did not fill leave now: latency is low when load is low.
        for stage in &mut self.stages {
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
                let StepLimits { budget, batch_size } = self.limits;
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
        let StepLimits { budget, batch_size } = self.limits;
        let stage = &mut self.stages[i];
        let mut cx = StepContext { now, budget, batch_size, metrics, events };
        stage.run(&mut cx).map_err(|error| error.at(format_args!("step `{}`", stage.name())))
    }

    /// Orders a checkpoint: its barrier enters with the next step.
    pub(crate) fn start_checkpoint(&mut self, epoch: u64) {
        self.barriers.push(Barrier { epoch });
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
        let stage = self.stages.iter_mut().find(|stage| stage.name() == step);
        stage.expect("a snapshot names its step").flushed(epoch, written);
    }

    /// What the sinks have to do to commit an epoch.
    pub(crate) fn commits(&mut self, epoch: u64) -> Vec<LocalFuture<Result<()>>> {
        self.stages.iter_mut().filter_map(|stage| stage.commit(epoch)).collect()
    }
}
