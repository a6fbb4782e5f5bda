//! Checkpoints that are complete only when they are in an object store, too.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use millstream_storage::disk::Disk;
use millstream_storage::planted;

use super::{Coordinator, Woken};
use crate::checkpoint::control::Order;
use crate::checkpoint::coordinator::attempt::Attempt;
use crate::checkpoint::directory::{Contents, Directory, Unpublished};
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::plan::{RestorePlan, own_refusal};
use crate::checkpoint::remote::chain::{Chain, Fate, unreachable};
use crate::checkpoint::remote::collect::{collect, sweep_noted};
use crate::checkpoint::remote::link::{Held, Link};
use crate::checkpoint::remote::patience::Limit;
use crate::checkpoint::remote::transfer::{download, upload};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Class;

/// An upload that is under way.
pub(super) struct Uploading(Rc<RefCell<Option<Uploaded>>>);

/// What became of it.
enum Uploaded {
    /// The checkpoint is complete, and so many bytes were stored for it.
    Complete(u64),
    /// It is not, and never will be.
    Void(Error),
    /// The run is over.
    Over(Error),
}

/// What became of a checkpoint that was prepared.
pub(super) enum Replicated {
    Complete,
    Void(Error),
    Cancelled,
}

impl Uploading {
    pub(super) fn is_done(&self) -> bool {
        self.0.borrow().is_some()
    }
}

impl Coordinator {
    /// The chain, if there is to be one, and its last link.
    ///
    /// # Errors
    /// If the directory belongs to another place, or the store cannot be reached.
    pub(super) async fn open_chain(&self, directory: &Directory) -> Result<Option<(Chain, Option<Link>)>> {
        let belongs = directory.remote().await?;
        let path = directory.path().display();
        let refuse = |what: String| Err(Error::new(ErrorKind::Restore, what));
        let Some(remote) = &self.seed.remote else {
            return match belongs {
                None => Ok(None),
                Some(place) => refuse(format!(
                    "{path}: which checkpoints are complete is known in {place} alone; name it by \
                     `Config::checkpoints_to`, or remove the file `remote` to go on from what is here"
                )),
            };
        };
        if let Some(place) = belongs.as_ref().filter(|place| **place != remote.describe()) {
            let now = remote.describe();
            return refuse(format!(
                "{path}: its checkpoints are in {place}, and not in {now}; if they were moved, remove the file `remote`"
            ));
        }
        let limit = self.start_limit();
        let (host, job) = (&self.host, &self.seed.job.job);
        let chain = Chain::open(&**remote, host, job, limit, self.watch.clone()).await?;
        let head = chain.head(limit).await?;
        match belongs.filter(|_| head.is_none()) {
            None => Ok(Some((chain, head))),
            Some(place) => refuse(format!(
                "{path}: had checkpoints in {place}, and there are none any more; restore them, or, to go on from what is \
                 here, remove the file `remote`"
            )),
        }
    }

    /// How long a start waits for the store, each time that it does not answer.
    fn start_limit(&self) -> Limit {
        Limit::Each(self.seed.timeout)
    }

    /// Takes the chain over, and makes the directory hold its last checkpoint. `imported` says that the directory has just
    /// got its first one from a savepoint.
    ///
    /// # Errors
    /// If the job cannot start from that, in which case the chain is left as it was; or if the store or the disk refuses.
    pub(super) async fn take_chain(
        &mut self,
        directory: &Directory,
        contents: &Contents,
        (chain, mut head): (Chain, Option<Link>),
        imported: bool,
    ) -> Result<Option<Manifest>> {
        let chain = Rc::new(chain);
        let limit = self.start_limit();
        let belongs = directory.remote().await?.is_some();
        let mut held = loop {
            let held = head.as_ref().and_then(|link| link.checkpoint.clone());
            if let Some(held) = &held {
                self.check_plan(&held.manifest)?;
                let epoch = held.manifest.epoch;
                if let Some(newest) = contents.newest().filter(|newest| !belongs && *newest > epoch) {
                    return Err(ahead(directory, &chain, newest, epoch));
                }
            }
            if chain.claim(head.as_ref(), held.clone(), limit).await? {
                break held;
            }
            head = chain.head(limit).await?;
        };
        if held.is_none() && (imported || directory.remote().await?.is_none()) {
            held = self.adopt(directory, contents, &chain).await?;
        }
        directory.set_remote(chain.place()).await?;
        let epoch = held.as_ref().map(|held| held.manifest.epoch);
        directory.make_void(contents, epoch).await?;
        if let Some(Held { manifest, files }) = &held {
            let (disk, objects) = (self.host.disk(), chain.objects.within(limit));
            let downloaded = download(&chain, &objects, &disk, directory.path(), files).await;
            if !chain.is_last(limit).await? {
                // Its objects may be gone: that is no damage.
                return Err(fenced(&chain));
            }
            downloaded?;
            let published = directory.publish(manifest).await;
            published.map_err(|(Unpublished::Void(error) | Unpublished::Unknown(error))| error)?;
            self.next_epoch = self.next_epoch.max(manifest.epoch + 1);
        }
        self.watch.started();
        self.in_background(collect(chain.clone(), self.seed.retained));
        self.chain = Some(chain);
        Ok(held.map(|held| held.manifest))
    }

    /// By which this run is told from those before it; 0 without a chain.
    pub(super) fn generation(&self) -> u64 {
        self.chain.as_ref().map_or(0, |chain| chain.generation())
    }

    fn check_plan(&self, manifest: &Manifest) -> Result<()> {
        let mut plan = RestorePlan::of(Some(manifest), &self.seed.job);
        plan.refused.extend(own_refusal(manifest));
        plan.check()
    }

