//! The bell of a parked executor: an eventfd that the executor reads through its ring.
//!
//! A read that is under way keeps no CPU busy, and its completion wakes the executor like any other I/O, so no
//! waker of glommio's leaves its thread.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;

use glommio::io::BufferedFile;
use rustix::event::{EventfdFlags, eventfd};

use crate::host::schedule::Scheduler;

/// An eventfd that other threads write.
pub(super) struct Doorbell(OwnedFd);

impl Doorbell {
    pub(super) fn new() -> io::Result<Doorbell> {
        Ok(Doorbell(eventfd(0, EventfdFlags::CLOEXEC)?))
    }

    /// Wakes the executor.
    pub(super) fn ring(&self) {
        // It fails only when nobody has answered 2^64 - 1 rings, which then are a ring already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// The bell as a file of the executor's, for [`hear`].
    pub(super) fn listen(&self) -> BufferedFile {
        let own = self.0.try_clone().expect("a file descriptor for the bell of a core that is starting");
        // SAFETY: `own` is a descriptor of our own, given away here; the file closes it.
        unsafe { BufferedFile::from_raw_fd(own.into_raw_fd()) }
    }
}

impl AsRawFd for Doorbell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Waits until the bell was rung since it was last heard.
pub(super) async fn hear(bell: &BufferedFile) {
    bell.read_at(0, size_of::<u64>()).await.expect("reading an eventfd cannot fail");
}

/// Takes in the wakes of other threads each time the bell rings, until the core has finished.
pub(super) async fn answer(bell: Arc<Doorbell>, scheduler: Rc<Scheduler>) {
    let file = bell.listen();
    while !scheduler.finished() {
        hear(&file).await;
        // Whoever rang took the announcement of sleep with it. The task it left may have been taken in and finished
        // since, with every pump idle again: without a new announcement the next wake would find no sleeper.
        scheduler.remote().prepare_to_sleep();
        scheduler.take_in();
    }
    // The descriptor is closed either way.
    let _ = file.close().await;
}
