//! The coordinator: one per job, beside the driver of core 0.
//!
//! It restores, triggers checkpoints one at a time, completes each by its manifest, has the sinks commit, and ends
//! the job: after the final checkpoint when the input has ended, at once when the job fails or is cancelled.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use millstream_ring::Bell;
use millstream_storage::planted;

use crate::checkpoint::control::{Line, Order, Reply, Restored};
use crate::checkpoint::directory::{Directory, Unpublished};
use crate::checkpoint::manifest::{Manifest, Part, Schema, StepManifest, form_of};
use crate::driver::race;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Shared;
use crate::host::{Host, LocalFuture};
use crate::metrics::Metrics;
use crate::sink::{Prepared, SinkContext};

/// Brings a sink's earlier output in order before the job starts.
pub(crate) type RecoverSink = Box<dyn FnOnce(SinkContext, Vec<Prepared>) -> LocalFuture<Result<()>> + Send>;

/// What the coordinator has to know of the job.
pub(crate) struct CoordinatorSeed {
    pub job: String,
    pub max_parallelism: u32,
    pub schemas: BTreeMap<String, Schema>,
    /// The steps that are on fewer cores than all.
    pub narrow: BTreeMap<String, usize>,
    pub sinks: Vec<(String, RecoverSink)>,
    pub lines: Vec<Line>,
    pub bell: Arc<Bell>,
    pub shared: Arc<Shared>,
    pub metrics: Metrics,
    pub checkpoints: Option<PathBuf>,
    pub every: Option<Duration>,
    pub timeout: Duration,
    pub tolerated_failures: u32,
    pub retained: usize,
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    /// The checkpoint that the run started from.
    pub restored: Option<u64>,
    /// The job had ended before: there was nothing to do.
    pub already_finished: bool,
    pub cancelled: bool,
}

struct Coordinator {
    seed: CoordinatorSeed,
    host: Rc<dyn Host>,
    directory: Option<Directory>,
    next_epoch: u64,
    last_complete: Option<u64>,
    drained: usize,
    /// Checkpoints that failed since one succeeded.
    failures: u32,
}

/// Why the coordinator goes on.
enum Woken {
    Reply(Reply),
    Deadline,
    Cancelled,
}

/// Runs the job from restore to end, and tells the cores to stop.
pub(crate) async fn coordinate(seed: CoordinatorSeed, host: Rc<dyn Host>) {
    let shared = seed.shared.clone();
    let mut coordinator = Coordinator {
        seed,
        host,
        directory: None,
        next_epoch: 1,
        last_complete: None,
        drained: 0,
        failures: 0,
    };
    let ending = coordinator.run().await;
    shared.end(ending);
    coordinator.order(&Order::Stop);
    coordinator.all_gone().await;
}

impl Coordinator {
    async fn run(&mut self) -> Result<Ending> {
        let (restored, finished) = self.restore().await?;
        let mut ending = Ending { restored: restored.epoch, already_finished: finished, cancelled: false };
        if finished {
            return Ok(ending);
        }
        self.order(&Order::Open(Arc::new(restored)));
        ending.cancelled = !self.opened().await? || !self.supervise().await?;
        Ok(ending)
    }

    fn order(&mut self, order: &Order) {
        self.seed.lines.iter_mut().for_each(|line| line.order(order.clone()));
    }

    /// Waits until no core runs any more: the lease is not given back while somebody may still write.
    async fn all_gone(&mut self) {
        let CoordinatorSeed { lines, bell, .. } = &mut self.seed;
        bell.wait(|| lines.iter().all(Line::is_closed)).await;
    }

    /// Reads the last checkpoint, and has the sinks finish what it had pre-committed. Also says whether the job
    /// had ended.
    async fn restore(&mut self) -> Result<(Restored, bool)> {
        let mut manifest = None;
        if let Some(path) = self.seed.checkpoints.clone() {
            let directory = Directory::open(self.host.disk(), path).await?;
            directory.settle().await?;
            let contents = directory.contents().await?;
            self.next_epoch = contents.first_free_epoch()?;
            manifest = directory.latest(&contents).await?;
            self.directory = Some(directory);
        }
        if let Some(manifest) = &manifest {
            manifest.check(&self.seed.job, self.seed.max_parallelism, &self.seed.schemas)?;
            self.last_complete = Some(manifest.epoch);
        }
        self.recover_sinks(manifest.as_ref()).await?;
        self.clean_up(None).await;
        let finished = manifest.as_ref().is_some_and(|manifest| manifest.finished);
        let restored = Restored {
            epoch: self.last_complete,
            steps: Arc::new(manifest.map(|manifest| manifest.steps).unwrap_or_default()),
            first_epoch: self.next_epoch,
            run_id: self.host.random(),
        };
        Ok((restored, finished))
    }

