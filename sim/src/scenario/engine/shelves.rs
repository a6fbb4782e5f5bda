//! What holds of an object store with a job's checkpoints; and such a store for scenarios that are about something else.

use std::time::Duration;

use millstream::Config;
use millstream::checkpoint::manifest::Manifest;
use millstream::checkpoint::remote::link::Held;

use super::Finding;
use crate::disk::DiskView;
use crate::objects::Shelf;
use crate::random::Random;
use crate::world::World;

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

/// A store that some seeds have besides what their scenario is about, and a directory that is lost now and then.
pub(super) struct Beside {
    shelf: Shelf,
    random: Random,
}

impl Beside {
    /// One of three seeds has it. What it draws is its own: the others are as they would be without it.
    pub(super) fn draw(world: &World) -> Option<Beside> {
        let mut random = world.streams().stream("store beside");
        (random.one_in(3)).then(|| Beside { shelf: Beside::shelf(&mut random), random })
    }

    fn shelf(random: &mut Random) -> Shelf {
        let longest = Duration::from_micros(random.magnitude(10_000));
        Shelf::new(random.split(), longest)
    }

    /// The settings of the next process. The directory may be lost before it starts, and from the first calm one on the
    /// store does not fail any more.
    pub(super) fn configure(
        &mut self,
        config: Config,
        disk: &DiskView,
        directory: &str,
        calm: bool,
    ) -> Config {
        if self.random.one_in(4) {
            disk.wipe(directory);
        }
        let config = if calm {
            self.shelf.calm();
            config
        } else {
            with_time(config, &mut self.random)
        };
        config.checkpoints_to(self.shelf.clone())
    }

    /// The job goes on in another place, where nothing is yet.
    pub(super) fn elsewhere(&mut self) {
        self.shelf = Beside::shelf(&mut self.random);
    }

    pub(super) fn check(&self) -> Result<(), Finding> {
        check(&self.shelf)
    }

    /// The last checkpoint that is complete.
    pub(super) fn last(&self) -> Option<Manifest> {
        let links = self.shelf.links().into_iter().rev().flatten();
        links.filter_map(|link| link.checkpoint).map(|held| held.manifest).next()
    }
}
