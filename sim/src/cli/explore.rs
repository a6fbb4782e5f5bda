//! `explore`: every point at which a job can be killed.

use super::{Done, Progress, chosen, program};
use crate::explore::Explore;
use crate::scenario::Scenario;

/// How many seeds are looked at for the job that is explored.
const LOOKED_AT: u64 = 200;

pub(super) fn run(scenarios: &[Scenario], only: Option<&str>, seed: Option<u64>, explore: Explore) -> Done {
    let mut clean = true;
    let chosen = chosen(scenarios, only)?;
    for scenario in chosen.into_iter().filter(|scenario| only.is_some() || scenario.is_job) {
        let name = scenario.name;
        let Some(seed) = seed.or_else(|| Explore::least_seed(scenario, LOOKED_AT)) else {
            println!("{name}: no seed below {LOOKED_AT} has three checkpoints");
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
            println!("{finding}\n  {} replay {seed} --scenario {name} --crash {crashes}", program());
        }
        clean &= explored.findings.is_empty();
    }
    Ok(clean)
}
