//! Checkpoints of all stores of a process: written in the background, published by a manifest, and retired.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::rc::Rc;

use millstream::host::{Class, Host};
use millstream_storage::disk::Disk;
use millstream_storage::error::StoreError;
use millstream_storage::manifest::{self, read_verified};
use millstream_storage::planted;
use millstream_storage::sealed::Sealed;
use millstream_storage::snapshot::StoreSnapshot;
use serde::{Deserialize, Serialize};

pub(super) const DIR: &str = "state";
pub(super) const DATA: &str = "state/data";
const MANIFEST: &str = "manifest";

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

/// What a checkpoint is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub epoch: u64,
    pub clock: i64,
    pub parts: Vec<StoreSnapshot>,
}

/// What came of a checkpoint.
pub(super) enum Outcome {
    Complete(Manifest),
    /// It is none, and never will be.
    Void,
    /// Nobody knows before the next start.
    Unknown(StoreError),
}

/// A checkpoint under way.
pub(super) struct UnderWay {
    pub(super) epoch: u64,
    outcome: Rc<RefCell<Option<Outcome>>>,
    phase: Rc<Cell<Phase>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Writing,
    Publishing,
    GivenUp,
}

impl UnderWay {
    /// Writes what was sealed.
    pub(super) fn start(host: &Rc<dyn Host>, epoch: u64, clock: i64, sealed: Vec<Sealed>) -> UnderWay {
        let phase = Rc::new(Cell::new(Phase::Writing));
        let under_way = UnderWay { epoch, outcome: Rc::default(), phase: phase.clone() };
        let (outcome, disk) = (under_way.outcome.clone(), host.disk());
        let task = async move {
            let mut parts = Vec::new();
            let mut failed = false;
            for sealed in sealed {
                match sealed.write(disk.clone(), DATA.into()).await {
                    Ok(part) => parts.push(part),
                    Err(_) => failed = true,
                }
            }
            let came_of_it = if failed || phase.get() == Phase::GivenUp {
                Outcome::Void
            } else {
                phase.set(Phase::Publishing);
                publish(&*disk, Manifest { epoch, clock, parts }).await
            };
            outcome.replace(Some(came_of_it));
        };
        host.spawn(Class::Background, Box::pin(task));
        under_way
    }

    /// What came of it, once that is known.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome.take()
    }

    /// Sees to it that it is not published. False if it is too late for that.
    pub(super) fn give_up(&self) -> bool {
        let in_time = self.phase.get() == Phase::Writing;
        if in_time {
            self.phase.set(Phase::GivenUp);
        }
        in_time
    }
}

async fn publish(disk: &dyn Disk, manifest: Manifest) -> Outcome {
    let bytes = serde_json::to_vec(&manifest).expect("it is plain data");
    let prepared = async {
        if !planted!(no_data_dir_sync) {
            let synced = disk.sync_dir(Path::new(DATA)).await;
            synced.map_err(refused("sync the directory", Path::new(DATA)))?;
        }
        manifest::prepare(disk, Path::new(DIR), MANIFEST, &bytes).await
    };
    if prepared.await.is_err() {
        return Outcome::Void;
    }
    match manifest::publish(disk, Path::new(DIR), MANIFEST).await {
        Ok(()) => Outcome::Complete(manifest),
        Err(error) => Outcome::Unknown(error),
    }
}

/// The checkpoint that is to be restored. What was seen of it is durable then.
pub(super) async fn latest(disk: &dyn Disk) -> Result<Option<Manifest>, StoreError> {
    let (dir, data) = (Path::new(DIR), Path::new(DATA));
    disk.create_dir_all(data).await.map_err(refused("create the directory", data))?;
    disk.sync_dir(Path::new("")).await.map_err(refused("sync the directory", Path::new("")))?;
    disk.sync_dir(dir).await.map_err(refused("sync the directory", dir))?;
    let entries = disk.list(dir).await.map_err(refused("list", dir))?;
    if !entries.iter().any(|entry| entry.name == MANIFEST) {
        return Ok(None);
    }
    let bytes = read_verified(disk, &dir.join(MANIFEST)).await?;
    Ok(Some(serde_json::from_slice(&bytes).expect("it was verified")))
}

/// Removes the files that a manifest does not name, but for those that were written ahead since then: of epoch `ahead`
/// on.
pub(super) async fn retire(
    disk: &dyn Disk,
    manifest: Option<&Manifest>,
    ahead: Option<u64>,
) -> Result<(), StoreError> {
    let data = Path::new(DATA);
    let named = |name: &str| {
        let files = manifest.into_iter().flat_map(|manifest| &manifest.parts).flat_map(|part| &part.files);
        files.into_iter().any(|file| file.name == name)
    };
    let epoch_in = |name: &str| name.strip_suffix(".log")?.rsplit('-').next()?.parse::<u64>().ok();
    for entry in disk.list(data).await.map_err(refused("list", data))? {
        let is_ahead = ahead.is_some_and(|ahead| epoch_in(&entry.name) >= Some(ahead));
        if !is_ahead && !named(&entry.name) {
            let path = data.join(&entry.name);
            disk.remove(&path).await.map_err(refused("remove", &path))?;
        }
    }
    Ok(())
}
