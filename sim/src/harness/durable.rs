//! Whether what is committed is durable: looked at in the moment at which a sink is told to commit, so that a missing sync is
//! found without the crash that would punish it. It is the simulated system outside ([`Collected`](crate::collected)) that
//! tells: most jobs have one. For jobs into files, topics, databases and brokers only crashes tell.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::STATE;
use super::checkpoints::manifests;
use crate::disk::DiskView;
use crate::scenario::Finding;

/// The rule of all that is committed.
const RULE: &str = "what is committed belongs to a durable checkpoint";

thread_local! {
    /// What is watched; a world has its thread for itself.
    static WATCHED: RefCell<Option<Watched>> = const { RefCell::new(None) };
}

struct Watched {
    disk: DiskView,
    /// Generations and epochs that were looked at.
    seen: BTreeSet<(u64, u64)>,
    finding: Option<Finding>,
}

/// From now on, until it is dropped, what sinks are told to commit is looked at.
pub(crate) struct Durable(());

impl Durable {
    pub(crate) fn watch(disk: DiskView) -> Durable {
        WATCHED.set(Some(Watched { disk, seen: BTreeSet::new(), finding: None }));
        Durable(())
    }

    /// What was wrong so far.
    pub(crate) fn check(&self) -> Result<(), Finding> {
        let finding = WATCHED.with_borrow_mut(|watched| watched.as_mut().and_then(|it| it.finding.take()));
        finding.map_or(Ok(()), Err)
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        WATCHED.set(None);
    }
}

/// A sink is told to commit an epoch, by the run of a generation.
pub(crate) fn commits(generation: u64, epoch: u64) {
    WATCHED.with_borrow_mut(|watched| {
        let Some(watched) = watched else { return };
        if watched.finding.is_none() && watched.seen.insert((generation, epoch)) {
            watched.finding = look(&watched.disk, epoch).err();
        }
    });
}

/// Whether there is a checkpoint of this epoch, or a later one, that no crash can take back.
fn look(disk: &DiskView, epoch: u64) -> Result<(), Finding> {
    let mut missing = vec!["there is no manifest of it".to_owned()];
    for manifest in manifests(disk, STATE)?.into_iter().filter(|manifest| manifest.epoch >= epoch) {
        let parts = || manifest.steps.values().flat_map(|step| &step.parts);
        let files = parts().filter_map(|part| part.store.as_ref()).flat_map(|store| &store.files);
        let overtaken = parts().filter_map(|part| part.overtaken.as_ref()).map(|overtaken| &overtaken.file);
        let paths = files.map(|file| &file.name).chain(overtaken).map(|file| format!("{STATE}/data/{file}"));
        let own = format!("{STATE}/manifest-{:010}", manifest.epoch);
        let lost = paths.chain([own]).find(|path| !disk.is_durable(path).unwrap_or(false));
        match lost {
            None => return Ok(()),
            Some(path) => missing.push(format!("{path} is not durable")),
        }
    }
    let last = missing.pop().expect("it holds one at least");
    Err(Finding::new(RULE, format!("checkpoint {epoch} is committed, and {last}")))
}
