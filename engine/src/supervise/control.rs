//! What those outside may ask of the supervision, and what it tells them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::failure::{Failure, Failures};
use crate::handle::JobControl;
use crate::metrics::Metrics;

/// What the supervision shares with the outside, and with the coordinators of the attempts.
pub(crate) struct Supervision {
    /// The number of key groups and whether there are checkpoints; nothing if the job is run once, by somebody else.
    limits: Option<(u32, bool)>,
    over: AtomicBool,
    cores: AtomicUsize,
    /// The number of cores that was asked for last, since an attempt started; or 0.
    wanted: AtomicUsize,
    /// The checkpoint that the first attempt went on from.
    restored: OnceLock<Option<u64>>,
    /// When the last attempt stopped, in nanoseconds of the hosts' monotone clock, and 1; 0 if there was none.
    stopped: AtomicU64,
    pub(crate) failures: Failures,
    /// Held by nobody for long; what it guards is `cancelled`, which is elsewhere.
    pausing: Mutex<()>,
    cancelled: Condvar,
}

impl Supervision {
    /// Of a job with so many key groups, with checkpoints or without.
    pub(crate) fn of(groups: u32, durable: bool) -> Supervision {
        Supervision { limits: Some((groups, durable)), ..Supervision::none() }
    }

    /// Of a job that is run once.
    pub(crate) fn none() -> Supervision {
        Supervision {
            limits: None,
            over: AtomicBool::new(false),
            cores: AtomicUsize::new(0),
            wanted: AtomicUsize::new(0),
            restored: OnceLock::new(),
            stopped: AtomicU64::new(0),
            failures: Failures::default(),
            pausing: Mutex::new(()),
            cancelled: Condvar::new(),
        }
    }

    /// Whether the end of an attempt is the end of the job.
    pub(crate) fn is_over(&self) -> bool {
        self.limits.is_none() || self.over.load(Ordering::Acquire)
    }

    pub(super) fn finish(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// An attempt starts on so many cores.
    pub(crate) fn begin(&self, cores: usize) {
        self.cores.store(cores, Ordering::Release);
    }

    /// Whether the job is to stop behind the next checkpoint, to go on with other cores.
    pub(crate) fn wants_rescale(&self) -> bool {
        let wanted = self.wanted.load(Ordering::Acquire);
        wanted != 0 && wanted != self.cores.load(Ordering::Acquire)
    }

    pub(super) fn take_wanted(&self) -> Option<usize> {
        Some(self.wanted.swap(0, Ordering::AcqRel)).filter(|&cores| cores > 0)
    }

    /// Asks for another number of cores. Returns whether it is another.
    fn want(&self, cores: usize) -> Result<bool> {
        let refuse = |kind, message: String| Err(Error::new(kind, message));
        let Some((groups, durable)) = self.limits else {
            let message = "the job runs on the cores that it was given by `into_mains`; to change their number, \
                           start it by `start`, or drive it by `into_attempts`";
            return refuse(ErrorKind::Job, message.to_owned());
        };
        if cores == 0 {
            return refuse(ErrorKind::Config, "rescale to 0 cores; a job needs at least one".to_owned());
        }
        if cores > groups as usize {
            let message = format!(
                "rescale to {cores} cores but max_parallelism is {groups}: a core would own no key group"
            );
            return refuse(ErrorKind::Config, message);
        }
        if !durable {
            let message = "rescale needs a directory of checkpoints, to carry the state over; set \
                           `Config::checkpoints`";
            return refuse(ErrorKind::Config, message.to_owned());
        }
        if self.over.load(Ordering::Acquire) {
            return refuse(ErrorKind::Job, "the job has ended: there is nothing to rescale".to_owned());
        }
        // Also if it is the number that there is: the job may just be going on to another one.
        self.wanted.store(cores, Ordering::Release);
        Ok(cores != self.cores.load(Ordering::Acquire))
    }

    /// An attempt has restored what it goes on from.
    pub(crate) fn note_restored(&self, epoch: Option<u64>) {
        self.restored.get_or_init(|| epoch);
    }

    /// The checkpoint that the first attempt went on from.
    pub(crate) fn first_restored(&self) -> Option<u64> {
        self.restored.get().copied().flatten()
    }

    /// An attempt stops.
    pub(crate) fn note_stopped(&self, now: Duration) {
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX - 1);
        self.stopped.store(nanos + 1, Ordering::Release);
    }

