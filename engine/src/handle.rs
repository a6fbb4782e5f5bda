//! A running job, as the program that started it sees it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millstream_ring::Bell;

use crate::checkpoint::coordinator::Ending;
use crate::checkpoint::request::{PendingSavepoint, Requests};
use crate::error::{Error, ErrorKind, Result};
use crate::failure::text_of;
use crate::host::RuntimeKind;
use crate::metrics::Metrics;
use crate::supervise::{Running, Supervision};

/// What the coordinator shares with the outside.
pub(crate) struct Shared {
    cancelled: AtomicBool,
    /// A checkpoint is asked for now.
    wanted: AtomicBool,
    /// The sources are to end.
    draining: AtomicBool,
    /// Savepoints that are asked for.
    pub(crate) requests: Requests,
    coordinator: Arc<Bell>,
    ending: Mutex<Option<Result<Ending>>>,
    last_trouble: Mutex<Option<String>>,
    pub(crate) supervision: Supervision,
}

impl Shared {
    pub(crate) fn new(supervision: Supervision) -> Arc<Shared> {
        Arc::new(Shared {
            cancelled: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            requests: Requests::default(),
            coordinator: Arc::new(Bell::new()),
            ending: Mutex::new(None),
            last_trouble: Mutex::new(None),
            supervision,
        })
    }

    /// What wakes the coordinator.
    pub(crate) fn coordinator(&self) -> &Arc<Bell> {
        &self.coordinator
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.coordinator.ring();
        self.supervision.wake();
    }

    /// Asks for a checkpoint before the next one is due.
    pub(crate) fn want_checkpoint(&self) {
        self.wanted.store(true, Ordering::Release);
        self.coordinator.ring();
    }

    pub(crate) fn wants_checkpoint(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    pub(crate) fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.coordinator.ring();
    }

