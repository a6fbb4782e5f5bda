//! Media that lie, under every kind of job: the only legal ends are the right output, or a stop that says in which file the
//! damage is.

use super::batch::Batch;
use super::broker::Topics as BrokerTopics;
use super::connected::Connected;
use super::cores::Cores;
use super::files::Files;
use super::joins::Joins;
use super::kinds::Kinds;
use super::larger::Larger;
use super::outputs::Outputs;
use super::postgres::Tables;
use super::remote::Life;
use super::topics::Topics;
use super::unaligned::Unaligned;
use super::windows::Windows;
use super::windows_merging::Merging;
use super::windows_triggers::Triggers;
use super::{Finding, Options, Scenario, Tolerance, Work, endure};
use crate::coverage::{Fault, Site};
use crate::faults::{Aim, FaultPlan};
use crate::random::{Chance, Random, Streams};
use crate::world::{World, WorldConfig};

/// A job that a seed may have.
type Make = fn(&mut World) -> Box<dyn Work>;

/// Jobs all of whose files that are read again are in their checkpoints.
const JOBS: &[Make] = &[
    |world| Box::new(Windows::new(world)),
    |world| Box::new(Merging::slices(world)),
    |world| Box::new(Merging::sessions(world)),
    |world| Box::new(Triggers::new(world)),
    |world| Box::new(Kinds::new(world)),
    |world| Box::new(Kinds::crowded(world)),
    |world| Box::new(Larger::new(world)),
    |world| Box::new(Joins::new(world)),
    |world| Box::new(Connected::new(world)),
    |world| Box::new(Cores::new(world)),
    |world| Box::new(Unaligned::new(world)),
    |world| Box::new(Batch::new(world)),
    |world| Box::new(Files::new(world)),
    |world| Box::new(Files::formatted(world)),
    |world| Box::new(Outputs::new(world)),
    |world| Box::new(Tables::new(world)),
    |world| Box::new(BrokerTopics::new(world)),
];

/// What a seed is about.
#[derive(Clone, Copy)]
enum Of {
    Job(Make),
    /// Topics are files, too: here only manifests are damaged, theirs as well.
    Topics,
    /// Checkpoints that go to an object store.
    Remote,
}

fn draw(random: &mut Random) -> Of {
    match random.below(10) {
        0 => Of::Topics,
        1 => Of::Remote,
        _ => Of::Job(*random.pick(JOBS)),
    }
}

/// Half of the seeds have one fault at one write of one kind of file, among the first of that kind or far behind; the others
/// have many.
fn config(streams: &Streams) -> WorldConfig {
    let mut random = streams.stream("rotten");
    let of = draw(&mut random);
    let mut plan = FaultPlan::swarm(&mut random);
    let sites: &[Site] = match of {
        Of::Topics => &[Site::Manifest],
        _ => &[Site::Manifest, Site::Delta],
    };
    let (site, fault) =
        (*random.pick(sites), *random.pick(&[Fault::BitRot, Fault::LatentSector, Fault::Misdirected]));
    plan.media = Some(site);
    if random.coin() {
        plan.aim = Some(Aim { fault, nth: random.magnitude(40), site: Some(site) });
    } else {
        let chance = Chance::of(1, random.magnitude(if site == Site::Delta { 4 } else { 100 }) as u32);
        match fault {
            Fault::BitRot => plan.bit_rot = chance,
            Fault::LatentSector => plan.latent_sector = chance,
            _ => plan.misdirected = chance,
        }
    }
    if random.below(4) > 0 {
        plan.crash = Chance::ALWAYS;
    }
    WorldConfig { plan, max_points: 10_000_000, ..WorldConfig::default() }
}

fn body(world: &mut World, options: &Options) -> Result<(), Finding> {
    match draw(&mut world.streams().stream("rotten")) {
        Of::Job(make) => {
            let work = make(world);
            endure(world, options, &*work, Tolerance::Damage)
        }
        Of::Topics => {
            let work = Topics::damaged(world);
            endure(world, options, &work, Tolerance::Damage)
        }
        Of::Remote => Life::stopping(world, options).run(world),
    }
}

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: "rotten",
        about: "jobs of every kind whose checkpoints rot: a stop that names the file, or the right output",
        planted: false,
        is_job: true,
        config,
        body: Box::new(body),
    }
}
