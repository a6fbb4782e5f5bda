//! Drives the attempts of a job in the real world: in a thread of their own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::thread::{Builder, JoinHandle};

use super::{Attempts, Moment, Next};
use crate::error::{Error, ErrorKind, Result};
use crate::failure::text_of;
use crate::host::{Cores, RuntimeConfig, RuntimeKind, clock, launch};

/// A job that is being supervised.
pub(crate) struct Running {
    /// Ends with the job.
    pub thread: JoinHandle<()>,
    pub kind: RuntimeKind,
    /// Why io_uring is not used although it was asked for.
    pub fallback: Option<String>,
}

/// What the first attempt's cores are, or why there are none.
type First = Result<(RuntimeKind, Option<String>)>;

/// Starts a job, and returns when its cores have started.
///
/// # Errors
/// If they cannot be started.
pub(crate) fn start(mut attempts: Attempts, runtime: RuntimeConfig) -> Result<Running> {
    let (tell, told) = mpsc::channel();
    // The first time it is laid out here: what is wrong with the job shows where it was built.
    let first = attempts.next(now());
    let control = attempts.control();
    let supervisor = move || {
        let supervised = AssertUnwindSafe(|| supervise(attempts, first, &runtime, tell));
        if let Err(panic) = catch_unwind(supervised) {
            let error = Error::new(ErrorKind::Host, "the job could not be laid out again");
            control.shared.end(Err(error.caused_by(text_of(&*panic))));
            control.shared.supervision.finish();
        }
    };
    let thread = Builder::new().name("millstream-job".to_owned()).spawn(supervisor).map_err(|error| {
        Error::new(ErrorKind::Host, "the thread that supervises the job cannot be started").caused_by(error)
    })?;
    let first = told.recv().expect("the thread tells of the first start, or does not start");
    first.map(|(kind, fallback)| Running { thread, kind, fallback })
}

fn now() -> Moment {
    let (monotonic, wall_millis) = (clock::monotonic(), clock::wall_millis());
    Moment { monotonic, wall_millis, random: clock::random() }
}

fn supervise(mut attempts: Attempts, first: Next, runtime: &RuntimeConfig, tell: Sender<First>) {
    let control = attempts.control();
    let (mut next, mut tell) = (first, Some(tell));
    loop {
        match next {
            Next::Start(mains) => match launch(runtime, mains) {
                Ok(cores) => run(&mut attempts, cores, tell.take()),
                Err(error) => {
                    let error = Error::new(ErrorKind::Host, "the cores cannot be started").caused_by(error);
                    match tell.take() {
                        // Who started the job waits for this.
                        Some(tell) => _ = tell.send(Err(error)),
                        None => attempts.refused(error),
                    }
                    return;
                }
            },
            Next::Wait(duration) => {
                let shared = &control.shared;
                shared.supervision.pause(duration, || shared.is_cancelled());
            }
            Next::Over => return,
        }
        next = attempts.next(now());
    }
}

fn run(attempts: &mut Attempts, cores: Cores, tell: Option<Sender<First>>) {
    if let Some(tell) = tell {
        // Who started the job waits for this.
        let _ = tell.send(Ok((cores.kind(), cores.fallback().map(ToString::to_string))));
    }
    if let Err(error) = cores.join() {
        attempts.died(error);
    }
}
