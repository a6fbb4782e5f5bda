//! The host as a step sees it: a task that the step starts may panic, and then it is the step that has failed, not the core.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use millstream_storage::disk::Disk;

use crate::error::Error;
use crate::failure::Caught;
use crate::host::{Class, Host, LocalFuture};

/// Where the tasks of a core's steps leave word that they have panicked.
pub(super) struct Alarm {
    failure: RefCell<Option<Error>>,
    /// Wakes the driver.
    wake: Waker,
}

impl Alarm {
    pub(super) fn new(wake: Waker) -> Rc<Alarm> {
        Rc::new(Alarm { failure: RefCell::new(None), wake })
    }

    /// Wakes the driver.
    pub(super) fn waker(&self) -> Waker {
        self.wake.clone()
    }

    fn raise(&self, error: Error) {
        self.failure.borrow_mut().get_or_insert(error);
        self.wake.wake_by_ref();
    }

    /// # Errors
    /// The first that was raised.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.failure.borrow_mut().take().map_or(Ok(()), Err)
    }
}

/// The host of one step.
pub(super) struct Guarded {
    pub(super) host: Rc<dyn Host>,
    pub(super) step: Arc<str>,
    pub(super) alarm: Rc<Alarm>,
}

impl Host for Guarded {
    fn core(&self) -> usize {
        self.host.core()
    }

    fn monotonic(&self) -> Duration {
        self.host.monotonic()
    }

    fn wall_millis(&self) -> i64 {
        self.host.wall_millis()
    }

    fn disk(&self) -> Rc<dyn Disk> {
        self.host.disk()
    }

    fn spawn(&self, class: Class, task: LocalFuture<()>) {
        let (step, alarm) = (self.step.clone(), self.alarm.clone());
        let guarded = async move {
            if let Err(error) = Caught::new(task).await {
                alarm.raise(error.at(format_args!("step `{step}`: a task of its own")));
            }
        };
        self.host.spawn(class, Box::pin(guarded));
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<()> {
        self.host.sleep(duration)
    }

    fn yield_now(&self) -> LocalFuture<()> {
        self.host.yield_now()
    }

    fn before_first_step(&self) -> LocalFuture<()> {
        self.host.before_first_step()
    }

    fn random(&self) -> u64 {
        self.host.random()
    }
}
