//! The page of a run holds what happened in it, needs nothing else, and is the same each time.

use std::time::Duration;

use millstream_sim::coverage::Fault;
use millstream_sim::scenario::{self, Finding, Options, Outcome, Scenario};
use millstream_sim::timeline;
use millstream_sim::trace::{Event, What};

fn page(name: &str, outcome: &Outcome) -> String {
    timeline::page(name, outcome, &outcome.replay_line("millstream-sim", name))
}

fn scenario(name: &str) -> Scenario {
    scenario::all().into_iter().find(|scenario| scenario.name == name).expect("a scenario of that name")
}

fn run(name: &str, seed: u64) -> Outcome {
    scenario(name).run(seed, &Options { keep_log: true, ..Options::default() })
}

/// The first run of a scenario in which something is found.
fn failing(name: &str) -> Outcome {
    (0..1000).map(|seed| run(name, seed)).find(|outcome| outcome.finding.is_some()).expect("a seed finds it")
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

/// The page without its log: what is drawn and told of the run.
fn drawn(page: &str) -> &str {
    page.split("id=\"log\"").next().expect("a page has a beginning")
}

/// Every tag is closed, in order, and every attribute is quoted.
#[track_caller]
fn assert_well_formed(page: &str) {
    let mut rest = page.strip_prefix("<!doctype html>").expect("it says what it is");
    let mut open: Vec<&str> = Vec::new();
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, behind) = after.split_once('>').expect("a tag ends");
        assert!(!tag.contains('<'), "a tag in a tag: {tag}");
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes in {tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        assert!(!name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric()), "{tag}");
        rest = behind;
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed in order");
        } else if matches!(name, "style" | "script") {
            rest = behind.split_once(&format!("</{name}>")).expect("it is closed").1;
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

#[track_caller]
fn assert_stands_alone(page: &str) {
    for word in ["http:", "https:", "src=", "@import", "url(\"", "url('", "<link", "<iframe", "fetch("] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.split("url(").skip(1).all(|after| after.starts_with('#')));
    assert!(page.split("href=\"").skip(1).all(|after| after.starts_with('#')));
}

#[test]
fn a_finding_is_told_with_the_line_that_replays_it() {
    for name in ["protocol-no-sync", "protocol-in-place", "control-forgiving-disk"] {
        let outcome = failing(name);
        let page = page(name, &outcome);
        assert_well_formed(&page);
        assert_stands_alone(&page);
        let Finding { rule, seen } = outcome.finding.expect("it was looked for");
        assert!(page.contains(&format!("<h2>{}</h2>", escaped(&rule))), "{rule}");
        assert!(page.contains(&escaped(&seen)), "{seen}");
        assert!(page.contains(&format!("millstream-sim replay {} --scenario {name}</code>", outcome.seed)));
    }
}

#[test]
fn every_process_and_every_fault_is_drawn() {
    let (mut faults, mut checkpoints) = (0, 0);
    for (name, seed) in (0..12).map(|seed| ("protocol", seed)).chain((0..12).map(|seed| ("windows", seed))) {
        let outcome = run(name, seed);
        let page = page(name, &outcome);
        assert_well_formed(&page);
        assert_stands_alone(&page);
        let drawn = drawn(&page);
        for Event { what, numbers, text, .. } in &outcome.events {
            let told = text.split_once(": ").map_or("", |(_, told)| told);
            match what {
                What::Start => assert!(drawn.contains(&format!("<h3>Process {}</h3>", numbers[0]))),
                // What is done to a file by its number is told by its name.
                What::Fault if told.contains("file ") || drawn.contains("more, see the log") => {}
                What::Fault => {
                    faults += 1;
                    assert!(drawn.contains(&escaped(told)), "{name}, {seed}: {text}");
                }
                What::Triggered => {
                    checkpoints += 1;
                    assert!(drawn.contains(&format!("<title>checkpoint {}: triggered +", numbers[0])));
                }
                _ => {}
            }
        }
        let counted: u64 = Fault::ALL.iter().map(|fault| outcome.coverage.total(*fault)).sum();
        let marked = outcome.events.iter().filter(|event| event.what == What::Fault).count() as u64;
        assert_eq!(marked, counted, "{name}, {seed}: every fault that is counted is in the log");
    }
    assert!(faults > 20 && checkpoints > 5, "{faults} faults and {checkpoints} checkpoints were looked for");
}