    /// A drain is not taken up by another attempt, whose sources are not where they were when it was asked for.
    pub(crate) fn forget_drain(&self) {
        if self.draining.swap(false, Ordering::AcqRel) {
            self.note_trouble(
                "the job failed while it was drained, and was started again: ask again".to_owned(),
            );
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    fn save(&self, path: PathBuf, stop: bool) -> PendingSavepoint {
        let pending = self.requests.add(path, stop);
        self.coordinator.ring();
        pending
    }

    /// Whether something is asked for that can be seen to, by a coordinator that drains already, or makes a savepoint
    /// already, or not.
    pub(crate) fn asks(&self, draining: bool, saving: bool) -> bool {
        (self.is_draining() && !draining)
            || (!self.requests.is_empty() && !saving)
            || (self.wants_checkpoint() && !draining)
    }

    pub(crate) fn end(&self, ending: Result<Ending>) {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending);
    }

    pub(crate) fn note_aborted(&self, epoch: u64, error: &Error) {
        self.note_trouble(format!("checkpoint {epoch} was aborted: {error}"));
    }

    pub(crate) fn note_unsaved(&self, error: &Error) {
        self.note_trouble(format!("a savepoint was not made: {error}"));
    }

    pub(crate) fn note_unclean(&self, error: &Error) {
        self.note_trouble(format!("old checkpoint files were not removed: {error}"));
    }

    /// An object store is asked again.
    pub(crate) fn note_waiting(&self, place: &str, refusal: &impl std::fmt::Display) {
        self.note_trouble(format!("checkpoints in {place}: asked again after: {refusal}"));
    }

    fn note_trouble(&self, text: String) {
        *self.last_trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// How an attempt has ended, if it has.
    pub(crate) fn take_ending(&self) -> Option<Result<Ending>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Refuses the savepoints that are asked for once nobody makes them any more.
pub(crate) struct Closing(Arc<Shared>);

impl Closing {
    pub(crate) fn new(shared: Arc<Shared>) -> Closing {
        Closing(shared)
    }

    pub(crate) fn close(&self) {
        // What a supervised job does not get to in one attempt, the next sees to.
        if self.0.supervision.is_over() {
            self.0.requests.close();
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.close();
    }
}

/// How a run came to its end.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::Ended;
///
/// let job = Job::new("doc");
/// job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
/// assert_eq!(job.run(Config::new().cores(1))?.ended, Ended::Finished);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// All input was worked on. A later run has nothing to do.
    #[default]
    Finished,
    /// It was [drained](JobControl::drain): all was put out. A later run has nothing to do.
    Drained,
    /// It was [stopped behind a savepoint](JobControl::stop_with_savepoint), from which or from whose checkpoints a later
    /// run goes on.
    Stopped,
    /// It was [cancelled](JobControl::cancel). A later run goes on from the last checkpoint.
    Cancelled,
}

/// Counts and outcome of a run that ended.
///
/// ```
/// # use millstream::prelude::*;
/// let job = Job::new("doc");
/// job.source("numbers", generator(10, |n| n)).filter(|n| n % 2 == 0).sink("nowhere", discard());
/// let report: Report = job.run(Config::new().cores(1))?;
/// assert_eq!((report.records_in, report.records_out), (10, 5));
/// assert_eq!(report.restored, None);
/// assert!(!report.cancelled);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Records that the sources gave out in this run.
    pub records_in: u64,
    /// Records that the sinks took in this run.
    pub records_out: u64,
    /// Records that were too late for every window, in this run.
    pub late: u64,
    /// Records that could not be decoded, in this run.
    pub poison: u64,
    /// Checkpoints completed in this run.
    pub checkpoints: u64,
    /// The checkpoint that this run went on from.
    pub restored: Option<u64>,
    /// The job had ended in an earlier run: there was nothing left to do.
    pub already_finished: bool,
    /// The job was cancelled before its input ended.
    pub cancelled: bool,
    /// How the run ended, or the one before if there was nothing left to do.
    pub ended: Ended,
    /// How often the job has failed in this run and was started again. What was replayed then counts again above.
    pub restarts: u64,
    /// What it failed of when it last did: with all of its causes.
    pub last_failure: Option<String>,
    /// From start to end, by the wall.
    pub elapsed: Duration,
}

/// How an outcome is asked for, whatever drives the cores. The simulator holds this alone.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::JobControl;
///
/// let job = Job::new("doc");
/// job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
/// let running = job.start(Config::new().cores(1))?;
///
/// let control: JobControl = running.control();
/// std::thread::spawn(move || {
///     while control.metrics().sum(|shard| &shard.records_out) < 1_000 {
///         std::thread::yield_now();
///     }
///     assert_eq!(control.last_trouble(), None);
///     control.cancel();
/// });
/// assert!(running.wait()?.cancelled);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone)]
pub struct JobControl {
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Metrics,
}

impl JobControl {
    /// Asks the job to end at once, without a last checkpoint: what was not committed will not be.
    pub fn cancel(&self) {
        self.shared.cancel();
    }

    /// Asks the job to end as if its input ended here: the sources give no more records, the watermark goes to its end, so
    /// that all windows and event-time timers fire, and a last checkpoint commits all of it. A job that was drained has
    /// ended: what it has put out stands for all windows, and so a later run has nothing to do, as after the end of the
    /// input. To go on later, [stop with a savepoint](JobControl::stop_with_savepoint).
    ///
    /// A checkpoint that is under way is completed first. Until the last one there is no other: a crash on the way leaves
    /// the job at the checkpoint before, as if it had not been asked, and the next run has to be asked again.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::Ended;
    ///
    /// let job = Job::new("doc");
    /// let (sink, counts) = collect();
    /// job.source("numbers", generator(u64::MAX, |n| n as i64))
    ///     .event_time(|n| *n, Watermarks::monotonous())
    ///     .key_by(|_| 0)
    ///     .window(Tumbling::of(hours(24 * 365 * 1000)))
    ///     .reduce("count", |n, m| *n = *m.max(n))
    ///     .sink("out", sink);
    /// let running = job.start(Config::new().cores(1))?;
    /// let control = running.control();
    /// while control.metrics().sum(|shard| &shard.records_in) == 0 {
    ///     std::thread::yield_now();
    /// }
    /// control.drain();
    /// assert_eq!(running.wait()?.ended, Ended::Drained);
    /// assert_eq!(counts.take().len(), 1, "the window has fired long before its end");
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn drain(&self) {
        self.shared.drain();
    }

    /// Asks for a savepoint: a checkpoint, taken now, that is copied with all its files to a directory of its own, which
    /// must be empty or not there. The job goes on, and takes checkpoints, while the copy is made. What a run
    /// [starts from](crate::Config::from_savepoint) is complete, durable and verified when the answer says so, and not
    /// before; what an attempt has left that failed or was interrupted is refused, as it has no manifest.
    ///
    /// A savepoint needs nothing else: it may be moved, the job's own checkpoints may be removed, and no output waits in it
    /// to be committed, for that was done before it was published. Retention never removes it. One is made at a time, those
    /// asked for meanwhile wait. They are taken whether a [pause](crate::Config::min_pause_between_checkpoints) is over or
    /// not.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir()?;
    /// # let (state, saved) = (dir.path().join("state"), dir.path().join("saved"));
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(1).checkpoints(&state))?;
    /// let savepoint = running.control().savepoint(&saved).wait()?;
    /// assert_eq!(savepoint.path, saved);
    /// assert!(!running.is_over());
    /// # running.cancel();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn savepoint(&self, path: impl Into<PathBuf>) -> PendingSavepoint {
        self.shared.save(path.into(), false)
    }

