//! From what a test has said to the verdict on a seed.

use std::cell::Cell;
use std::time::Duration;

use millstream::Config;
use millstream::job::Job;
use millstream::reference::Inputs;
use serde_json::Value as Json;

use super::feed::{Chosen, Given};
use super::output::Output;
use super::work::OfUser;
use super::{JUDGED, Simulation};
use crate::harness::expected::COMMITTED;
use crate::harness::{STATE, Tolerance, endure};
use crate::scenario::Finding;

/// The longest time between two checkpoints, in nanoseconds, of a job whose input is there from the beginning: it is read in no
/// time, and by the usual pace the job would be done before its first checkpoint.
const BRISK: u64 = 500_000;

/// Whether the job got to its end: with faults beyond tolerance it may stop before.
pub(super) fn run(sim: &mut Simulation<'_>, job: &dyn Fn() -> Job) -> Result<bool, Finding> {
    let plain = job();
    named(sim, &plain)?;
    let disk = sim.world.disk();
    sim.given.iter().try_for_each(|given| given.lay(&disk))?;
    let compared: Vec<_> =
        sim.outputs.iter().map(|output| &**output).filter(|output| output.is_compared()).collect();
    if !compared.is_empty() {
        let inputs = choose(&sim.given, Chosen::All);
        compared.iter().for_each(|output| output.expect(&plain, &inputs));
        settled(&sim.given, &compared, &plain)?;
    }
    let mut random = sim.random("pace of checkpoints");
    let brisk = Duration::from_nanos(random.magnitude(BRISK));
    let replayed = !sim.unreplayed && is_determined(sim, &plain);
    let work = OfUser {
        job,
        brisk: sim.given.iter().any(|given| given.is_laid()).then_some(brisk),
        replayed,
        budgets: sim.budgets,
        troubles: (sim.options.crashes.is_none()).then_some(&sim.troubles),
        outputs: &sim.outputs,
        always: &sim.always,
        at_end: &sim.at_end,
        configure: &sim.configure,
        calm: sim.calm,
        late: Cell::new(0),
        was_done: Cell::new(false),
    };
    let tolerance = if sim.beyond { Tolerance::Stops } else { Tolerance::Faults };
    let verdict = endure(sim.world, sim.options, &work, tolerance);
    verdict.map_err(|finding| judged(finding, work.late.get(), &sim.given))?;
    Ok(work.was_done.get())
}

/// The settings of the test, by which its job is looked at.
fn configured(sim: &Simulation<'_>) -> Config {
    (sim.configure)(Config::new().cores(1)).checkpoints(STATE)
}

/// Whether what the test names is there, and all that the reference needs is named.
fn named(sim: &Simulation<'_>, job: &Job) -> Result<(), Finding> {
    let refused = |seen: String| Err(Finding::new(JUDGED, seen));
    if sim.outputs.is_empty() && sim.always.is_empty() && sim.at_end.is_empty() {
        return refused(
            "the test compares nothing: name a sink of the job, or ask something by `sim.at_end`".to_owned(),
        );
    }
    let described = match job.describe(&configured(sim)) {
        Ok(described) => described.to_json(),
        Err(error) => return refused(error.to_string()),
    };
    let steps = |kind: &str| -> Vec<&str> {
        let steps = described["steps"].as_object().into_iter().flatten();
        steps.filter(|(_, step)| step["schema"]["kind"] == kind).map(|(name, _)| name.as_str()).collect()
    };
    let (sources, sinks) = (steps("source"), steps("sink"));
    if let Some(given) =
        sim.given.iter().map(|given| given.name()).find(|name| !sources.contains(&name.as_str()))
    {
        return refused(format!(
            "the job has no source `{given}`; its sources are {sources:?}, and a feed is called as its source"
        ));
    }
    if let Some(output) = sim.outputs.iter().find(|output| !sinks.contains(&output.name())) {
        let name = output.name();
        return refused(format!(
            "the job has no sink `{name}`; its sinks are {sinks:?}, and what is to be checked is called as they are"
        ));
    }
    let known = |source: &&&str| sim.given.iter().any(|given| given.name() == **source);
    match sources.iter().find(|source| !known(source)) {
        Some(source) if sim.outputs.iter().any(|output| output.is_compared()) => refused(format!(
            "the reference does not know what the source `{source}` reads: give it a feed of that name, or say it by \
             `sim.input`; or let the sinks be `unchecked`"
        )),
        _ => Ok(()),
    }
}