#[test]
fn checkpoints_are_marked_within_their_process() {
    let (mut committed, mut cut_off) = (0, 0);
    for seed in 0..12 {
        let outcome = run("windows", seed);
        assert!(outcome.events.is_sorted_by_key(|event| event.at), "{seed}");
        let mut running = false;
        let count = |what| outcome.events.iter().filter(|event| event.what == what).count();
        cut_off += count(What::Triggered) - count(What::Completed) - count(What::Aborted);
        committed += count(What::Committed);
        for event in &outcome.events {
            match event.what {
                What::Start => running = true,
                What::End => running = false,
                What::Triggered => assert!(running, "{seed}: {event}"),
                _ => {}
            }
        }
    }
    assert!(
        committed > 5 && cut_off > 2,
        "{committed} were committed, the end of a process cut off {cut_off}"
    );
}

#[test]
fn the_same_outcome_is_the_same_page() {
    for name in ["windows", "restarts", "store"] {
        assert_eq!(page(name, &run(name, 3)), page(name, &run(name, 3)), "{name}");
    }
}

#[test]
fn marks_are_no_part_of_a_run() {
    for name in ["windows", "restarts", "remote", "savepoints"] {
        let (with, without) = (run(name, 4), scenario(name).run(4, &Options::default()));
        assert_eq!(
            (with.hash, with.points, with.time),
            (without.hash, without.points, without.time),
            "{name}"
        );
        assert!(with.events.iter().any(|event| event.what == What::Outcome), "{name}");
        assert_eq!(without.events.len(), 0);
    }
}

#[test]
fn foreign_text_is_no_markup() {
    let mut outcome = run("protocol", 1);
    let foreign = "</title></svg><script>alert('\"&')</script>\u{1}";
    outcome.finding = Some(Finding::new(foreign, format!("{foreign} is a, expected {foreign}")));
    outcome.events.iter_mut().for_each(|event| event.text.push_str(foreign));
    let page = page(foreign, &outcome);
    assert_well_formed(&page);
    assert!(!page.contains("<script>alert") && !page.contains('\u{1}'));
}

#[test]
fn what_goes_wrong_outside_is_drawn() {
    for (name, whose) in
        [("postgres", "database: "), ("remote", "object store: "), ("restarts", "code of users: ")]
    {
        let is_whose = |event: &Event| event.what == What::Outside && event.text.starts_with(whose);
        let mut runs = (0..100).map(|seed| run(name, seed));
        let outcome = runs.find(|outcome| outcome.events.iter().any(is_whose)).expect("a seed has one");
        let page = page(name, &outcome);
        assert_well_formed(&page);
        for event in outcome.events.iter().filter(|event| event.what == What::Outside) {
            assert!(drawn(&page).contains(&format!("<title>outside: {}", escaped(&event.text))), "{event}");
        }
    }
}

/// A run of as many events, in as many processes.
fn long(processes: u64, steps: u64) -> Outcome {
    let mut outcome = run("protocol", 1);
    let (mut events, mut at) = (Vec::new(), 0);
    let mut add = |events: &mut Vec<Event>, what, numbers, text: &str| {
        at += if at % 97_000 == 0 { 5_000_000 } else { 1_000 };
        events.push(Event { at: Duration::from_nanos(at), what, numbers, text: text.to_owned() });
    };
    for process in 1..=processes {
        add(&mut events, What::Start, [process, 4], "");
        for step in 0..steps {
            add(&mut events, What::Poll, [step % 4, step], "");
            match step % 8 {
                0 => {
                    add(&mut events, What::Issue, [step / 8, 1_000], "open state/data/delta-0001-0002 Create")
                }
                4 => {
                    add(&mut events, What::Complete, [step / 8, 7], "open state/data/delta-0001-0002 Create");
                    let of = [Fault::Slow as u64, 3];
                    add(&mut events, What::Fault, of, "Slow Delta: open state/data/delta-0001-0002 Create");
                }
                _ => {}
            }
        }
        add(&mut events, What::End, [process, steps], "finished");
    }
    outcome.events = events;
    outcome
}

#[test]
fn a_long_run_is_summed_up() {
    for (processes, steps) in [(1, 300_000), (300, 1_000)] {
        let page = page("long", &long(processes, steps));
        assert!(page.len() < 3_000_000, "{processes} processes: {} bytes", page.len());
        assert_well_formed(&page);
        assert!(page.contains(&format!("<h3>Process {processes}</h3>")));
    }
}

#[test]
fn without_a_log_there_is_still_a_verdict() {
    let outcome = scenario("protocol").run(1, &Options::default());
    let page = page("protocol", &outcome);
    assert_well_formed(&page);
    assert!(page.contains("no log was kept") && page.contains("replay 1 --scenario protocol"));
}
