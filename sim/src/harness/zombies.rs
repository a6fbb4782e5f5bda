//! Processes that stood still while others took their place.

use std::mem;

use crate::faults::FaultPlan;
use crate::random::{Chance, Random, Streams};
use crate::scenario::{Finding, PROGRESS};
use crate::world::{RunEnd, World, WorldConfig};

use super::survivable;

/// Processes that stood still and are not known to be gone, each with what is known of it.
pub(crate) struct Zombies<T> {
    all: Vec<Zombie<T>>,
    random: Random,
}

struct Zombie<T> {
    process: u64,
    succeeded: bool,
    of: T,
}

/// What is known of one that is gone.
pub(crate) struct Ended<T> {
    pub(crate) of: T,
    /// Another has started meanwhile.
    pub(crate) succeeded: bool,
}

impl<T> Zombies<T> {
    pub(crate) fn new(world: &World) -> Zombies<T> {
        Zombies { all: Vec::new(), random: world.streams().stream("ends of zombies") }
    }

    /// A process stands still, which may have been `beside` others.
    pub(crate) fn add(&mut self, process: u64, beside: bool, of: T) {
        self.all.push(Zombie { process, succeeded: beside, of });
    }

    /// Another starts.
    pub(crate) fn succeeded(&mut self) {
        self.all.iter_mut().for_each(|zombie| zombie.succeeded = true);
    }

    /// Those that are gone, each once.
    pub(crate) fn ended(&mut self, world: &World) -> Vec<Ended<T>> {
        let alive = world.alive();
        let (here, gone): (Vec<_>, Vec<_>) =
            mem::take(&mut self.all).into_iter().partition(|zombie| alive.contains(&zombie.process));
        self.all = here;
        gone.into_iter().map(|Zombie { of, succeeded, .. }| Ended { of, succeeded }).collect()
    }

    /// Lets all wake and come to their ends; or lets them die.
    ///
    /// # Errors
    /// A finding, if they do not come to an end.
    pub(crate) fn lay_to_rest(&mut self, world: &mut World) -> Result<(), Finding> {
        if world.alive().is_empty() {
            return Ok(());
        }
        if self.random.one_in(3) {
            world.bury_all();
            return Ok(());
        }
        match world.run_out() {
            RunEnd::Finished => Ok(()),
            stuck => Err(Finding::new(PROGRESS, format!("of what had stood still: {stuck}"))),
        }
    }
}

/// A world where in one of eight seeds processes stand still.
pub(crate) fn seldom(streams: &Streams) -> WorldConfig {
    let mut random = streams.stream("plan of zombies");
    let config = survivable(streams);
    let freeze = match random.one_in(8) {
        true => *random.pick(&[Chance::of(1, 4), Chance::of(1, 2), Chance::ALWAYS]),
        false => Chance::NEVER,
    };
    WorldConfig { plan: FaultPlan { freeze, ..config.plan }, ..config }
}

/// A world where most processes stand still.
pub(crate) fn often(streams: &Streams) -> WorldConfig {
    let mut random = streams.stream("plan of zombies");
    let config = survivable(streams);
    let freeze = *random.pick(&[Chance::of(1, 2), Chance::of(3, 4), Chance::ALWAYS]);
    WorldConfig { plan: FaultPlan { freeze, ..config.plan }, ..config }
}
