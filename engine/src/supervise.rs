//! Supervision: a job that has failed, or that is to go on with another number of cores, is started again in the same process.
//!
//! One start of the job, from its last checkpoint to its end or its failure, is an attempt. [`Attempts`] makes one after the
//! other. Each is laid out anew, from the same graph: other rings, other stages, state read back from the checkpoint, sinks
//! brought in order first; what goes on is the counters, and the one who holds the [`JobControl`].
//!
//! It is a machine without a clock, a thread or a wait of its own: whoever drives it tells it the time and a random number, runs
//! what it is given to run, and waits when it is told to. So it is the same code everywhere:
//! - [`Job::start`](crate::Job::start) drives it in a thread that sleeps while the job runs. Each attempt's cores are threads that
//!   have all ended, with everything they held, before the next attempt's are started.
//! - The simulator takes it from [`Job::into_attempts`](crate::Job::into_attempts), runs each attempt's cores in its world, and
//!   lets virtual time pass in between. A process that it kills takes its `Attempts` with it.
//!
//! Without a directory of checkpoints there is nothing to go on from: a job that began anew would put out again what it had
//! put out. Strategies of restart and changes of the number of cores are refused then.

mod control;
mod thread;

use std::time::Duration;

use crate::checkpoint::coordinator::Ending;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Ends;
use crate::handle::{Ended, JobControl, Shared};
use crate::host::{CoreMain, HostError};
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::restart::Patience;
use crate::time::Timestamp;

pub(crate) use control::Supervision;
pub(crate) use thread::{Running, start};

/// The starts of a job, one after the other. Made by [`Job::into_attempts`](crate::Job::into_attempts).
///
/// A driver of one's own, on threads:
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::host::{RuntimeConfig, launch};
/// use millstream::supervise::{Attempts, Moment, Next};
/// use std::time::Instant;
/// # let dir = tempfile::tempdir()?;
///
/// let job = Job::new("doc");
/// let (sink, numbers) = collect();
/// job.source("numbers", from_vec(vec![1, 2, 3])).sink("out", sink);
/// let config = Config::new().cores(1).checkpoints(dir.path()).restart(Restart::fixed_delay(3, secs(1)));
///
/// let begun = Instant::now();
/// let mut attempts: Attempts = job.into_attempts(&config)?;
/// loop {
///     match attempts.next(Moment { monotonic: begun.elapsed(), wall_millis: 0, random: 4 }) {
///         Next::Start(mains) => {
///             if let Err(error) = launch(&RuntimeConfig::default(), mains)?.join() {
///                 attempts.died(error);
///             }
///         }
///         Next::Wait(duration) => std::thread::sleep(duration),
///         Next::Over => break,
///     }
/// }
/// assert_eq!(attempts.control().outcome().expect("it is over")?.restarts, 0);
/// assert_eq!(numbers.take(), [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Attempts {
    plan: Plan,
    control: JobControl,
    patience: Patience,
    stage: Stage,
    /// Those of the last attempt.
    cores: usize,
    /// Attempts that were started.
    started: u64,
    /// Why the cores of this attempt have ended before it, if they say so.
    died: Option<Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ready,
    Running,
    /// Until then, by the driver's monotone clock.
    Waiting(Duration),
    Over,
}

/// What the driver of [`Attempts`] is to do.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::supervise::{Moment, Next};
/// # use std::time::Duration;
/// # let job = Job::new("doc");
/// # job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
/// let mut attempts = job.into_attempts(&Config::new().cores(2))?;
/// let Next::Start(mains) = attempts.next(Moment::default()) else { panic!("first of all it starts") };
/// assert_eq!(mains.len(), 2);
/// # Ok::<(), Error>(())
/// ```
pub enum Next {
    /// Run these, one on each core, and ask again when all have ended.
    Start(Vec<CoreMain>),
    /// Ask again after so long; sooner if the job is cancelled.
    Wait(Duration),
    /// There is nothing more to do: [`JobControl::outcome`] is there.
    Over,
}

/// What the driver of [`Attempts`] tells it of the world.
///
/// ```
/// use millstream::supervise::Moment;
/// let moment = Moment { random: 17, ..Moment::default() };
/// assert!(moment.monotonic.is_zero());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Time since any start, monotone, the same for all attempts.
    pub monotonic: Duration,
    /// Milliseconds since the epoch.
    pub wall_millis: Timestamp,
    /// A random number, drawn anew each time.
    pub random: u64,
}

