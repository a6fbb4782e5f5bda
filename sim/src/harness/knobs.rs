//! The settings of a process, which the seed draws.

use std::time::Duration;

use millstream::Config;

use super::STATE;
use crate::random::Random;
use crate::scenario::Options;
use crate::world::World;

/// How the job is run: drawn anew for each process, but for what must stay.
pub(crate) struct Knobs {
    random: Random,
    groups: u32,
    cores: Option<usize>,
    /// Every process has the same number of cores, or another than the one before.
    steady: bool,
    last_cores: usize,
    most_cores: usize,
    /// Of the process that was drawn last.
    tolerated: u32,
}

/// As many checkpoints in a row as may fail where nothing else is said.
const TOLERATED: u32 = 10;

impl Knobs {
    pub(crate) fn new(world: &World, options: &Options, most_cores: usize) -> Knobs {
        let mut random = world.streams().stream("knobs");
        let most = most_cores as u32;
        let groups = *random.pick(&[most, most + 1, 128]);
        let (steady, last_cores) = (random.one_in(3), random.range(1, most_cores as u64) as usize);
        Knobs { random, groups, cores: options.cores, steady, last_cores, most_cores, tolerated: TOLERATED }
    }

    /// How many checkpoints in a row may fail in the process that was drawn last.
    pub(crate) fn tolerated(&self) -> u32 {
        self.tolerated
    }

    fn draw_cores(&mut self) -> usize {
        if !self.steady {
            let others = self.random.index(self.most_cores - 1);
            self.last_cores = 1 + (self.last_cores + others) % self.most_cores;
        }
        self.cores.unwrap_or(self.last_cores)
    }

    pub(crate) fn draw(&mut self, calm: bool) -> Config {
        let micros = |random: &mut Random, most| Duration::from_micros(random.magnitude(most));
        let cores = self.draw_cores();
        let random = &mut self.random;
        let config = Config::new()
            .cores(cores)
            .checkpoints(STATE)
            .max_parallelism(self.groups)
            .batch_size(random.magnitude(64) as usize)
            .ring_depth(random.range(1, 4) as usize)
            .step_budget(random.magnitude(200) as usize)
            .checkpoint_every(Duration::from_micros(100) + micros(random, 50_000))
            .retained_checkpoints(random.range(1, 3) as usize);
        let (timeout, tolerated) = (micros(random, 1_000_000), random.below(20) as u32);
        self.tolerated = if calm { TOLERATED } else { tolerated };
        if calm {
            config
        } else {
            config.checkpoint_timeout(timeout).tolerated_checkpoint_failures(tolerated)
        }
    }
}
