//! A run as a page to look at: one HTML file that needs nothing else.
//!
//! Each process is a band of its own: its checkpoints, its cores, its disk and the faults that struck it over virtual time,
//! which is shortened where nothing happens (`axis.rs`). What lies too close to be told apart is drawn as one
//! (`merge.rs`). Without scripts the page is whole; with them one can look closer.

mod axis;
mod band;
mod head;
mod lanes;
mod log;
mod merge;
mod run;
mod text;

use std::fmt::Write as _;

use self::axis::Detail;
use self::lanes::Budget;
use self::run::Run;
use self::text::escape;
use crate::scenario::Outcome;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Patterns that all drawings share.
const PATTERNS: &str = "<svg class=\"patterns\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>\
    <pattern id=\"stalled\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
    <rect class=\"stalled-ground\" width=\"6\" height=\"6\"/><rect class=\"stalled-line\" width=\"2.5\" height=\"6\"/></pattern>\
    <pattern id=\"given-up\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(-45)\">\
    <rect class=\"given-up-ground\" width=\"5\" height=\"5\"/><rect class=\"given-up-line\" width=\"2\" height=\"5\"/></pattern>\
    <pattern id=\"nothing\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\">\
    <circle class=\"nothing-dot\" cx=\"1\" cy=\"1\" r=\"0.7\"/></pattern></defs></svg>";

/// What may be drawn of all processes together.
const BLOCKS: usize = 7_000;
const OPERATIONS: usize = 3_600;
const FAULTS: usize = 500;
const KNOTS: usize = 12_000;

/// The page of an outcome, whose log was kept. The same outcome makes the same page, whatever its length below some three
/// megabytes: what would not fit is summed up. `again` is what runs it again, see [`Outcome::replay_line`].
///
/// ```
/// use millstream_sim::scenario::{self, Options};
/// use millstream_sim::timeline;
///
/// let protocol = scenario::all().into_iter().find(|scenario| scenario.name == "protocol").expect("it is one of them");
/// let outcome = protocol.run(7, &Options { keep_log: true, ..Options::default() });
/// let again = outcome.replay_line("millstream-sim", protocol.name);
/// let page = timeline::page(protocol.name, &outcome, &again);
/// assert!(page.starts_with("<!doctype html>") && page.contains("millstream-sim replay 7 --scenario protocol"));
/// ```
pub fn page(scenario: &str, outcome: &Outcome, again: &str) -> String {
    let run = Run::of(&outcome.events);
    let name = escape(scenario);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <title>{name}, seed {seed} — {short}</title>\n<style>\n{STYLE}</style></head>\n<body>{PATTERNS}\
         <header class=\"top\"><p>Millstream simulation</p><h1>{name} <span>seed {seed}</span></h1></header>\n",
        seed = outcome.seed,
        short = if outcome.finding.is_some() { "found" } else { "nothing found" },
    );
    page += &head::verdict(outcome, &run, again);
    page += &head::facts(outcome, &run);
    if run.processes.is_empty() {
        page +=
            "<p class=\"quiet\">There is nothing to draw: no log was kept, or no process was started.</p>";
    } else {
        page += "\n<div class=\"sticky\">";
        page += &head::overview(&run);
        page += "</div>";
        page += &head::legend(&run);
        page += "<p class=\"hint\" hidden=\"hidden\">Drag over a process to look closer, double-click to see all of it \
                 again. Ctrl and the wheel zoom where the pointer is.</p>\n";
        processes(&mut page, &run);
    }
    let _ = write!(
        page,
        "<details class=\"box\"><summary>What struck what</summary>{}</details>\n\
         <details class=\"box\" id=\"log\"><summary>The log</summary>\
         <p class=\"filter\" hidden=\"hidden\"><input type=\"search\" aria-label=\"Show lines with\" placeholder=\"Show lines \
         with …\"/> <span></span></p><pre>{}</pre></details>\n<script>\n{SCRIPT}</script>\n</body></html>\n",
        head::coverage(outcome),
        log::text(&outcome.events, again),
    );
    page
}

fn processes(page: &mut String, run: &Run) {
    let each = run.processes.len();
    let share = |most: usize| (most / each).max(12);
    let axis = Detail { knots: share(KNOTS).min(500), seen: (0.16 * each as f64).max(5.0) };
    let budget = Budget { blocks: share(BLOCKS), operations: share(OPERATIONS), faults: share(FAULTS), axis };
    for process in &run.processes {
        let (class, _) = head::of_ending(&process.ending);
        let _ = writeln!(
            page,
            "<section class=\"process {class}\" id=\"process-{}\">{}<div class=\"scroll\">{}</div>{}</section>",
            process.number,
            head::of_process(process),
            band::draw(process, run.step, budget),
            head::losses(process),
        );
    }
}
