//! `hashes`: what a few seeds of every scenario come to, to be compared between two builds, or two machines.

use clap::Args;

use super::{Done, chosen};
use crate::scenario::{Options, Scenario};

#[derive(Args)]
pub(super) struct Hashing {
    /// How many seeds of each scenario
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// The first
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Only this scenario; otherwise all without a planted bug
    #[arg(long)]
    scenario: Option<String>,
}

impl Hashing {
    pub(super) fn run(self, scenarios: &[Scenario]) -> Done {
        for scenario in chosen(scenarios, self.scenario.as_deref())? {
            for seed in self.first..self.first.saturating_add(self.seeds) {
                let outcome = scenario.run(seed, &Options::default());
                println!("{} {seed} {:016x} {} points", scenario.name, outcome.hash, outcome.points);
            }
        }
        Ok(true)
    }
}
