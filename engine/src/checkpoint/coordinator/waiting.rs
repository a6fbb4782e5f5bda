//! What the coordinator waits for: the cores, the clock, and whoever asks something of the job.

use std::time::Duration;

use super::{Coordinator, CoordinatorSeed, Heed, Woken};
use crate::checkpoint::control::Reply;
use crate::checkpoint::coordinator::remote::Uploading;
use crate::checkpoint::coordinator::saving::Saving;
use crate::driver::race;
use crate::error::Result;

impl Coordinator {
    /// Takes notice of what is not an answer to a question.
    pub(super) fn note(&mut self, woken: Woken) -> Result<()> {
        match woken {
            Woken::Reply(Reply::Failed(error)) => return Err(error),
            Woken::Reply(Reply::Drained) => self.drained += 1,
            _ => {}
        }
        Ok(())
    }

    /// Waits for a reply, a cancellation or a point in time.
    pub(super) async fn woken(&mut self, deadline: Option<Duration>) -> Woken {
        self.wait(deadline, Heed::Nothing).await
    }

    /// As [`Coordinator::woken`], and for what else is to be heeded.
    pub(super) async fn wait(&mut self, deadline: Option<Duration>, heed: Heed) -> Woken {
        loop {
            if let Some(reply) = self.seed.lines.iter_mut().find_map(|line| line.next()) {
                return Woken::Reply(reply);
            }
            if self.seed.shared.is_cancelled() {
                return Woken::Cancelled;
            }
            if let Some(woken) = self.asked(heed) {
                return woken;
            }
            let now = self.host.monotonic();
            if deadline.is_some_and(|at| at <= now) {
                return Woken::Deadline;
            }
            if self.uploading.as_ref().is_some_and(Uploading::is_done) {
                return Woken::Uploaded;
            }
            let Coordinator { seed, saving, uploading, draining, .. } = self;
            let CoordinatorSeed { lines, bell, shared, .. } = seed;
            let rung = bell.wait(|| {
                let saved = heed >= Heed::Copies && saving.as_ref().is_some_and(Saving::is_done);
                let uploaded = uploading.as_ref().is_some_and(Uploading::is_done);
                let asked = heed == Heed::Requests && shared.asks(*draining, saving.is_some());
                shared.is_cancelled()
                    || saved
                    || uploaded
                    || asked
                    || lines.iter_mut().any(|line| line.is_ready())
            });
            match deadline {
                None => rung.await,
                Some(at) => race(rung, self.host.sleep(at - now)).await,
            }
        }
    }

    /// What was asked from outside, as far as it is heeded now. There is one savepoint at a time.
    fn asked(&mut self, heed: Heed) -> Option<Woken> {
        if heed >= Heed::Copies && self.saving.as_ref().is_some_and(Saving::is_done) {
            return Some(Woken::Saved);
        }
        let shared = &self.seed.shared;
        if heed < Heed::Requests || !shared.asks(self.draining, self.saving.is_some()) {
            return None;
        }
        if shared.is_draining() && !self.draining {
            return Some(Woken::Drain);
        }
        if self.saving.is_none()
            && let Some(ask) = shared.requests.next()
        {
            return Some(Woken::Asked(ask));
        }
        shared.take_wanted().then_some(Woken::Deadline)
    }
}
