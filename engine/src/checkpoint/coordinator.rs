//! The coordinator: one per job, beside the driver of core 0.
//!
//! It restores, triggers checkpoints one at a time, completes each by its manifest, has the sinks commit, and ends
//! the job: after the final checkpoint when the input has ended, at once when the job fails or is cancelled.

mod attempt;
mod remote;
mod restore;
mod saving;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millstream_ring::Bell;
use millstream_storage::planted;

use crate::checkpoint::control::{Line, Order, Reply, StepShare};
use crate::checkpoint::coordinator::attempt::{Attempt, Last};
use crate::checkpoint::coordinator::remote::{Replicated, Uploading};
use crate::checkpoint::coordinator::saving::Saving;
use crate::checkpoint::description::JobDescription;
use crate::checkpoint::directory::{Directory, Unpublished};
use crate::checkpoint::manifest::{Manifest, ManifestKind, StepManifest, form_of};
use crate::checkpoint::remote::Remote;
use crate::checkpoint::remote::chain::Chain;
use crate::checkpoint::remote::patience::Watch;
use crate::checkpoint::request::Ask;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Closing, Ended, Shared};
use crate::host::{Host, LocalFuture};
use crate::metrics::{CheckpointPurpose as Purpose, CheckpointStats, Metrics};
use crate::sink::{Prepared, SinkContext};

/// Brings a sink's earlier output in order before the job starts.
pub(crate) type RecoverSink = Box<dyn FnOnce(SinkContext, Vec<Prepared>) -> LocalFuture<Result<()>> + Send>;

/// How long to wait after a checkpoint has failed, for a job that takes none by itself.
const PAUSE: Duration = Duration::from_secs(1);

/// What the coordinator has to know of the job.
pub(crate) struct CoordinatorSeed {
    pub job: JobDescription,
    /// How often the job was started before, in this process.
    pub attempt: u64,
    /// The steps that are on fewer cores than all.
    pub narrow: BTreeMap<String, usize>,
    pub sinks: Vec<(String, RecoverSink)>,
    pub lines: Vec<Line>,
    pub bell: Arc<Bell>,
    pub shared: Arc<Shared>,
    /// Whatever becomes of the job, nobody waits for its savepoints for ever.
    pub closing: Closing,
    pub metrics: Metrics,
    pub checkpoints: Option<PathBuf>,
    /// Where they are complete, if that is not the directory.
    pub remote: Option<Arc<dyn Remote>>,
    /// What to start from if there is no checkpoint yet.
    pub savepoint: Option<PathBuf>,
    /// The checkpoint that is replayed from, instead of the last; nothing is removed then.
    pub replayed: Option<u64>,
    pub every: Option<Duration>,
    pub min_pause: Option<Duration>,
    pub timeout: Duration,
    /// How long barriers wait behind records.
    pub unaligned_after: Option<Duration>,
    pub tolerated_failures: u32,
    pub retained: usize,
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    /// The job had ended before: there was nothing to do.
    pub already_finished: bool,
    pub ended: Ended,
    /// It stopped behind a checkpoint, to go on with another number of cores.
    pub rescaling: bool,
}

struct Coordinator {
    seed: CoordinatorSeed,
    host: Rc<dyn Host>,
    directory: Option<Directory>,
    chain: Option<Rc<Chain>>,
    /// Of the store that the chain is in.
    watch: Rc<Watch>,
    uploading: Option<Uploading>,
    next_epoch: u64,
    last_complete: Option<u64>,
    drained: usize,
    /// The sources were told to end.
    draining: bool,
    /// Checkpoints that failed since one succeeded.
    failures: u32,
    /// When it began to take checkpoints, and when the last one was.
    begun: Duration,
    last: Option<Last>,
    /// The state files of the last complete checkpoint.
    last_files: BTreeSet<String>,
    /// The savepoint that is being made.
    saving: Option<Saving>,
}

/// Why the coordinator goes on.
enum Woken {
    Reply(Reply),
    Deadline,
    Cancelled,
    /// The copy of a savepoint is over.
    Saved,
    /// The upload of a checkpoint is over.
    Uploaded,
    Asked(Ask),
    Drain,
}

/// What it looks at besides replies and a cancellation, while it waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Heed {
    Nothing,
    Copies,
    Requests,
}

