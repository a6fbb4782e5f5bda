//! A user's test as a scenario.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{JUDGED, Simulation, Stopped};
use crate::harness::survivable;
use crate::scenario::{Finding, Options, Scenario};

impl Scenario {
    /// A user's test as a scenario: for whatever runs scenarios.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::prelude::*;
    /// use millstream_sim::scenario::{Options, Scenario};
    ///
    /// let scenario = Scenario::of_job("doc", |sim| {
    ///     let numbers = sim.feed("numbers", |random| (0..random.range(1, 99)).collect::<Vec<_>>());
    ///     let out = sim.sink("out", |_: &u64| ());
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         job.source("numbers", numbers.clone()).sink("out", out.clone());
    ///         job
    ///     });
    /// });
    /// assert_eq!(scenario.run(7, &Options::default()).finding, None);
    /// ```
    pub fn of_job(
        name: &'static str,
        test: impl Fn(&mut Simulation<'_>) + Send + Sync + 'static,
    ) -> Scenario {
        let body = move |world: &mut crate::world::World, options: &Options| {
            let mut sim = Simulation::new(world, options);
            match catch_unwind(AssertUnwindSafe(|| test(&mut sim))) {
                Ok(()) if sim.ran => Ok(()),
                Ok(()) => Err(Finding::new(JUDGED, "the test runs no job: let it call `sim.run`")),
                Err(payload) if payload.is::<Stopped>() => Ok(()),
                Err(payload) => match payload.downcast::<Finding>() {
                    Ok(finding) => Err(*finding),
                    Err(payload) => std::panic::resume_unwind(payload),
                },
            }
        };
        Scenario {
            name,
            about: "a job of a user's",
            planted: false,
            is_job: true,
            config: survivable,
            body: Box::new(body),
        }
    }
}
