//! Savepoints: a checkpoint of the job, and then a copy of it, made while the job goes on.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Checkpointed, Coordinator, Heed, Woken};
use crate::checkpoint::control::Order;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::request::{Ask, Savepoint};
use crate::checkpoint::transfer;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Ended;
use crate::host::Class;
use crate::metrics::CheckpointPurpose as Purpose;

/// A copy that is under way.
pub(super) struct Saving {
    ask: Ask,
    /// The checkpoint that is copied: its files stay until the copy is done.
    pub(super) epoch: u64,
    copied: Rc<RefCell<Option<Result<Savepoint>>>>,
}

impl Saving {
    /// Whether it is over.
    pub(super) fn is_done(&self) -> bool {
        self.copied.borrow().is_some()
    }
}

impl Coordinator {
    /// Does what is asked, as far as the job must wait for it. Returns how the job ends, if it does.
    pub(super) async fn obey(&mut self, ask: Ask) -> Result<Option<Ended>> {
        if let Err(error) = self.check_ask(&ask).await {
            ask.answer(Err(error));
            return Ok(None);
        }
        let stop = ask.stop;
        if stop {
            // Ordered before the barrier: no record is read behind it.
            self.order(&Order::Hold(true));
        }
        match self.checkpoint(Purpose::Savepoint).await? {
            Checkpointed::Cancelled => return Ok(Some(Ended::Cancelled)),
            Checkpointed::Aborted(why) => {
                ask.refuse(why);
                self.go_on(stop);
                return Ok(None);
            }
            Checkpointed::Complete(manifest) => self.copy(ask, manifest),
        }
        if !stop {
            return Ok(None);
        }
        loop {
            match self.wait(None, Heed::Copies).await {
                Woken::Cancelled => return Ok(Some(Ended::Cancelled)),
                Woken::Saved if self.saved() => return Ok(Some(Ended::Stopped)),
                Woken::Saved => {
                    self.go_on(stop);
                    return Ok(None);
                }
                reply => self.note(reply)?,
            }
        }
    }

    /// The job goes on although it was to stop.
    fn go_on(&mut self, stopped: bool) {
        if stopped {
            self.order(&Order::Hold(false));
        }
    }

    async fn check_ask(&self, ask: &Ask) -> Result<()> {
        let refuse = |what: &str| {
            let message = format!("no savepoint in {}: {what}", ask.path.display());
            Err(Error::new(ErrorKind::Checkpoint, message))
        };
        if self.directory.is_none() {
            return refuse("the job keeps no checkpoints; give it a directory by `Config::checkpoints`");
        }
        if self.draining {
            return refuse("the job is being drained");
        }
        transfer::check_empty(&*self.host.disk(), &ask.path).await
    }

    /// Starts to copy a complete checkpoint.
    fn copy(&mut self, ask: Ask, manifest: Option<Box<Manifest>>) {
        let (Some(manifest), Some(from)) = (manifest, self.seed.checkpoints.clone()) else {
            return ask.refuse("the job keeps no checkpoints");
        };
        let (epoch, copied) = (manifest.epoch, Rc::new(RefCell::new(None)));
        let (disk, to) = (self.host.disk(), ask.path.clone());
        let (done, bell) = (copied.clone(), self.seed.bell.clone());
        let task = async move {
            let result = transfer::save(disk, from, to, *manifest).await;
            done.replace(Some(result));
            bell.ring();
        };
        self.host.spawn(Class::Background, Box::pin(task));
        self.saving = Some(Saving { ask, epoch, copied });
    }

    /// Tells what became of the copy that is over. Returns whether it is a savepoint.
    pub(super) fn saved(&mut self) -> bool {
        let Some(Saving { ask, copied, .. }) = self.saving.take() else { return false };
        let Some(result) = copied.take() else { return false };
        let saved = result.is_ok();
        if let Err(error) = &result {
            self.seed.shared.note_unsaved(error);
        }
        ask.answer(result);
        saved
    }

    /// Waits for a copy that is under way, unless the job is cancelled.
    ///
    /// # Errors
    /// If a core fails.
    pub(super) async fn finish_saving(&mut self) -> Result<()> {
        while self.saving.is_some() {
            match self.wait(None, Heed::Copies).await {
                Woken::Cancelled => self.saving = None,
                Woken::Saved => drop(self.saved()),
                reply => self.note(reply)?,
            }
        }
        Ok(())
    }
}
