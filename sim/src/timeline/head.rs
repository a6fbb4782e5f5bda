//! The top of a page: what came of the run, and where.

use std::fmt::Write as _;

use super::lanes::{of_site, several};
use super::run::{Ending, Process, Run, Struck};
use super::text::{clipped, count, counted, escape, exact, in_log, rough, words};
use crate::coverage::{Fault, Site};
use crate::planted::BUGS;
use crate::scenario::{Finding, Outcome};

/// What is told of an ending: a class, and words.
pub(super) fn of_ending(ending: &Ending) -> (&'static str, &'static str) {
    match ending {
        Ending::Finished => ("finished", "finished"),
        Ending::Failed(_) => ("failed", "failed"),
        Ending::Killed => ("killed", "killed by a signal"),
        Ending::PowerLoss => ("power", "killed by a loss of power"),
        Ending::Stuck(_) => ("failed", "got stuck"),
        Ending::Cut => ("failed", "panicked"),
    }
}

/// What was found, or that nothing was, and how to see it again.
pub(super) fn verdict(outcome: &Outcome, run: &Run, again: &str) -> String {
    let mut html = match &outcome.finding {
        None => "<section class=\"verdict clean\"><p class=\"kicker\">Nothing found</p>\
                 <h2>Every rule of the scenario held.</h2>"
            .to_owned(),
        Some(finding) => found(finding, run),
    };
    let bug = outcome.options.bug.and_then(|name| BUGS.iter().find(|bug| bug.name == name));
    if let Some(bug) = bug {
        let (name, about) = (escape(bug.name), escape(bug.about));
        let _ = write!(html, "<p class=\"bug\">With the planted bug <b>{name}</b>: {about}.</p>");
    }
    let line = escape(again);
    let _ =
        write!(html, "<div class=\"replay\"><span>Run it again</span><code>{line}</code></div></section>");
    html
}

fn found(finding: &Finding, run: &Run) -> String {
    let mut html =
        String::from("<section class=\"verdict found\"><p class=\"kicker\">Found — this rule was broken</p>");
    let _ = write!(html, "<h2>{}</h2><p class=\"seen\">{}</p>", escape(&finding.rule), escape(&finding.seen));
    html += &divergence(&finding.seen);
    if let Some(last) = run.processes.last() {
        let (class, how) = of_ending(&last.ending);
        let place = if last.ending == Ending::Cut { "Seen in" } else { "Seen after" };
        let _ = write!(
            html,
            "<p class=\"where\">{place} <a href=\"#process-{n}\">process {n}</a> of {of}, which \
             <span class=\"pill {class}\">{how}</span>, at {at} of virtual time.</p>",
            n = last.number,
            of = run.processes.len(),
            at = rough(last.end)
        );
    }
    html
}

/// The first record that differs: what was there and what should have been, below each other, with the place from which on
/// they differ; or what is missing.
fn divergence(seen: &str) -> String {
    let Some((before, expected)) = seen.rsplit_once(", expected ") else { return String::new() };
    let missing = expected.split_once(": ").and_then(|(_, record)| record.strip_suffix(" is missing"));
    if let Some(record) = missing {
        return format!(
            "<dl class=\"differ\"><dt>missing</dt><dd class=\"want\"><mark>{}</mark></dd></dl>",
            escape(record)
        );
    }
    let Some((_, got)) = before.split_once(" is ") else { return String::new() };
    // What is expected may be nothing, and is an option for that.
    let expected = expected.strip_prefix("Some(").and_then(|some| some.strip_suffix(')')).unwrap_or(expected);
    let same: usize = got
        .chars()
        .zip(expected.chars())
        .take_while(|(a, b)| a == b)
        .map(|(letter, _)| letter.len_utf8())
        .sum();
    let row = |name: &str, class: &str, text: &str| {
        let (begin, rest) = (escape(&text[..same]), escape(&text[same..]));
        format!("<dt>{name}</dt><dd class=\"{class}\">{begin}<mark>{rest}</mark></dd>")
    };
    format!("<dl class=\"differ\">{}{}</dl>", row("expected", "want", expected), row("got", "got", got))
}

