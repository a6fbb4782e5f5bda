//! Media that lie: the job may stop loudly, for good, but what it commits must be right.

use super::process::Keyed;
use super::{Options, Scenario, Tolerance, endure};
use crate::faults::FaultPlan;
use crate::random::{Chance, Streams};
use crate::world::{World, WorldConfig};

fn config(streams: &Streams) -> WorldConfig {
    let mut plan = FaultPlan::beyond_tolerance(&mut streams.stream("plan"));
    plan.crash = Chance::ALWAYS;
    WorldConfig { plan, max_points: 3_000_000, ..WorldConfig::default() }
}

pub(super) fn scenario() -> Scenario {
    let body = |world: &mut World, options: &Options| {
        let work = Keyed::new(world);
        endure(world, options, &work, Tolerance::Stops)
    };
    Scenario {
        name: "beyond",
        about: "state that rots: a loud stop, or the right output",
        planted: false,
        is_job: true,
        config,
        body: Box::new(body),
    }
}