    /// Asks the job to stop behind a savepoint: the sources give no records behind its barrier, windows stay open, no
    /// watermark is sent that the input has not earned, the sinks commit, and the run ends once the savepoint is complete.
    /// A later run goes on exactly there, from the savepoint or from the directory of checkpoints, which ends with the same
    /// state; one of both, for each would put out what follows.
    ///
    /// If the savepoint cannot be made, the answer says why, and the job goes on.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::Ended;
    /// # let dir = tempfile::tempdir()?;
    /// # let (state, saved) = (dir.path().join("state"), dir.path().join("saved"));
    ///
    /// let start = |config: Config| {
    ///     let job = Job::new("doc");
    ///     job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
    ///     job.start(config.cores(1))
    /// };
    /// let running = start(Config::new().checkpoints(&state))?;
    /// let savepoint = running.control().stop_with_savepoint(&saved).wait()?;
    /// assert_eq!(running.wait()?.ended, Ended::Stopped);
    ///
    /// let other = dir.path().join("other state");
    /// let running = start(Config::new().checkpoints(other).from_savepoint(&saved))?;
    /// running.cancel();
    /// assert_eq!(running.wait()?.restored, Some(savepoint.epoch));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop_with_savepoint(&self, path: impl Into<PathBuf>) -> PendingSavepoint {
        self.shared.save(path.into(), true)
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What last went wrong without ending the job: an aborted checkpoint, files that could not be removed, an object store
    /// that had to be asked again.
    pub fn last_trouble(&self) -> Option<String> {
        self.shared.last_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The outcome, once all cores have ended; `None` if the job did not get to an end. To be asked once.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::host::{RuntimeConfig, launch};
    /// # let job = Job::new("doc");
    /// # job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    ///
    /// let (mains, control) = job.into_mains(&Config::new().cores(1))?;
    /// launch(&RuntimeConfig::default(), mains)?.join()?;
    /// let report = control.outcome().expect("the job has come to its end")?;
    /// assert_eq!(report.records_in, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The error that ended the job.
    pub fn outcome(&self) -> Option<Result<Report>> {
        let ending = self.shared.supervision.is_over().then(|| self.shared.take_ending()).flatten()?;
        Some(ending.map(|ending| Report {
            records_in: self.metrics.sum(|shard| &shard.records_in),
            records_out: self.metrics.sum(|shard| &shard.records_out),
            late: self.metrics.sum(|shard| &shard.late),
            poison: self.metrics.sum(|shard| &shard.poison),
            checkpoints: self.metrics.job().checkpoints.get(),
            restored: self.shared.supervision.first_restored(),
            already_finished: ending.already_finished,
            cancelled: ending.ended == Ended::Cancelled,
            ended: ending.ended,
            restarts: self.metrics.job().restarts.get(),
            last_failure: self.failures().pop().map(|failure| failure.cause),
            elapsed: Duration::ZERO,
        }))
    }
}

/// A job that was started. Dropping the handle cancels the job and waits for its threads.
///
/// ```
/// # use millstream::prelude::*;
/// let job = Job::new("doc");
/// job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
/// let running: JobHandle = job.start(Config::new().cores(1))?;
/// if let Some(why) = running.fallback() {
///     assert_eq!(running.runtime(), RuntimeKind::Threads, "{why}");
/// }
/// while running.metrics().sum(|shard| &shard.records_in) == 0 {
///     std::thread::yield_now();
/// }
/// assert!(!running.is_over());
/// running.cancel();
/// assert!(running.wait()?.cancelled);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct JobHandle {
    control: JobControl,
    running: Option<Running>,
    started: Instant,
}