    async fn recover_sinks(&mut self, manifest: Option<&Manifest>) -> Result<()> {
        for (name, recover) in std::mem::take(&mut self.seed.sinks) {
            let manifest = manifest.filter(|_| !planted!(no_commit_at_recovery));
            let parts = manifest.and_then(|manifest| manifest.steps.get(&name)).map(|step| &step.parts);
            let epoch = manifest.map_or(0, |manifest| manifest.epoch);
            let prepared = parts.into_iter().flatten().filter_map(|part| {
                let pending = part.prepared.clone()?;
                Some(Prepared { shard: part.shard, epoch, pending })
            });
            let cx = SinkContext {
                host: self.host.clone(),
                wake: Waker::noop().clone(),
                shard: 0,
                shards: self.seed.lines.len(),
                first_epoch: self.next_epoch,
                restored: manifest.map(|manifest| manifest.epoch),
                durable: self.directory.is_some(),
                checkpoints: self.seed.checkpoints.clone(),
            };
            let recovered = recover(cx, prepared.collect()).await;
            recovered.map_err(|error| error.at(format_args!("sink `{name}`")))?;
        }
        Ok(())
    }

    /// Waits until every core has opened its stages. False if the job was cancelled.
    async fn opened(&mut self) -> Result<bool> {
        let mut waiting = self.seed.lines.len();
        while waiting > 0 {
            match self.woken(None).await {
                Woken::Reply(Reply::Opened) => waiting -= 1,
                Woken::Cancelled => return Ok(false),
                other => self.note(other)?,
            }
        }
        Ok(true)
    }

    /// Triggers checkpoints until the job ends. False if it was cancelled.
    async fn supervise(&mut self) -> Result<bool> {
        let mut due = self.next_due();
        loop {
            if self.drained == self.seed.lines.len() {
                if planted!(ended_without_checkpoint) {
                    return Ok(true);
                }
                match self.checkpoint(true).await? {
                    Checkpointed::Complete => return Ok(true),
                    Checkpointed::Cancelled => return Ok(false),
                    // What failed may be possible a little later, and the output is not committed before it is.
                    Checkpointed::Aborted => {
                        let pause = self.seed.every.unwrap_or(Duration::from_secs(1));
                        let until = self.host.monotonic().saturating_add(pause);
                        match self.woken(Some(until)).await {
                            Woken::Cancelled => return Ok(false),
                            Woken::Deadline => {}
                            reply => self.note(reply)?,
                        }
                        continue;
                    }
                }
            }
            match self.woken_or_wanted(due).await {
                Woken::Cancelled => return Ok(false),
                Woken::Deadline => {
                    if self.checkpoint(false).await? == Checkpointed::Cancelled {
                        return Ok(false);
                    }
                    due = self.next_due();
                }
                reply => self.note(reply)?,
            }
        }
    }

    /// Removes what no retained checkpoint needs. What cannot be removed now is in nobody's way: the next checkpoint
    /// tries again.
    async fn clean_up(&self, complete: Option<u64>) {
        let Some(directory) = &self.directory else { return };
        if let Err(error) = directory.retire(self.seed.retained, complete).await {
            self.seed.shared.note_unclean(&error);
        }
    }

    fn next_due(&self) -> Option<Duration> {
        self.seed.every.map(|every| self.host.monotonic().saturating_add(every))
    }

    /// Takes notice of what is not an answer to a question.
    fn note(&mut self, woken: Woken) -> Result<()> {
        match woken {
            Woken::Reply(Reply::Failed(error)) => return Err(error),
            Woken::Reply(Reply::Drained) => self.drained += 1,
            _ => {}
        }
        Ok(())
    }

    /// Waits for a reply, a cancellation or a point in time.
    async fn woken(&mut self, deadline: Option<Duration>) -> Woken {
        self.wait(deadline, false).await
    }

    /// As [`Coordinator::woken`]; a checkpoint that is asked for is due.
    async fn woken_or_wanted(&mut self, due: Option<Duration>) -> Woken {
        self.wait(due, true).await
    }

    async fn wait(&mut self, deadline: Option<Duration>, obliging: bool) -> Woken {
        loop {
            if let Some(reply) = self.seed.lines.iter_mut().find_map(|line| line.next()) {
                return Woken::Reply(reply);
            }
            if self.seed.shared.is_cancelled() {
                return Woken::Cancelled;
            }
            let now = self.host.monotonic();
            let wanted = obliging && self.seed.shared.take_wanted();
            if wanted || deadline.is_some_and(|at| at <= now) {
                return Woken::Deadline;
            }
            let CoordinatorSeed { lines, bell, shared, .. } = &mut self.seed;
            let rung = bell.wait(|| {
                let asked = shared.is_cancelled() || (obliging && shared.wants_checkpoint());
                asked || lines.iter_mut().any(|line| line.is_ready())
            });
            match deadline {
                None => rung.await,
                Some(at) => race(rung, self.host.sleep(at - now)).await,
            }
        }
    }

