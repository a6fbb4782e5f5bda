//! How a finding is looked for: in many seeds, in one, on a tape, and at each point of a job.

use std::path::Path;

use super::found::Found;
use super::{Check, JUDGED};
use crate::explore::{Crashes, Explore};
use crate::scenario::{Finding, Options, Outcome, Scenario};
use crate::swarm::{Summary, Swarm};
use crate::tape_file::TapeFile;

/// How many seeds are looked at for the job whose points are explored.
const LOOKED_AT: u64 = 60;

/// Of so many seeds some must show what they are for.
const TELLING: u64 = 20;

impl Check {
    pub(super) fn run(
        &self,
        scenario: &Scenario,
        seed: u64,
        crashes: Option<Crashes>,
        keep_log: bool,
    ) -> Outcome {
        scenario.run(seed, &Options { keep_log, crashes, bug: self.bug, ..Options::default() })
    }

    pub(super) fn swarm(&self, scenario: &Scenario) -> Option<Found> {
        let options = Options { bug: self.bug, crashes: self.crashes, ..Options::default() };
        let swarm = Swarm {
            first: self.first,
            seeds: self.seeds,
            until: None,
            threads: self.threads,
            options,
            keep_going: false,
        };
        let summary = swarm.run(scenario, |_| {});
        let searched = format!("after {} of {} seeds", summary.seeds, self.seeds);
        let Some(outcome) = summary.findings.first() else {
            if let Some(finding) = self.shows_nothing(&summary) {
                return Some(Found::new(scenario.name, self.first, None, finding, searched).of_no_run());
            }
            println!("{}: {} seeds from {}; nothing was found", scenario.name, summary.seeds, self.first);
            return None;
        };
        let again = self.run(scenario, outcome.seed, self.crashes, false);
        let same = again.hash == outcome.hash && again.finding == outcome.finding;
        let found = Found::new(scenario.name, outcome.seed, self.crashes, outcome.finding.clone()?, searched);
        Some(found.again(same))
    }

    /// What is wrong with seeds in which nothing happened that could have shown something.
    fn shows_nothing(&self, summary: &Summary) -> Option<Finding> {
        let Summary { seeds, endured, .. } = summary;
        if *seeds < TELLING || self.crashes.is_some() || endured.calm == *seeds {
            return None;
        }
        let longer = "let its feeds have more records, or pause for longer";
        let seen = match (endured.kills, endured.restores) {
            (0, _) => format!(
                "in {seeds} seeds no process was killed, so that nothing is shown: the job is over too soon; {longer}; or say \
                 by `sim.faults` that none is to be killed"
            ),
            (kills, 0) if endured.unsaved < *seeds => format!(
                "in {seeds} seeds {kills} processes were killed, and none of them behind a checkpoint, so that nothing was ever \
                 restored: {longer}, or let it take checkpoints more often (what `sim.config` says comes after what a seed \
                 draws); or say by `sim.without_checkpoints()` that it takes none on its way"
            ),
            _ => return None,
        };
        Some(Finding::new(JUDGED, seen))
    }

    /// One run, told as it goes.
    pub(super) fn replay(&self, scenario: &Scenario, seed: u64) -> Option<Found> {
        let outcome = self.run(scenario, seed, self.crashes, true);
        self.tell(scenario.name, &outcome);
        let Some(finding) = outcome.finding.clone() else {
            self.draw_clean(scenario.name, &outcome);
            return None;
        };
        let again = self.run(scenario, seed, self.crashes, false);
        let same = again.hash == outcome.hash && again.finding.as_ref() == Some(&finding);
        let found = Found::new(scenario.name, seed, self.crashes, finding, "in a replay".to_owned());
        Some(found.again(same))
    }

    /// The run on a tape, told as it goes.
    pub(super) fn play(&self, scenario: &Scenario, path: &Path, tape: &TapeFile) -> Option<Found> {
        let options = tape.options().unwrap_or_else(|wrong| panic!("SIM_TAPE: {wrong}"));
        let play = |keep_log| scenario.play(tape.seed, &tape.tape, &Options { keep_log, ..options });
        let outcome = play(true);
        self.tell(scenario.name, &outcome);
        let finding = outcome.finding?;
        let same = play(false).finding.as_ref() == Some(&finding);
        let searched = "as it is left on a tape".to_owned();
        Some(Found::new(scenario.name, tape.seed, None, finding, searched).again(same).on_tape(path))
    }

    /// Prints what happened in a run: all of it, unless it is to be drawn, or made smaller first.
    fn tell(&self, name: &str, outcome: &Outcome) {
        if self.timeline.is_none() && self.shrink.is_none() {
            outcome.events.iter().for_each(|event| println!("{event}"));
        }
        let (seed, millis) = (outcome.seed, outcome.time.as_secs_f64() * 1e3);
        println!(
            "{name}: seed {seed}, {} points, {millis:.3} ms, trace hash {:016x}",
            outcome.points, outcome.hash
        );
    }

    /// Kills the job of a seed, or of the shortest one, at each of its points.
    pub(super) fn every_point(&self, scenario: &Scenario, seed: Option<u64>) -> Option<Found> {
        let name = scenario.name;
        let Some(seed) = seed.or_else(|| Explore::least_seed(scenario, LOOKED_AT)) else {
            return Some(self.without_three(scenario));
        };
        let explore = Explore { seed, pairs: None, most: self.most, threads: self.threads, bug: self.bug };
        let explored = explore.run(scenario, |_, _| {});
        let runs = explored.runs[0];
        let Some((crashes, finding)) = explored.findings.into_iter().next() else {
            println!("{name}: killed at {runs} points of seed {seed}; nothing was found");
            return None;
        };
        let again = self.run(scenario, seed, Some(crashes), false);
        let same = again.finding.as_ref() == Some(&finding);
        Some(Found::new(name, seed, Some(crashes), finding, format!("after {runs} runs")).again(same))
    }

    /// What there is to say of a job that is too short, or that does not even work while nothing happens to it.
    fn without_three(&self, scenario: &Scenario) -> Found {
        let calm = (0..LOOKED_AT).map(|seed| self.run(scenario, seed, Some(Crashes::default()), false));
        let mut broken = calm.filter_map(|outcome| Some((outcome.seed, outcome.finding?)));
        let searched = "before any was killed".to_owned();
        let crashes = Some(Crashes::default());
        match broken.next() {
            Some((seed, finding)) => Found::new(scenario.name, seed, crashes, finding, searched),
            None => {
                let seen = format!(
                    "no seed below {LOOKED_AT} has a job of three checkpoints: let the feeds have more records or pause for \
                     longer, or let the job take checkpoints more often"
                );
                let finding = Finding::new(JUDGED, seen);
                Found::new(scenario.name, 0, crashes, finding, searched).of_no_run()
            }
        }
    }
}