impl JobHandle {
    pub(crate) fn new(control: JobControl, running: Running) -> JobHandle {
        JobHandle { control, running: Some(running), started: Instant::now() }
    }

    /// The counters, live.
    pub fn metrics(&self) -> &Metrics {
        self.control.metrics()
    }

    /// A handle to cancel and watch the job from another thread.
    pub fn control(&self) -> JobControl {
        self.control.clone()
    }

    /// Asks the job to end at once, without a last checkpoint.
    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// As [`JobControl::drain`].
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(1))?;
    /// running.drain();
    /// assert_eq!(running.wait()?.ended, millstream::Ended::Drained);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn drain(&self) {
        self.control.drain();
    }

    /// As [`JobControl::savepoint`].
    pub fn savepoint(&self, path: impl Into<PathBuf>) -> PendingSavepoint {
        self.control.savepoint(path)
    }

    /// As [`JobControl::stop_with_savepoint`].
    pub fn stop_with_savepoint(&self, path: impl Into<PathBuf>) -> PendingSavepoint {
        self.control.stop_with_savepoint(path)
    }

    /// Asks the job to go on with another number of cores; see [`JobControl::rescale`].
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(1))?;
    /// let refused = running.rescale(2).unwrap_err();
    /// assert!(refused.to_string().contains("needs a directory of checkpoints"), "{refused}");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As those of [`JobControl::rescale`].
    pub fn rescale(&self, cores: usize) -> Result<()> {
        self.control.rescale(cores)
    }

    /// What drives the cores.
    pub fn runtime(&self) -> RuntimeKind {
        self.running().kind
    }

    /// Why io_uring is not used although it was asked for, if so.
    pub fn fallback(&self) -> Option<String> {
        self.running().fallback.clone()
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("kept until the job has ended")
    }

    /// Whether the job has ended: [`JobHandle::wait`] would return at once.
    pub fn is_over(&self) -> bool {
        self.control.shared.supervision.is_over()
    }

    /// Waits for the job to end.
    ///
    /// # Errors
    /// The error that ended the job.
    pub fn wait(mut self) -> Result<Report> {
        let running = self.running.take().expect("kept until the job has ended");
        let joined = running.thread.join();
        let elapsed = self.started.elapsed();
        match self.control.outcome() {
            Some(outcome) => outcome.map(|report| Report { elapsed, ..report }),
            None => {
                let error = Error::new(ErrorKind::Host, "the thread that supervises the job has failed");
                Err(match joined {
                    Err(panic) => error.caused_by(text_of(&*panic)),
                    Ok(()) => error,
                })
            }
        }
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.control.cancel();
            // Its outcome was not asked for.
            let _ = running.thread.join();
        }
    }
}