/// The run in numbers.
pub(super) fn facts(outcome: &Outcome, run: &Run) -> String {
    let operations: usize = run.processes.iter().map(|of| of.operations.len()).sum();
    let mut facts = vec![
        ("processes", count(run.processes.len() as u64)),
        ("virtual time", rough(outcome.time.as_nanos() as u64)),
        ("scheduling points", count(outcome.points)),
        ("disk operations", count(operations as u64)),
        ("faults", count(run.faults() as u64)),
    ];
    if outcome.checkpoints > 0 {
        facts.push(("checkpoints", count(outcome.checkpoints)));
    }
    if outcome.work > 0 {
        facts.push(("work counted", count(outcome.work)));
    }
    facts.push(("trace hash", format!("{:016x}", outcome.hash)));
    let facts = facts.iter().map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>"));
    format!("<dl class=\"facts\">{}</dl>", facts.collect::<String>())
}

/// All processes in a row, each as wide as there was much to do in it.
pub(super) fn overview(run: &Run) -> String {
    let mut html = String::from("<nav class=\"overview\" aria-label=\"Processes\">");
    for of in &run.processes {
        let (class, how) = of_ending(&of.ending);
        let steps: usize = of.steps.iter().map(Vec::len).sum();
        let told = format!(
            "process {}: {how}\n{}, {}, {}",
            of.number,
            counted(of.steps.len() as u64, "core", "cores"),
            rough(of.end - of.start),
            counted(steps as u64, "step", "steps")
        );
        let grow = ((steps + 1) as f64).sqrt();
        let _ = write!(
            html,
            "<a class=\"{class}\" style=\"flex-grow:{grow:.1}\" href=\"#process-{n}\" title=\"{}\">{n}</a>",
            escape(&told),
            n = of.number
        );
    }
    html + "</nav>"
}

/// What colours and shapes mean; of kinds of files, those that there are.
pub(super) fn legend(run: &Run) -> String {
    let operations = || run.processes.iter().flat_map(|of| &of.operations);
    let sites = Site::ALL.into_iter().filter(|site| operations().any(|of| of.site == *site));
    let sites: String = sites.map(|site| key(&format!("op s{}", site as u8), of_site(site))).collect();
    let cores = key("run d1", "a core runs now and then")
        + &key("run d4", "without a break")
        + &key("stall", "is stalled");
    let checkpoints = key("complete", "until it is durable")
        + &key("commit", "until it is committed")
        + &key("aborted", "aborted")
        + &key("cut-off", "cut off by the end of its process");
    let broken = key("fault", "a fault strikes") + &key("op s6 hit", "an operation that one struck");
    let broken =
        broken + &key("op s6 bad", "one that failed") + &key("op s6 open", "one that was never answered");
    let axis = key("gap", "nothing happens: the axis is shortened");
    let groups = [
        ("Cores", cores),
        ("Checkpoints", checkpoints),
        ("Files", sites),
        ("Faults", broken),
        ("Time", axis),
    ];
    let groups = groups.iter().map(|(name, keys)| format!("<div><b>{name}</b>{keys}</div>"));
    format!("<section class=\"legend\" aria-label=\"Legend\">{}</section>", groups.collect::<String>())
}

fn key(class: &str, text: &str) -> String {
    format!(
        "<span><svg width=\"20\" height=\"12\" aria-hidden=\"true\"><rect class=\"{class}\" x=\"1\" y=\"2\" width=\"18\" \
         height=\"8\"/></svg>{text}</span>"
    )
}