    /// The steps of an attempt are open.
    pub(crate) fn note_opened(&self, now: Duration, metrics: &Metrics) {
        if let Some(stopped) = self.stopped.swap(0, Ordering::AcqRel).checked_sub(1) {
            let pause = now.saturating_sub(Duration::from_nanos(stopped));
            metrics.job().last_pause.set(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// The job was cancelled: it is not waited for any more.
    pub(crate) fn wake(&self) {
        let held = self.pausing.lock().unwrap_or_else(PoisonError::into_inner);
        self.cancelled.notify_all();
        drop(held);
    }

    /// Waits for so long, or until the job is cancelled.
    pub(super) fn pause(&self, duration: Duration, is_cancelled: impl Fn() -> bool) {
        let held = self.pausing.lock().unwrap_or_else(PoisonError::into_inner);
        // Poisoned or not, late or not: the caller looks.
        drop(self.cancelled.wait_timeout_while(held, duration, |()| !is_cancelled()));
    }
}

impl JobControl {
    /// Asks a running job to go on with another number of cores: it takes a checkpoint, commits its output, stops, and starts
    /// again in the same process on so many cores, from that checkpoint. No record is lost, and none is put out twice. It
    /// returns at once; [`JobControl::cores`] tells when it has happened, and
    /// [`last_pause`](crate::metrics::JobMetrics::last_pause) how long the job stood still. If the checkpoint fails the job
    /// runs on, and tries again with the next one. A job that ends first does not change.
    ///
    /// Steps that are [given](crate::Config::parallelism) fewer cores keep these.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir().unwrap();
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(1).checkpoints(dir.path()))?;
    /// let control = running.control();
    /// control.rescale(2)?;
    /// while control.cores() != 2 {
    ///     std::thread::yield_now();
    /// }
    /// running.cancel();
    /// assert!(running.wait()?.cancelled);
    /// assert_eq!(control.metrics().job().rescales.get(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If that is no core or more than [`max_parallelism`](crate::Config::max_parallelism), the job keeps no checkpoints, has
    /// ended, or was started by [`Job::into_mains`](crate::Job::into_mains).
    pub fn rescale(&self, cores: usize) -> Result<()> {
        if self.shared.supervision.want(cores)? {
            self.shared.want_checkpoint();
        }
        Ok(())
    }

    /// The number of cores that the job runs on, or, between two attempts, has run on last; 0 if it was not started yet.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let job = Job::new("doc");
    /// # job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(2))?;
    /// assert_eq!(running.control().cores(), 2);
    /// running.wait()?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn cores(&self) -> usize {
        self.shared.supervision.cores.load(Ordering::Acquire)
    }

    /// The last failures of a job that is [supervised](crate::supervise), 64 at most, the oldest first: those that it was started
    /// again after, and the one that ended it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// job.source("numbers", from_vec(vec![1, 0])).map(|n| 1 / n).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(1))?;
    /// let control = running.control();
    /// assert!(running.wait().is_err());
    /// let failures = control.failures();
    /// assert_eq!(failures.len(), 1);
    /// assert!(failures[0].cause.contains("divide by zero"), "{}", failures[0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn failures(&self) -> Vec<Failure> {
        self.shared.supervision.failures.all()
    }
}

#[cfg(test)]
mod tests {
    use super::Supervision;

    #[test]
    fn the_last_number_of_cores_that_was_asked_for_counts_also_while_the_job_goes_on_to_another() {
        let supervision = Supervision::of(128, true);
        supervision.begin(2);
        assert!(supervision.want(4).expect("it can be") && supervision.wants_rescale());
        // An attempt on four cores is about to begin: those that there are, are still two.
        assert_eq!(supervision.take_wanted(), Some(4));
        assert!(!supervision.want(2).expect("it can be"));
        supervision.begin(4);
        assert!(supervision.wants_rescale(), "two were asked for last");
        assert_eq!(supervision.take_wanted(), Some(2));
        supervision.begin(2);
        assert!(!supervision.want(2).expect("it can be") && !supervision.wants_rescale());
    }
}