/// Runs the job from restore to end, and tells the cores to stop. Returns its directory, if it has one, under its lease: to be
/// held until nothing of this core runs any more.
pub(crate) async fn coordinate(seed: CoordinatorSeed, host: Rc<dyn Host>) -> Option<Directory> {
    let shared = seed.shared.clone();
    let watch = Watch::new(Some(shared.clone()));
    let mut coordinator = Coordinator {
        seed,
        watch,
        host,
        directory: None,
        chain: None,
        uploading: None,
        next_epoch: 1,
        last_complete: None,
        drained: 0,
        draining: false,
        failures: 0,
        begun: Duration::ZERO,
        last: None,
        last_files: BTreeSet::new(),
        saving: None,
    };
    coordinator.seed.metrics.job().history.begin();
    let ending = coordinator.run().await;
    shared.supervision.note_stopped(coordinator.host.monotonic());
    shared.end(ending);
    coordinator.saving = None;
    coordinator.seed.closing.close();
    coordinator.order(&Order::Stop);
    coordinator.all_gone().await;
    coordinator.directory
}

impl Coordinator {
    async fn run(&mut self) -> Result<Ending> {
        let (restored, finished) = match self.restore().await {
            Err(_) if self.watch.gave_up() => {
                return Ok(Ending { ended: Ended::Cancelled, ..Ending::default() });
            }
            restored => restored?,
        };
        self.seed.shared.supervision.note_restored(restored.epoch);
        if let Some(ended) = finished {
            // If not, an earlier attempt has ended it, and failed to commit.
            let already_finished = self.seed.attempt == 0;
            return Ok(Ending { already_finished, ended, rescaling: false });
        }
        self.order(&Order::Open(Arc::new(restored)));
        let ended = if self.opened().await? {
            self.seed.shared.supervision.note_opened(self.host.monotonic(), &self.seed.metrics);
            self.supervise().await?
        } else {
            Some(Ended::Cancelled)
        };
        Ok(Ending { already_finished: false, ended: ended.unwrap_or_default(), rescaling: ended.is_none() })
    }

    fn order(&mut self, order: &Order) {
        self.seed.lines.iter_mut().for_each(|line| line.order(order.clone()));
    }