/// How often each fault struck each kind of file, of those that did.
pub(super) fn coverage(outcome: &Outcome) -> String {
    let coverage = &outcome.coverage;
    let faults: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| coverage.total(*fault) > 0).collect();
    if faults.is_empty() {
        return "<p class=\"quiet\">No fault struck.</p>".to_owned();
    }
    let struck = |site: &Site| faults.iter().any(|fault| coverage.count(*fault, *site) > 0);
    let sites: Vec<Site> = Site::ALL.into_iter().filter(struck).collect();
    let heads: String = sites.iter().map(|site| format!("<th>{}</th>", of_site(*site))).collect();
    let mut html = format!("<table><thead><tr><th>fault</th>{heads}<th>in all</th></tr></thead><tbody>");
    for fault in faults {
        let cell = |site: &Site| match coverage.count(fault, *site) {
            0 => "<td></td>".to_owned(),
            hits => format!("<td>{}</td>", count(hits)),
        };
        let cells: String = sites.iter().map(cell).collect();
        let (name, total) = (words(&format!("{fault:?}")), count(coverage.total(fault)));
        let _ = write!(html, "<tr><th>{name}</th>{cells}<td class=\"sum\">{total}</td></tr>");
    }
    html + "</tbody></table>"
}

/// The heading of a process: who it was, how it ended, and what its end took.
pub(super) fn of_process(process: &Process) -> String {
    let (class, how) = of_ending(&process.ending);
    let steps: usize = process.steps.iter().map(Vec::len).sum();
    let mut html = format!(
        "<header><h3>Process {}</h3><span class=\"pill {class}\">{how}</span><p>{}{}, {} from {} on, {}, {}</p></header>",
        process.number,
        if process.again { "the one before it, gone on: " } else { "" },
        counted(process.steps.len() as u64, "core", "cores"),
        exact_or_nothing(process.end - process.start),
        in_log(process.start),
        counted(steps as u64, "step", "steps"),
        counted(process.operations.len() as u64, "disk operation", "disk operations"),
    );
    let stuck = if let Ending::Stuck(why) = &process.ending { Some(why) } else { None };
    let mut told: Vec<&String> = process.outcomes.iter().chain(stuck).collect();
    told.dedup();
    for said in told {
        let class = if said.contains("failed") || stuck == Some(said) { "why" } else { "quiet" };
        let _ = write!(html, "<p class=\"{class}\">{}</p>", sentence(said));
    }
    html
}

/// Some text with a capital letter first, escaped and not too long.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    clipped(&(first + letters.as_str()), 600)
}

fn exact_or_nothing(nanos: u64) -> String {
    if nanos == 0 { "no time".to_owned() } else { exact(nanos) }
}

/// What the end of a process took, and what the loss of power after it.
pub(super) fn losses(process: &Process) -> String {
    let mut html = chips("What its end did", &process.losses);
    if let Some(cut) = &process.cut_after {
        html += &chips("Then the power was cut", cut);
        if cut.is_empty() {
            html += "<p class=\"losses\"><b>Then the power was cut</b> and took nothing.</p>";
        }
    }
    html
}

fn chips(name: &str, struck: &[Struck]) -> String {
    if struck.is_empty() {
        return String::new();
    }
    let mut kinds: Vec<(Fault, Site)> = struck.iter().map(|of| (of.fault, of.site)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut html = format!("<p class=\"losses\"><b>{name}</b>");
    for (fault, site) in kinds {
        let of: Vec<&Struck> = struck.iter().filter(|of| (of.fault, of.site) == (fault, site)).collect();
        let told = format!(
            "{} ({} file)\n{}",
            words(&format!("{fault:?}")),
            of_site(site),
            several(of.iter().map(|of| of.what.clone()))
        );
        let many = if of.len() > 1 { format!(" ×{}", of.len()) } else { String::new() };
        let _ = write!(
            html,
            "<span class=\"chip\" tabindex=\"0\" title=\"{}\"><i class=\"s{}\"></i>{}: {}{many}</span>",
            escape(&told),
            site as u8,
            of_site(site),
            meant(fault)
        );
    }
    html + "</p>"
}

/// What a fault of a crash means for what it struck.
fn meant(fault: Fault) -> String {
    match fault {
        Fault::CrashDone => "in flight, took effect".to_owned(),
        Fault::CrashUndone => "in flight, had no effect".to_owned(),
        Fault::TornWrite => "written in part".to_owned(),
        Fault::LostWrite => "unsynced data lost".to_owned(),
        Fault::LostLength => "unsynced length lost".to_owned(),
        Fault::Garbage => "garbage for lost data".to_owned(),
        Fault::LostName => "unsynced name lost".to_owned(),
        fault => words(&format!("{fault:?}")),
    }
}
