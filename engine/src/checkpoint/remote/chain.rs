//! The chain, as the run that owns it sees it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use millstream_storage::planted;

use super::link::{CHAIN, FORMAT, Held, HeldFile, Link};
use super::patience::{Limit, Line, Patient, Watch};
use super::{Put, Refusal, Remote, Stored};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;

/// A chain of a job, read or owned by this run.
pub(crate) struct Chain {
    pub(crate) objects: Patient,
    job: String,
    writer: u64,
    /// The largest part of a file.
    pub(super) part_bytes: u64,
    /// The number of the link that this run began with; 0 before.
    generation: Cell<u64>,
    /// The number of the last link.
    last: Cell<u64>,
    /// The files that are stored, by path: those of the last checkpoint, and what was uploaded since.
    pub(super) stored: RefCell<BTreeMap<String, HeldFile>>,
    pub(super) keeping: RefCell<Keeping>,
    /// Something is being removed.
    pub(super) sweeping: Cell<bool>,
    /// All links before this run's are known: to be kept, or to be removed.
    pub(super) collected: Cell<bool>,
}

/// The links that are there, and what is to be removed.
#[derive(Default)]
pub(super) struct Keeping {
    /// By number: the checkpoint of each, and its objects.
    pub(super) links: BTreeMap<u64, (Option<u64>, BTreeSet<String>)>,
    /// Links to be removed, and then objects.
    pub(super) old: BTreeSet<u64>,
    pub(super) garbage: BTreeSet<String>,
}

/// What became of a link.
pub(crate) enum Fate {
    /// It is in the chain, and the last one.
    Won,
    /// Another writer's is.
    Lost,
    /// It is not in the chain, and never will be.
    Void(Refusal),
    /// Only a start can tell.
    Unknown(Refusal),
}

impl Chain {
    /// # Errors
    /// If the place cannot be reached within the limit.
    pub(crate) async fn open(
        remote: &dyn Remote,
        host: &Rc<dyn Host>,
        job: &str,
        limit: Limit,
        watch: Rc<Watch>,
    ) -> Result<Chain> {
        let line = Line { host: host.clone(), watch, place: remote.describe().into(), limit };
        let mut tries = line.tries();
        let objects = loop {
            match remote.connect(host).await {
                Err(refusal @ Refusal::Passing(_)) if tries.again(&refusal).await => {}
                connected => break connected,
            }
        };
        let objects = objects.map_err(|refusal| unreachable(&line.place, refusal))?;
        Ok(Chain {
            objects: Patient { objects, line },
            job: job.to_owned(),
            writer: host.random(),
            part_bytes: remote.part_bytes().max(1),
            generation: Cell::new(0),
            last: Cell::new(0),
            stored: RefCell::default(),
            keeping: RefCell::default(),
            sweeping: Cell::new(false),
            collected: Cell::new(false),
        })
    }

