//! A core before it runs: where it sits, and the steps in which it starts.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use super::CoreMain;
use super::remote::Remote;

/// Where a core runs and what it may use.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// The core's index in the job.
    pub(crate) core: usize,
    /// The CPU it is pinned to.
    pub(crate) cpu: Option<usize>,
    /// How long it spins before it parks.
    pub(crate) spin: Option<Duration>,
    /// Bytes registered with the kernel for direct I/O.
    pub(crate) io_memory: usize,
}

/// A core's answer when it has been set up: its remote side, or why it cannot run.
pub(crate) type Setup = (usize, io::Result<Arc<Remote>>);

/// The core's side of a start in two steps: all cores are set up before any main future is made, so that a job
/// starts whole or not at all.
pub(crate) struct CoreStart {
    /// The core's index in the job.
    pub(crate) core: usize,
    /// Takes the outcome of the set-up.
    pub(crate) setup: Sender<Setup>,
    /// Brings the main future, or hangs up when another core failed.
    pub(crate) go: Receiver<CoreMain>,
}

impl CoreStart {
    /// Reports that the core cannot run.
    pub(crate) fn failed(self, error: io::Error) {
        // The launcher outlives the set-up unless it panicked; then nobody is left to be told.
        let _ = self.setup.send((self.core, Err(error)));
    }

    /// Reports that the core is set up, and waits for its main. `None` if the job does not start.
    pub(crate) fn ready(self, remote: Arc<Remote>) -> Option<CoreMain> {
        let CoreStart { core, setup, go } = self;
        setup.send((core, Ok(remote))).ok()?;
        // The launcher learns that a core died in its set-up from there being no sender left.
        drop(setup);
        go.recv().ok()
    }
}
