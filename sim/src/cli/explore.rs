//! `explore`: every point at which a job can be killed.

use super::{Done, Progress, chosen, print_finding, program};
use crate::explore::{Crashes, Explore};
use crate::scenario::{Options, Scenario};

/// How many seeds are looked at for the job that is explored.
const LOOKED_AT: u64 = 200;

pub(super) fn run(scenarios: &[Scenario], only: Option<&str>, seed: Option<u64>, explore: Explore) -> Done {
    let mut clean = true;
    let chosen = chosen(scenarios, only)?;
    for scenario in chosen.into_iter().filter(|scenario| only.is_some() || scenario.is_job) {
        let name = scenario.name;
        let Some(seed) = seed.or_else(|| Explore::least_seed(scenario, LOOKED_AT)) else {
            let calm = Options { crashes: Some(Crashes::default()), bug: explore.bug, ..Options::default() };
            let broken =
                (0..LOOKED_AT).map(|seed| scenario.run(seed, &calm)).find(|calm| calm.finding.is_some());
            match &broken {
                Some(broken) => print_finding(broken, &broken.replay_line(&program(), name)),
                None => println!("{name}: no seed below {LOOKED_AT} has three checkpoints"),
            }
            clean &= broken.is_none();
            continue;
        };
        let progress = Progress::new();
        let explored = Explore { seed, ..explore }.run(scenario, |done, of| {
            progress.show(|took| {
                let rate = done as f64 / took.as_secs_f64();
                format!("{name}: {done} of {of} runs, {rate:.0} runs/s")
            });
        });
        println!(
            "{name}: seed {seed}, {} checkpoints: killed once in {} runs, twice in {}, in {:.1} s; {} findings",
            explored.checkpoints,
            explored.runs[0],
            explored.runs[1],
            progress.started.elapsed().as_secs_f64(),
            explored.findings.len(),
        );
        for (crashes, finding) in &explored.findings {
            let bug = explore.bug.map_or(String::new(), |bug| format!(" --bug {bug}"));
            println!("{finding}\n  {} replay {seed} --scenario {name} --crash {crashes}{bug}", program());
        }
        clean &= explored.findings.is_empty();
    }
    Ok(clean)
}