/// The kinds of steps whose state follows from their input.
const DETERMINED: [&str; 6] = ["source", "sink", "window", "session", "triggered window", "process"];

/// Whether the job's state follows from its input alone: that comes in one order, nothing that counts depends on the clock or on
/// answers from outside, and what is put out is compared in its order. With more than one step with state nothing is said: one
/// that follows another meets what comes from several cores, in an order that is open.
fn is_determined(sim: &Simulation<'_>, job: &Job) -> bool {
    let splits: usize = sim.given.iter().map(|given| given.splits()).sum();
    let in_order = |name: &str| sim.outputs.iter().any(|of| of.name() == name && of.is_in_order());
    if splits != 1 || !sim.given.iter().all(|given| given.is_feed()) {
        return false;
    }
    let Ok(described) = job.describe(&configured(sim)) else { return false };
    let described = described.to_json();
    let Some(steps) = described["steps"].as_object() else { return false };
    let has_state = |step: &&Json| !matches!(step["schema"]["kind"].as_str(), Some("source" | "sink"));
    if steps.values().filter(has_state).count() > 1 {
        return false;
    }
    steps.iter().all(|(name, step)| {
        let schema = &step["schema"];
        let expires = |state: &Json| state["expires"].as_bool().unwrap_or(false);
        let kind = schema["kind"].as_str().unwrap_or_default();
        DETERMINED.contains(&kind)
            && (kind != "sink" || in_order(name))
            && !schema["states"].as_object().is_some_and(|states| states.values().any(expires))
    })
}

fn choose(given: &[Box<dyn Given>], chosen: Chosen) -> Inputs {
    given.iter().fold(Inputs::new(), |inputs, given| given.give(inputs, chosen))
}

/// Whether the reference says the same however splits interleave, as far as it can be asked: where the last split is read
/// first; and, for each split alone, whether it holds back watermarks to the end or not at all. The engine may do any of
/// these, and a job whose results differ then cannot be compared.
fn settled(given: &[Box<dyn Given>], compared: &[&dyn Output], job: &Job) -> Result<(), Finding> {
    if given.iter().all(|given| given.splits() < 2) {
        return Ok(());
    }
    let mut pairs = vec![(Chosen::All, Chosen::Reversed)];
    // Without the others, what one of several sources comes to means nothing.
    if let [only] = given {
        pairs.extend((0..only.splits()).map(|split| (Chosen::Held(split), Chosen::Alone(split))));
    }
    for (one, other) in pairs {
        let (one, other) = (choose(given, one), choose(given, other));
        if let Some(seen) = compared.iter().find_map(|output| output.differs(job, &one, &other)) {
            let why = "the result depends on how splits interleave, so that there is no one right answer";
            let cure = "give the feed one split, split it by the key that the job routes by, let its records be late by no \
                        more than the watermarks allow, or let the sink be `unordered` or `unchecked`";
            return Err(Finding::new(JUDGED, format!("{why}: {seen}, in another order; {cure}")));
        }
    }
    Ok(())
}

/// A difference from the reference where there may be no one right answer is none that can be judged.
fn judged(finding: Finding, late: u64, given: &[Box<dyn Given>]) -> Finding {
    let splits: usize = given.iter().map(|given| given.splits()).sum();
    if late == 0 || splits < 2 || finding.rule != COMMITTED {
        return finding;
    }
    let why = "records were late, and which are late depends on how several splits or sources interleave";
    let cure = "let no feed be later than its watermarks allow nor pause for longer than they wait, or let the sinks be \
                `unchecked`";
    Finding::new(JUDGED, format!("{late} {why}: {}; {cure}", finding.seen))
}