    /// Makes the last checkpoint of a directory that belonged to no store so far the first one of the chain.
    async fn adopt(
        &self,
        directory: &Directory,
        contents: &Contents,
        chain: &Rc<Chain>,
    ) -> Result<Option<Held>> {
        let Some(manifest) = directory.latest(contents, 0).await? else { return Ok(None) };
        self.check_plan(&manifest)?;
        let objects = chain.objects.within(self.start_limit());
        let disk = self.host.disk();
        let (files, _) = upload(chain, &objects, &disk, directory.path(), &manifest).await?;
        let held = Held { manifest, files };
        match chain.publish(held.clone()).await {
            Fate::Won => Ok(Some(held)),
            Fate::Lost => Err(fenced(chain)),
            Fate::Void(refusal) | Fate::Unknown(refusal) => Err(unreachable(chain.place(), refusal)),
        }
    }

    /// Completes a checkpoint that is durable here, while records go on.
    ///
    /// # Errors
    /// If another has taken the chain over, or what became of the checkpoint cannot be known.
    pub(super) async fn replicate(
        &mut self,
        manifest: &Manifest,
        attempt: &mut Attempt,
        deadline: Duration,
    ) -> Result<Replicated> {
        let (Some(chain), Some(directory)) = (self.chain.clone(), &self.directory) else {
            return Ok(Replicated::Complete);
        };
        let path = directory.path().to_owned();
        if planted!(commit_before_chain) {
            self.order(&Order::Commit(manifest.epoch));
        }
        let began = self.host.monotonic();
        let (done, disk) = (Rc::new(RefCell::new(None)), self.host.disk());
        let (bell, slot, manifest) = (self.seed.bell.clone(), done.clone(), manifest.clone());
        self.host.spawn(
            Class::Background,
            Box::pin(async move {
                let uploaded = complete(chain, disk, path, manifest, deadline).await;
                slot.replace(Some(uploaded));
                bell.ring();
            }),
        );
        self.uploading = Some(Uploading(done.clone()));
        loop {
            match self.woken(None).await {
                Woken::Cancelled => return Ok(Replicated::Cancelled),
                Woken::Uploaded => break,
                reply => self.note(reply)?,
            }
        }
        self.uploading = None;
        let uploaded = done.take().expect("it is done");
        attempt.stats.upload = self.host.monotonic().saturating_sub(began);
        match uploaded {
            Uploaded::Complete(bytes) => {
                attempt.stats.uploaded_bytes = bytes;
                self.seed.metrics.job().uploaded_bytes.add(bytes);
                Ok(Replicated::Complete)
            }
            Uploaded::Void(error) => {
                if let Some(directory) = &self.directory {
                    directory.withdraw(attempt.stats.epoch).await;
                }
                Ok(Replicated::Void(error))
            }
            Uploaded::Over(error) => Err(error),
        }
    }

    /// Removes from the store what no retained checkpoint names, in the background.
    pub(super) fn clean_up_remote(&self) {
        let Some(chain) = self.chain.clone() else { return };
        if !chain.is_collected() {
            self.in_background(collect(chain, self.seed.retained));
        } else if chain.retire(self.seed.retained) {
            self.in_background(sweep_noted(chain));
        }
    }

    fn in_background(&self, removal: impl Future<Output = Result<()>> + 'static) {
        let shared = self.seed.shared.clone();
        let task = async move {
            if let Err(error) = removal.await {
                shared.note_unclean(&error);
            }
        };
        self.host.spawn(Class::Background, Box::pin(task));
    }
}

/// Stores the files of a checkpoint, and then its link.
async fn complete(
    chain: Rc<Chain>,
    disk: Rc<dyn Disk>,
    dir: PathBuf,
    manifest: Manifest,
    deadline: Duration,
) -> Uploaded {
    let objects = chain.objects.within(Limit::At(deadline));
    let (files, bytes) = match upload(&chain, &objects, &disk, &dir, &manifest).await {
        Ok(uploaded) => uploaded,
        Err(error) => return Uploaded::Void(error),
    };
    if objects.line.is_late() {
        let message =
            format!("checkpoint {} took longer than it may, until its files were stored", manifest.epoch);
        return Uploaded::Void(Error::new(ErrorKind::Checkpoint, message));
    }
    let epoch = manifest.epoch;
    let at = |refusal| unreachable(chain.place(), refusal).at(format_args!("checkpoint {epoch}"));
    match chain.publish(Held { manifest, files }).await {
        Fate::Won => Uploaded::Complete(bytes),
        Fate::Lost => Uploaded::Over(fenced(&chain)),
        Fate::Void(refusal) => Uploaded::Void(at(refusal)),
        Fate::Unknown(refusal) => Uploaded::Over(at(refusal)),
    }
}

/// A directory that belongs to no store has gone on by itself.
fn ahead(directory: &Directory, chain: &Chain, newest: u64, epoch: u64) -> Error {
    let (path, place) = (directory.path().display(), chain.place());
    let message = format!(
        "{path}: holds checkpoint {newest} of its own, and {place} ends with checkpoint {epoch}; give the job another \
         place, or, to go on from what is there, move the later manifests away"
    );
    Error::new(ErrorKind::Restore, message)
}

fn fenced(chain: &Chain) -> Error {
    let message = format!(
        "checkpoints in {}: another process has started this job from there and taken it over; nothing of what this one \
         has put out since its last checkpoint is committed. Run the job in one place only",
        chain.place()
    );
    Error::new(ErrorKind::Fenced, message)
}
