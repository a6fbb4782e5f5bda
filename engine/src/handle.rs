//! A running job, as the program that started it sees it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millstream_ring::Bell;

use crate::checkpoint::coordinator::Ending;
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

    pub(crate) fn end(&self, ending: Result<Ending>) {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending);
    }

    pub(crate) fn note_aborted(&self, epoch: u64, error: &Error) {
        self.note_trouble(format!("checkpoint {epoch} was aborted: {error}"));
    }

    pub(crate) fn note_unclean(&self, error: &Error) {
        self.note_trouble(format!("old checkpoint files were not removed: {error}"));
    }

    fn note_trouble(&self, text: String) {
        *self.last_trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// How an attempt has ended, if it has.
    pub(crate) fn take_ending(&self) -> Option<Result<Ending>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
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

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What last went wrong without ending the job: an aborted checkpoint, files that could not be removed.
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
            cancelled: ending.cancelled,
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
