//! A job is killed and restarted under faults until it is done, and what it put out is compared to the reference
//! interpreter's answer after every process.

pub(crate) mod budgets;
pub(crate) mod checkpoints;
pub(crate) mod durable;
mod endure;
pub(crate) mod expected;
mod full;
mod judge;
mod knobs;
pub(crate) mod marks;
pub(crate) mod replays;
mod work;
pub(crate) mod zombies;

use crate::faults::FaultPlan;
use crate::random::{Chance, Streams};
use crate::world::WorldConfig;

pub(crate) use endure::endure;
pub(crate) use judge::{INJECTED, Tolerance, USER, is_behind, is_injected, is_overtaken, judge};
pub(crate) use knobs::Knobs;
pub(crate) use work::Work;

/// Where the jobs keep their checkpoints.
pub(crate) const STATE: &str = "state";

/// No run takes as many steps, not even one whose feeds pause for long between single records while checkpoints follow
/// each other without a break: the longest seen took five million.
const MAX_POINTS: u64 = 50_000_000;

/// A world with every fault that must be survived, and mostly crashes.
pub(crate) fn survivable(streams: &Streams) -> WorldConfig {
    let mut random = streams.stream("plan");
    let mut plan = FaultPlan::swarm(&mut random);
    if random.below(4) > 0 {
        plan.crash = Chance::ALWAYS;
    }
    WorldConfig { plan, max_points: MAX_POINTS, ..WorldConfig::default() }
}