    /// Waits until no core runs any more: the lease is not given back while somebody may still write.
    async fn all_gone(&mut self) {
        let CoordinatorSeed { lines, bell, .. } = &mut self.seed;
        // Whoever rings may be one of several.
        while !lines.iter().all(Line::is_closed) {
            bell.wait(|| lines.iter().all(Line::is_closed)).await;
            if planted!(lease_given_back_early) {
                return;
            }
        }
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

    /// Triggers checkpoints and does what is asked until the job ends, and says how; nothing if it stops to be laid
    /// out on other cores.
    async fn supervise(&mut self) -> Result<Option<Ended>> {
        self.begun = self.host.monotonic();
        loop {
            if self.drained == self.seed.lines.len() {
                return self.finish().await.map(Some);
            }
            // What a drain has fired must not be in a checkpoint from which the sources go on.
            let due =
                if self.draining && !planted!(checkpoint_while_draining) { None } else { self.next_due() };
            match self.wait(due, Heed::Requests).await {
                Woken::Cancelled if planted!(cancelled_is_finished) => return Ok(Some(Ended::Finished)),
                Woken::Cancelled => return Ok(Some(Ended::Cancelled)),
                Woken::Deadline => {
                    match self.checkpoint(Purpose::Recovery).await? {
                        Checkpointed::Cancelled => return Ok(Some(Ended::Cancelled)),
                        // All output is committed: nothing is lost that is not read again.
                        Checkpointed::Complete(_) if self.wants_rescale() => {
                            self.finish_saving().await?;
                            return Ok(None);
                        }
                        _ => {}
                    }
                }
                Woken::Saved => drop(self.saved()),
                Woken::Asked(ask) => {
                    if let Some(ended) = self.obey(ask).await? {
                        return Ok(Some(ended));
                    }
                }
                Woken::Drain => {
                    self.draining = true;
                    self.order(&Order::Drain);
                }
                reply => self.note(reply)?,
            }
        }
    }

    /// The last checkpoint, once all input has been worked on.
    async fn finish(&mut self) -> Result<Ended> {
        let ended = if self.draining { Ended::Drained } else { Ended::Finished };
        if planted!(ended_without_checkpoint) {
            return Ok(ended);
        }
        loop {
            match self.checkpoint(Purpose::End).await? {
                Checkpointed::Complete(_) => break,
                Checkpointed::Cancelled => return Ok(Ended::Cancelled),
                Checkpointed::Aborted(_) => {}
            }
            // What failed may be possible a little later, and the output is not committed before it is.
            let pause = self.seed.every.unwrap_or(Duration::from_secs(1));
            let until = self.host.monotonic().saturating_add(pause);
            match self.woken(Some(until)).await {
                Woken::Cancelled => return Ok(Ended::Cancelled),
                Woken::Deadline => {}
                reply => self.note(reply)?,
            }
        }
        self.finish_saving().await?;
        Ok(ended)
    }

    /// Removes what no retained checkpoint needs. What cannot be removed now is in nobody's way: the next checkpoint
    /// tries again.
    async fn clean_up(&self, complete: Option<u64>) {
        let Some(directory) = self.directory.as_ref().filter(|_| self.seed.replayed.is_none()) else {
            return;
        };
        let copied = self.saving.as_ref().map(|saving| saving.epoch);
        if let Err(error) = directory.retire(self.seed.retained, complete, copied).await {
            self.seed.shared.note_unclean(&error);
        }
    }

    fn wants_rescale(&self) -> bool {
        self.seed.shared.supervision.wants_rescale()
    }

    /// When the next checkpoint starts by itself.
    fn next_due(&self) -> Option<Duration> {
        // What has failed once is tried again, also by a job that takes no checkpoints by itself.
        let every = self.seed.every.or(self.wants_rescale().then_some(PAUSE))?;
        let Some(Last { triggered, ended }) = self.last else {
            return Some(self.begun.saturating_add(every));
        };
        let ended = if planted!(pause_from_trigger) { triggered } else { ended };
        let paused = ended.saturating_add(self.seed.min_pause.unwrap_or(every));
        Some(paused.max(triggered.saturating_add(every)))
    }

    /// One checkpoint, from trigger to commit.
    async fn checkpoint(&mut self, purpose: Purpose) -> Result<Checkpointed> {
        let epoch = self.next_epoch;
        // Whatever becomes of it, its number is used.
        self.next_epoch += 1;
        let mut attempt = Attempt::begin(&*self.host, epoch, purpose, self.last);
        self.seed.metrics.job().history.note(&attempt.stats);
        if let Some(directory) = &self.directory
            && let Err(error) = directory.claim(epoch).await
        {
            return self.abort(attempt, error);
        }
        self.order(&Order::Checkpoint(epoch));
        let deadline = attempt.triggered.saturating_add(self.seed.timeout);
        let (shares, failed) = match self.gather(epoch, purpose, deadline).await? {
            Some(gathered) => gathered,
            None => return Ok(Checkpointed::Cancelled),
        };
        attempt.take(&shares, &self.last_files);
        if let Some(error) = failed {
            return self.abort(attempt, error);
        }
        if planted!(commit_before_manifest) {
            self.order(&Order::Commit(epoch));
        }
        let mut complete = None;
        if let Some(directory) = &self.directory {
            let manifest = self.manifest(&attempt, shares);
            match directory.publish(&manifest).await {
                Ok(()) => {}
                Err(Unpublished::Void(error)) => return self.abort(attempt, error),
                Err(Unpublished::Unknown(error)) => return Err(error),
            }
            match self.replicate(&manifest, &mut attempt, deadline).await? {
                Replicated::Complete => {}
                Replicated::Void(error) => return self.abort(attempt, error),
                Replicated::Cancelled => return Ok(Checkpointed::Cancelled),
            }
            self.last_files = manifest.files().into_iter().map(str::to_owned).collect();
            complete = Some(Box::new(manifest));
        }
        self.failures = 0;
        self.last_complete = Some(epoch);
        attempt.settle(self.host.monotonic());
        self.seed.metrics.job().history.note(&attempt.stats);
        if planted!(rescales_before_commit) && self.wants_rescale() {
            return Ok(Checkpointed::Complete(None));
        }
        self.order(&Order::Commit(epoch));
        if !self.committed(epoch).await? {
            return Ok(Checkpointed::Cancelled);
        }
        attempt.committed(self.host.monotonic());
        self.clean_up(Some(epoch)).await;
        self.clean_up_remote();
        let took = self.over(attempt);
        let metrics = self.seed.metrics.job();
        metrics.checkpoints.add(1);
        metrics.last_epoch.set(epoch);
        metrics.last_duration.set(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        Ok(Checkpointed::Complete(complete))
    }

    /// Keeps what was measured of an attempt. Returns how long it took.
    fn over(&mut self, attempt: Attempt) -> Duration {
        let ended = self.host.monotonic();
        self.last = Some(Last { triggered: attempt.triggered, ended });
        self.seed.metrics.job().history.add(attempt.stats);
        ended.saturating_sub(attempt.triggered)
    }

    /// Every core's share, and why they are not a checkpoint, if so; nothing if the job was cancelled. All answer before
    /// this returns, even if it is too late or one has failed: nothing of an aborted checkpoint is under way when the next
    /// one starts.
    async fn gather(
        &mut self,
        epoch: u64,
        purpose: Purpose,
        deadline: Duration,
    ) -> Result<Option<(Vec<StepShare>, Option<Error>)>> {
        let (mut shares, mut failed, mut deadline) = (Vec::new(), None, Some(deadline));
        // A savepoint stands by itself: nothing is on its way in it.
        let patience = self.seed.unaligned_after.filter(|_| purpose == Purpose::Recovery);
        let mut overtake = patience.map(|patience| self.host.monotonic().saturating_add(patience));
        let mut waiting = self.seed.lines.len();
        while waiting > 0 {
            let first = overtake.into_iter().chain(deadline).min();
            match self.woken(first).await {
                Woken::Cancelled => return Ok(None),
                Woken::Deadline if overtake.is_some_and(|at| Some(at) == first) => {
                    overtake = None;
                    self.order(&Order::Overtake(epoch));
                }
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
        Ok(Some((shares, failed)))
    }

    fn manifest(&self, attempt: &Attempt, shares: Vec<StepShare>) -> Manifest {
        let CheckpointStats { epoch, purpose, triggered: taken, .. } = attempt.stats;
        let mut steps: BTreeMap<String, StepManifest> = BTreeMap::new();
        for StepShare { step: name, part, .. } in shares {
            let schema = self.seed.job.schemas[&name].clone();
            let cores = self.seed.narrow.get(&name).map(|&cores| cores.min(self.seed.lines.len()));
            let step = steps.entry(name).or_insert_with(|| StepManifest { schema, cores, parts: Vec::new() });
            step.parts.push(part);
        }
        steps.values_mut().for_each(|step| step.parts.sort_by_key(|part| part.shard));
        let finished = purpose == Purpose::End;
        Manifest {
            format: form_of(&steps),
            job: self.seed.job.job.clone(),
            epoch,
            parent: self.last_complete.filter(|_| !planted!(parent_forgotten)),
            max_parallelism: self.seed.job.max_parallelism,
            taken: Some(taken),
            shards: self.seed.lines.len(),
            finished,
            drained: finished && self.draining,
            kind: ManifestKind::Checkpoint,
            steps,
        }
    }

    fn abort(&mut self, mut attempt: Attempt, error: Error) -> Result<Checkpointed> {
        if planted!(aborted_number_reused) {
            self.next_epoch = attempt.stats.epoch;
        }
        let why = error.to_string();
        attempt.settle(self.host.monotonic());
        attempt.stats.aborted = Some(why.clone());
        self.seed.metrics.job().aborted.add(1);
        self.seed.shared.note_aborted(attempt.stats.epoch, &error);
        self.over(attempt);
        self.failures += 1;
        if self.failures > self.seed.tolerated_failures || planted!(first_refusal_ends) {
            let message = format!("{} checkpoints in a row failed, the last", self.failures);
            return Err(Error::new(ErrorKind::Checkpoint, message).caused_by(error));
        }
        Ok(Checkpointed::Aborted(why))
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

/// What became of a checkpoint.
enum Checkpointed {
    /// It is complete and committed, and its manifest, if there is a directory for it.
    Complete(Option<Box<Manifest>>),
    /// Why it was.
    Aborted(String),
    Cancelled,
}