impl Attempts {
    pub(crate) fn new(plan: Plan) -> Attempts {
        let config = plan.config();
        let supervision = Supervision::of(config.groups(), config.checkpoints.is_some());
        let control = JobControl { shared: Shared::new(supervision), metrics: Metrics::new(config.cores) };
        let (cores, patience) = (config.cores, Patience::new(config.restart));
        Attempts { plan, control, patience, stage: Stage::Ready, cores, started: 0, died: None }
    }

    /// How the job is watched and told what to do.
    pub fn control(&self) -> JobControl {
        self.control.clone()
    }

    /// What to do now. To be asked again when that is done: when all cores have ended, or the time has passed.
    pub fn next(&mut self, now: Moment) -> Next {
        loop {
            match self.stage {
                Stage::Ready => return Next::Start(self.start()),
                Stage::Running => self.judge(now),
                Stage::Waiting(_) if self.control.shared.is_cancelled() => {
                    self.finish(Ok(Ending { ended: Ended::Cancelled, ..Ending::default() }));
                }
                Stage::Waiting(until) if until > now.monotonic => return Next::Wait(until - now.monotonic),
                Stage::Waiting(_) => self.stage = Stage::Ready,
                Stage::Over => return Next::Over,
            }
        }
    }

    /// Tells that the cores have ended because one of them has panicked.
    pub fn died(&mut self, error: HostError) {
        let error = Error::new(ErrorKind::User, "a core failed outside of any step").caused_by(error);
        self.died = Some(error);
    }

    /// Tells that the cores of an attempt cannot be started: the job is over.
    pub(crate) fn refused(&mut self, error: Error) {
        self.finish(Err(error));
    }

    fn start(&mut self) -> Vec<CoreMain> {
        let supervision = &self.control.shared.supervision;
        if let Some(cores) = supervision.take_wanted()
            && cores != self.cores
        {
            self.cores = cores;
            self.control.metrics.job().rescales.add(1);
        }
        supervision.begin(self.cores);
        self.stage = Stage::Running;
        self.started += 1;
        self.plan.mains(self.cores, self.started - 1, &self.control, Ends::Own)
    }

    /// All cores have ended.
    fn judge(&mut self, now: Moment) {
        let died = self.died.take();
        let ending = self.control.shared.take_ending().unwrap_or_else(|| {
            let silent = || Error::new(ErrorKind::Host, "the job's cores ended before the job");
            Err(died.unwrap_or_else(silent))
        });
        match ending {
            Ok(ending) if ending.rescaling => self.stage = Stage::Ready,
            Ok(ending) => self.finish(Ok(ending)),
            Err(error) => self.fail(error, now),
        }
    }

    fn fail(&mut self, error: Error, now: Moment) {
        let restarts = &self.control.metrics.job().restarts;
        self.control.shared.supervision.failures.note(now.wall_millis, &error, restarts.get());
        let delay = match is_mendable(&error) && !self.control.shared.is_cancelled() {
            true => self.patience.after_failure(now.monotonic, now.random),
            false => None,
        };
        match delay {
            Some(delay) => {
                restarts.add(1);
                self.control.shared.forget_drain();
                self.stage = Stage::Waiting(now.monotonic.saturating_add(delay));
            }
            None if restarts.get() == 0 => self.finish(Err(error)),
            None => {
                let restarts = restarts.get();
                self.finish(Err(
                    error.at(format_args!("the job was started again {restarts} times, and failed"))
                ));
            }
        }
    }

    fn finish(&mut self, ending: Result<Ending>) {
        self.stage = Stage::Over;
        self.control.shared.end(ending);
        self.control.shared.supervision.finish();
        self.control.shared.requests.close();
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        self.control.shared.requests.close();
    }
}

/// Whether the job may do better if it is started again.
fn is_mendable(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Job | ErrorKind::Config | ErrorKind::Host | ErrorKind::Fenced => false,
        // What is damaged or of another job stays so. That files could not be opened passes.
        ErrorKind::Restore => error.lacks_room(),
        ErrorKind::Source
        | ErrorKind::Sink
        | ErrorKind::Exhausted
        | ErrorKind::User
        | ErrorKind::Checkpoint => true,
    }
}
