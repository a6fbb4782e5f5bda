//! Strategies of restarting a job that has failed: how often, and after how long.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// What becomes of a job that fails, as [`Config::restart`](crate::Config::restart) sets it: it ends with its error, or it is
/// started again in the same process, from its last checkpoint. What no restart can mend ends it all the same: a job or
/// settings that are not well formed, a checkpoint that is refused, a machine that refuses what the job needs.
///
/// ```
/// # use millstream::prelude::*;
/// # use std::sync::atomic::{AtomicBool, Ordering};
/// # let dir = tempfile::tempdir().unwrap();
/// static FAILED: AtomicBool = AtomicBool::new(false);
/// let job = Job::new("doc");
/// let (sink, numbers) = collect();
/// job.source("numbers", generator(1_000, |n| n))
///     .map(|n| if n == 500 && !FAILED.swap(true, Ordering::Relaxed) { panic!("for once") } else { n })
///     .sink("out", sink);
/// let config = Config::new().cores(1).checkpoints(dir.path());
/// let report = job.run(config.restart(Restart::fixed_delay(3, millis(1))))?;
/// assert_eq!(report.restarts, 1);
/// assert!(report.last_failure.unwrap().contains("for once"));
/// assert_eq!(numbers.take().len(), 1_000, "none is missing, and none is there twice");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Restart(Rule);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Rule {
    #[default]
    None,
    Fixed {
        attempts: u32,
        delay: Duration,
    },
    Backoff(Backoff),
    Rate {
        failures: u32,
        per: Duration,
        delay: Duration,
    },
}

/// Delays that grow with each failure, for [`Restart::exponential`].
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::restart::Backoff;
///
/// let patient = Backoff { initial: secs(1), max: minutes(5), ..Backoff::default() };
/// assert_eq!((patient.multiplier, patient.jitter), (2.0, 0.1));
/// let config = Config::new().restart(Restart::exponential(patient));
/// # let _ = config;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The delay after the first failure. Default: 100 ms.
    pub initial: Duration,
    /// The longest delay. Default: one minute.
    pub max: Duration,
    /// How many times as long each delay is as the one before it, 1 at least. Default: 2.
    pub multiplier: f64,
    /// By which part of itself a delay is drawn shorter or longer, from 0 to 1: jobs that have failed together are not to come
    /// back together. Default: 0.1.
    pub jitter: f64,
    /// A failure that comes after so long a time without one counts as the first again. Default: one hour.
    pub reset_after: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(60),
            multiplier: 2.0,
            jitter: 0.1,
            reset_after: Duration::from_secs(3600),
        }
    }
}

impl Restart {
    /// Never: the job ends with its first error. This is the default.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// assert_eq!(Restart::none(), Restart::default());
    /// ```
    pub fn none() -> Restart {
        Restart(Rule::None)
    }

    /// Up to `attempts` times in the life of the process, each after the same delay.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let config = Config::new().restart(Restart::fixed_delay(10, secs(5)));
    /// # let _ = config;
    /// ```
    pub fn fixed_delay(attempts: u32, delay: Duration) -> Restart {
        Restart(Rule::Fixed { attempts, delay })
    }

    /// Without end, each after a longer delay than the one before, until the job has run for some time without a failure.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::restart::Backoff;
    /// let config = Config::new().restart(Restart::exponential(Backoff { max: secs(30), ..Backoff::default() }));
    /// # let _ = config;
    /// ```
    pub fn exponential(backoff: Backoff) -> Restart {
        Restart(Rule::Backoff(backoff))
    }

    /// As long as there are no more than `failures` within any time of length `per`, each after the same delay.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let config = Config::new().restart(Restart::failure_rate(3, minutes(10), secs(1)));
    /// # let _ = config;
    /// ```
    pub fn failure_rate(failures: u32, per: Duration, delay: Duration) -> Restart {
        Restart(Rule::Rate { failures, per, delay })
    }

    /// # Errors
    /// If a value is out of its range, or the job keeps no checkpoints to be started again from.
    pub(crate) fn check(&self, durable: bool) -> Result<()> {
        if *self != Restart::none() && !durable {
            let message = "restart needs a directory of checkpoints, to go on from: a job that begins anew would put out \
                           again what it had put out";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let Rule::Backoff(Backoff { multiplier, jitter, .. }) = self.0 else { return Ok(()) };
        let message = if !multiplier.is_finite() || multiplier < 1.0 {
            format!("the multiplier of a restart's delays is {multiplier}; it must be at least 1")
        } else if !(0.0..=1.0).contains(&jitter) {
            format!("the jitter of a restart's delays is {jitter}; it must be from 0 to 1")
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Config, message))
    }
}

/// What a strategy remembers of the failures so far.
#[derive(Debug)]
pub(crate) struct Patience {
    restart: Restart,
    /// Restarts that count.
    restarts: u32,
    /// When the last failure was, and those that are within the time of a rate.
    failures: VecDeque<Duration>,
}

impl Patience {
    pub(crate) fn new(restart: Restart) -> Patience {
        Patience { restart, restarts: 0, failures: VecDeque::new() }
    }

    /// The job has failed at `now`, by a monotone clock: how long to wait before it is started again, if it is. `random` is any
    /// number, drawn anew each time.
    pub(crate) fn after_failure(&mut self, now: Duration, random: u64) -> Option<Duration> {
        let last = self.failures.back().copied();
        self.failures.push_back(now);
        match self.restart.0 {
            Rule::None => None,
            Rule::Fixed { attempts, delay } => {
                self.failures.clear();
                let allowed = self.restarts < attempts;
                self.restarts = self.restarts.saturating_add(1);
                allowed.then_some(delay)
            }
            Rule::Rate { failures, per, delay } => {
                self.failures.retain(|&at| now.saturating_sub(at) < per);
                (self.failures.len() <= failures as usize).then_some(delay)
            }
            Rule::Backoff(backoff) => {
                self.failures.retain(|&at| at == now);
                if last.is_some_and(|last| now.saturating_sub(last) >= backoff.reset_after) {
                    self.restarts = 0;
                }
                let delay = backoff.delay(self.restarts, random);
                self.restarts = self.restarts.saturating_add(1);
                Some(delay)
            }
        }
    }
}

impl Backoff {
    /// The delay before the next restart, behind `before` of them.
    fn delay(&self, before: u32, random: u64) -> Duration {
        let grown = self.multiplier.powi(i32::try_from(before).unwrap_or(i32::MAX)).min(f64::MAX);
        let seconds = (self.initial.as_secs_f64() * grown).min(self.max.as_secs_f64());
        // From -1 to 1: 53 bits are what a float holds.
        let lot = (random >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
        let drawn = seconds * (1.0 + self.jitter * lot);
        Duration::try_from_secs_f64(drawn).unwrap_or(self.max).min(self.max)
    }
}

#[cfg(test)]
mod tests;
