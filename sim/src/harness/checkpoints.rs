//! Every checkpoint that is kept can be restored: its manifest is whole, and the files that it names are there.

use std::cell::Cell;

use millstream::JobControl;
use millstream::checkpoint::manifest::Manifest;

use super::STATE;
use crate::disk::DiskView;
use crate::scenario::Finding;

/// Bytes before the contents of a manifest, by storage's `FORMAT.md`.
const ENVELOPE: usize = 32;

pub(crate) fn check(disk: &DiskView) -> Result<(), Finding> {
    let mut kept = manifests(disk, STATE)?;
    kept.sort_by_key(|manifest| manifest.epoch);
    // One in between may be gone: a power failure brings back what was removed in no order.
    match kept.windows(2).find(|two| two[1].parent.is_none_or(|parent| parent < two[0].epoch)) {
        None => Ok(()),
        Some(two) => {
            let (epoch, parent, before) = (two[1].epoch, two[1].parent, two[0].epoch);
            let seen = format!("checkpoint {epoch} follows {parent:?}, and there is {before} between them");
            Err(Finding::new("each checkpoint follows the one before it", seen))
        }
    }
}

/// The numbers of a job's checkpoints, over all its processes: each is given once.
#[derive(Default)]
pub(crate) struct Numbers {
    last: Cell<u64>,
}

impl Numbers {
    /// Looks at those of a process.
    pub(crate) fn check(&self, of: &JobControl) -> Result<(), Finding> {
        for attempt in of.metrics().checkpoint_history() {
            let before = self.last.get();
            if attempt.epoch <= before {
                let seen = format!("checkpoint {} came after {before}", attempt.epoch);
                return Err(Finding::new("the numbers of checkpoints rise", seen));
            }
            // A number that could not be recorded is nowhere but in the history: another process may give it again.
            let unknown = attempt.aborted.as_ref().is_some_and(|why| why.contains("was not recorded"));
            self.last.set(if unknown { before } else { attempt.epoch });
        }
        Ok(())
    }
}

/// The checkpoints in a directory, if they are whole.
pub(crate) fn manifests(disk: &DiskView, dir: &str) -> Result<Vec<Manifest>, Finding> {
    let rule = "every checkpoint that is kept is whole";
    let Ok(entries) = disk.list(dir) else { return Ok(Vec::new()) };
    let data = disk.list(format!("{dir}/data")).unwrap_or_default();
    let mut whole = Vec::new();
    let manifests =
        entries.iter().filter(|entry| entry.name.starts_with("manifest-") && !entry.name.ends_with(".tmp"));
    for entry in manifests {
        let name = &entry.name;
        let bytes = disk.read(format!("{dir}/{name}")).expect("it was listed");
        let manifest: Manifest = serde_json::from_slice(bytes.get(ENVELOPE..).unwrap_or_default())
            .map_err(|error| Finding::new(rule, format!("{name} cannot be read: {error}")))?;
        let parts = manifest.steps.values().flat_map(|step| &step.parts);
        for file in parts.filter_map(|part| part.store.as_ref()).flat_map(|store| &store.files) {
            let found = data.iter().find(|entry| entry.name == file.name).map(|entry| entry.len);
            if found != Some(file.file_bytes()) {
                let what =
                    format!("{name} names {} of {} bytes, found {found:?}", file.name, file.file_bytes());
                return Err(Finding::new(rule, what));
            }
        }
        whole.push(manifest);
    }
    Ok(whole)
}
