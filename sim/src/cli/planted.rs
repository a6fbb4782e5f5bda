//! `planted`: whether every planted bug is found, and how soon.

use clap::Args;

use super::{Done, find};
use crate::planted::{BUGS, ELSEWHERE};
use crate::scenario::{Options, Scenario};

#[derive(Args)]
pub(super) struct Planting {
    /// The most seeds to try
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// Only this bug
    #[arg(long)]
    bug: Option<String>,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Look in this scenario, not in the one that is to find it
    #[arg(long)]
    scenario: Option<String>,
}

impl Planting {
    pub(super) fn run(self, scenarios: &[Scenario]) -> Done {
        let within = self.scenario.as_deref().map(|name| find(scenarios, name)).transpose()?;
        let bugs = if cfg!(feature = "planted") { BUGS } else { &[] };
        if bugs.is_empty() {
            eprintln!("bugs in the engine and the store are planted by `--features planted` only");
        }
        let mut looked_for = Vec::new();
        for bug in bugs {
            let options = Options { bug: Some(bug.name), ..Options::default() };
            if let Some(scenario) = within.or_else(|| find(scenarios, bug.scenario).ok()) {
                looked_for.push((bug.name, scenario, options));
            }
        }
        let faulty = scenarios.iter().filter(|scenario| scenario.planted);
        looked_for.extend(faulty.map(|scenario| (scenario.name, scenario, Options::default())));
        looked_for.retain(|(name, ..)| self.is_wanted(name));
        let elsewhere = ELSEWHERE.iter().any(|(name, _)| self.bug.as_deref() == Some(name));
        if looked_for.is_empty() && !elsewhere {
            return Err(format!("no bug {} can be looked for here", self.bug.as_deref().unwrap_or("at all")));
        }
        let mut needed: Vec<u64> = looked_for
            .iter()
            .filter_map(|(name, scenario, options)| self.look_for(name, scenario, options))
            .collect();
        for (name, by) in ELSEWHERE.iter().filter(|(name, _)| self.is_wanted(name)) {
            println!("{name:<24} not looked for here, but by {by}");
        }
        needed.sort_unstable();
        if let (Some(median), Some(most)) = (needed.get(needed.len() / 2), needed.last()) {
            println!(
                "{} of {} found; seeds needed: median {median}, most {most}",
                needed.len(),
                looked_for.len()
            );
        }
        Ok(needed.len() == looked_for.len())
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.bug.as_deref().is_none_or(|only| only == name)
    }

    /// How many seeds it took to find a bug.
    fn look_for(&self, name: &str, scenario: &Scenario, options: &Options) -> Option<u64> {
        let seeds = self.first..self.first.saturating_add(self.seeds);
        let found = seeds.clone().find_map(|seed| Some((seed, scenario.run(seed, options).finding?)));
        match &found {
            Some((seed, finding)) => {
                println!("{name:<24} {:>6} seeds of {:<24} {finding}", seed - self.first + 1, scenario.name);
            }
            None => {
                println!("{name:<24} NOT FOUND in {} seeds of {}", seeds.end - seeds.start, scenario.name)
            }
        }
        found.map(|(seed, _)| seed - self.first + 1)
    }
}
