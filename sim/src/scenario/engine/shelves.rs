//! What holds of an object store with a job's checkpoints.

use std::time::Duration;

use millstream::Config;
use millstream::checkpoint::remote::link::Held;

use super::Finding;
use crate::objects::Shelf;
use crate::random::Random;

/// Whether the chain has no gap, every checkpoint in it is whole, and they follow each other.
pub(super) fn check(shelf: &Shelf) -> Result<(), Finding> {
    if let Some(what) = shelf.broken() {
        return Err(Finding::new("the chain has no gap", what));
    }
    let mut last = 0;
    for link in shelf.links() {
        let rule = "every checkpoint in the store is whole";
        let link = link.map_err(|what| Finding::new(rule, what))?;
        let Some(Held { manifest, files }) = link.checkpoint else { continue };
        if manifest.epoch < last {
            let seen = format!("link {} holds {}, after {last}", link.seq, manifest.epoch);
            return Err(Finding::new("checkpoints in the chain follow each other", seen));
        }
        last = manifest.epoch;
        for (path, file) in &files {
            for (number, part) in file.parts.iter().enumerate() {
                let name = file.object(path, number);
                let found = shelf.len_of(&name);
                if found != Some(part.bytes) {
                    let seen = format!("link {} names {name}, found {found:?} bytes", link.seq);
                    return Err(Finding::new(rule, seen));
                }
            }
        }
    }
    Ok(())
}

/// Half of the processes have time for a store that is slow and fails: what is drawn for a directory is mostly too short for
/// anything to be uploaded.
pub(super) fn with_time(config: Config, random: &mut Random) -> Config {
    if random.coin() { config.checkpoint_timeout(Duration::from_secs(30)) } else { config }
}