    pub(crate) fn place(&self) -> &str {
        &self.objects.line.place
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// The last link, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or is another job's.
    pub(crate) async fn head(&self, limit: Limit) -> Result<Option<Link>> {
        let objects = self.objects.within(limit);
        loop {
            let names =
                objects.list(CHAIN, "").await.map_err(|refusal| unreachable(self.place(), refusal))?;
            let Some(seq) = names.iter().filter_map(|name| Link::seq_of(name)).max() else {
                return Ok(None);
            };
            if let Some(link) = self.read(&objects, seq).await? {
                return Ok(Some(link));
            }
            // Later ones have taken its place meanwhile.
        }
    }

    /// The link of a number, if it is there.
    pub(super) async fn read(&self, objects: &Patient, seq: u64) -> Result<Option<Link>> {
        let name = Link::name(seq);
        let object = objects.get(&name).await.map_err(|refusal| unreachable(self.place(), refusal))?;
        let Some(object) = object else { return Ok(None) };
        let refuse = |why: String| {
            let message = format!("{}: {name}: {why}", self.place());
            Err(Error::new(ErrorKind::Restore, message))
        };
        match Link::from_object(object) {
            Err(why) => refuse(format!("{why}; restore the object from a copy")),
            Ok(link) if link.seq != seq => refuse(format!("it is link {}", link.seq)),
            Ok(link) if link.job != self.job => refuse(format!(
                "it is of job `{}`, and this one is `{}`; give each job a place of its own",
                link.job, self.job
            )),
            Ok(link) => Ok(Some(link)),
        }
    }

    /// Takes the chain over: puts a link behind `head` that holds the checkpoint to go on from. False if another was put
    /// there meanwhile.
    ///
    /// # Errors
    /// If that is not known.
    pub(crate) async fn claim(
        &self,
        head: Option<&Link>,
        checkpoint: Option<Held>,
        limit: Limit,
    ) -> Result<bool> {
        let seq = head.map_or(0, |head| head.seq) + 1;
        self.generation.set(seq);
        let link = self.link(seq, checkpoint);
        let fate = match planted!(chain_not_claimed) && head.is_some() {
            // As if the next one were its own already.
            true => {
                self.last.set(seq - 1);
                return Ok(true);
            }
            false => self.put(&link, limit).await,
        };
        match fate {
            Fate::Won => {
                if !self.check_conditions(&link, limit).await? {
                    return Ok(false);
                }
                self.note(&link);
                self.stored.replace(link.checkpoint.map(|held| held.files).unwrap_or_default());
                Ok(true)
            }
            Fate::Lost => Ok(false),
            Fate::Void(refusal) | Fate::Unknown(refusal) => Err(unreachable(self.place(), refusal)),
        }
    }

    /// Whether the run's first link still counts.
    ///
    /// # Errors
    /// If the store does not heed that an object is there already.
    async fn check_conditions(&self, link: &Link, limit: Limit) -> Result<bool> {
        let (objects, name) = (self.objects.within(limit), Link::name(link.seq));
        let failed = |refusal| unreachable(self.place(), refusal);
        match objects.store_again(&name, &link.to_object()).await.map_err(failed)? {
            Stored::Before => Ok(true),
            // Others have come so far meanwhile that it was removed.
            Stored::Now if !objects.list(CHAIN, &name).await.map_err(failed)?.is_empty() => Ok(false),
            Stored::Now => {
                let what = "the store has replaced an object that was to be put only where there is none; without that two \
                            writers cannot be told apart: use another store, or another version of it";
                Err(Error::new(ErrorKind::Config, format!("checkpoints in {}: {what}", self.place())))
            }
        }
    }

    /// Whether nobody has put a link behind those of this run.
    ///
    /// # Errors
    /// If that is not known.
    pub(crate) async fn is_last(&self, limit: Limit) -> Result<bool> {
        let later = self.objects.within(limit).list(CHAIN, &Link::name(self.last.get())).await;
        Ok(later.map_err(|refusal| unreachable(self.place(), refusal))?.is_empty())
    }

    /// Makes a checkpoint complete, all of whose files are stored. What may have been put is put again until its fate is
    /// known, however long it takes, unless a start is cancelled.
    pub(crate) async fn publish(&self, checkpoint: Held) -> Fate {
        let link = self.link(self.last.get() + 1, Some(checkpoint));
        let fate = self.put(&link, Limit::Endless).await;
        if let Fate::Won = fate {
            self.note(&link);
        }
        fate
    }

    fn link(&self, seq: u64, checkpoint: Option<Held>) -> Link {
        let (job, generation, writer) = (self.job.clone(), self.generation.get(), self.writer);
        Link { format: FORMAT, seq, job, generation, writer, checkpoint }
    }

    fn note(&self, link: &Link) {
        self.last.set(link.seq);
        self.keeping.borrow_mut().links.insert(link.seq, kept(link));
    }

    /// Puts a link where there is none of its number.
    async fn put(&self, link: &Link, limit: Limit) -> Fate {
        let (name, object) = (Link::name(link.seq), link.to_object());
        let objects = self.objects.within(limit);
        let how = if planted!(link_replaces) { Put::Replace } else { Put::IfAbsent };
        let (mut tries, mut unknown) = (objects.line.tries(), false);
        loop {
            let refusal = match objects.objects.put(&name, object.clone(), how).await {
                Ok(Stored::Now) => break,
                Ok(Stored::Before) => match objects.get(&name).await {
                    Ok(Some(found)) if found == object || planted!(link_of_another_taken) => break,
                    Ok(Some(_)) => return Fate::Lost,
                    Ok(None) => match objects.list(CHAIN, &name).await {
                        // It was there, and was removed since.
                        Ok(later) if !later.is_empty() => return Fate::Lost,
                        Err(refusal) => return Fate::Unknown(refusal),
                        // Some stores say so while another request for it is under way: it may be this run's own.
                        Ok(_) => Refusal::Passing(format!("{name}: a conflict")),
                    },
                    Err(refusal) => return Fate::Unknown(refusal),
                },
                Err(Refusal::Refused(why)) if !unknown => return Fate::Void(Refusal::Refused(why)),
                Err(Refusal::Refused(why)) => return Fate::Unknown(Refusal::Refused(why)),
                Err(refusal) if planted!(unknown_link_lost) => return Fate::Void(refusal),
                Err(refusal) => refusal,
            };
            unknown = true;
            if !tries.again(&refusal).await {
                return Fate::Unknown(refusal);
            }
        }
        if planted!(later_links_ignored) {
            return Fate::Won;
        }
        // Its place may have been free because it was taken and left behind long ago. The last link is never removed.
        match objects.list(CHAIN, &name).await {
            Ok(later) if later.is_empty() => Fate::Won,
            Ok(_) => Fate::Lost,
            Err(refusal) => Fate::Unknown(refusal),
        }
    }
}

/// The checkpoint of a link, and its objects.
pub(super) fn kept(link: &Link) -> (Option<u64>, BTreeSet<String>) {
    let Some(Held { manifest, files }) = &link.checkpoint else { return (None, BTreeSet::new()) };
    let objects = files.iter().flat_map(|(path, file)| file.objects(path)).collect();
    (Some(manifest.epoch), objects)
}

/// The place refuses, or does not answer.
pub(crate) fn unreachable(place: &str, refusal: Refusal) -> Error {
    Error::new(ErrorKind::Checkpoint, format!("checkpoints in {place}")).caused_by(refusal)
}