    /// One checkpoint, from trigger to commit.
    async fn checkpoint(&mut self, finished: bool) -> Result<Checkpointed> {
        let started = self.host.monotonic();
        let epoch = self.next_epoch;
        if let Some(directory) = &self.directory
            && let Err(error) = directory.claim(epoch).await
        {
            return self.abort(epoch, error);
        }
        self.next_epoch += 1;
        self.order(&Order::Checkpoint(epoch));
        let shares = match self.gather(epoch, started.saturating_add(self.seed.timeout)).await? {
            Gathered::Cancelled => return Ok(Checkpointed::Cancelled),
            Gathered::Failed(error) => return self.abort(epoch, error),
            Gathered::All(shares) => shares,
        };
        if planted!(commit_before_manifest) {
            self.order(&Order::Commit(epoch));
        }
        if let Some(directory) = &self.directory {
            let manifest = self.manifest(epoch, finished, shares);
            match directory.publish(&manifest).await {
                Ok(()) => {}
                Err(Unpublished::Void(error)) => return self.abort(epoch, error),
                Err(Unpublished::Unknown(error)) => return Err(error),
            }
        }
        self.failures = 0;
        self.last_complete = Some(epoch);
        self.order(&Order::Commit(epoch));
        if !self.committed(epoch).await? {
            return Ok(Checkpointed::Cancelled);
        }
        self.clean_up(Some(epoch)).await;
        let took = self.host.monotonic().saturating_sub(started);
        let metrics = self.seed.metrics.job();
        metrics.checkpoints.add(1);
        metrics.last_epoch.set(epoch);
        metrics.last_duration.set(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        Ok(Checkpointed::Complete)
    }

    /// Every core's share. All answer before this returns, even if it is too late or one has failed: nothing of
    /// an aborted checkpoint is under way when the next one starts.
    async fn gather(&mut self, epoch: u64, deadline: Duration) -> Result<Gathered> {
        let (mut shares, mut failed, mut deadline) = (Vec::new(), None, Some(deadline));
        let mut waiting = self.seed.lines.len();
        while waiting > 0 {
            match self.woken(deadline).await {
                Woken::Cancelled => return Ok(Gathered::Cancelled),
                Woken::Deadline => {
                    deadline = None;
                    let message = format!("checkpoint {epoch} took longer than {:?}", self.seed.timeout);
                    let error = Error::new(ErrorKind::Checkpoint, message);
                    // Known now, although the next one waits until the last core has let go of this one.
                    self.seed.shared.note_aborted(epoch, &error);
                    failed = Some(error);
                }
                Woken::Reply(Reply::Prepared(of, parts)) if of == epoch => {
                    waiting -= 1;
                    shares.extend(parts);
                }
                Woken::Reply(Reply::Unprepared(of, error)) if of == epoch => {
                    waiting -= 1;
                    failed = Some(error);
                }
                reply => self.note(reply)?,
            }
        }
        Ok(failed.map_or(Gathered::All(shares), Gathered::Failed))
    }

    fn manifest(&self, epoch: u64, finished: bool, shares: Vec<(String, Part)>) -> Manifest {
        let mut steps: BTreeMap<String, StepManifest> = BTreeMap::new();
        for (name, part) in shares {
            let schema = self.seed.schemas[&name].clone();
            let cores = self.seed.narrow.get(&name).map(|&cores| cores.min(self.seed.lines.len()));
            let step = steps.entry(name).or_insert_with(|| StepManifest { schema, cores, parts: Vec::new() });
            step.parts.push(part);
        }
        steps.values_mut().for_each(|step| step.parts.sort_by_key(|part| part.shard));
        Manifest {
            format: form_of(&steps),
            job: self.seed.job.clone(),
            epoch,
            parent: self.last_complete,
            max_parallelism: self.seed.max_parallelism,
            shards: self.seed.lines.len(),
            finished,
            steps,
        }
    }

    fn abort(&mut self, epoch: u64, error: Error) -> Result<Checkpointed> {
        self.seed.metrics.job().aborted.add(1);
        self.seed.shared.note_aborted(epoch, &error);
        self.failures += 1;
        if self.failures > self.seed.tolerated_failures {
            let message = format!("{} checkpoints in a row failed, the last", self.failures);
            return Err(Error::new(ErrorKind::Checkpoint, message).caused_by(error));
        }
        Ok(Checkpointed::Aborted)
    }

    /// Waits until every core has committed. False if the job was cancelled.
    async fn committed(&mut self, epoch: u64) -> Result<bool> {
        let mut waiting = self.seed.lines.len();
        while waiting > 0 {
            match self.woken(None).await {
                Woken::Cancelled => return Ok(false),
                Woken::Reply(Reply::Committed(of)) if of == epoch => waiting -= 1,
                reply => self.note(reply)?,
            }
        }
        Ok(true)
    }
}

enum Gathered {
    All(Vec<(String, Part)>),
    Failed(Error),
    Cancelled,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Checkpointed {
    Complete,
    Aborted,
    Cancelled,
}
