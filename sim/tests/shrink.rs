//! What a run draws can be played again, and taken away until only what matters is left.

use std::time::Duration;

use millstream_sim::scenario::{self, Options, Scenario};
use millstream_sim::shrink::Shrink;
use millstream_sim::tape::Tape;

#[test]
fn a_tape_is_the_run_that_it_was_taken_of_also_as_text() {
    for scenario in scenario::all() {
        for seed in 0..3 {
            let (outcome, tape) = scenario.record(seed, &Options::default());
            assert_eq!(
                outcome.hash,
                scenario.run(seed, &Options::default()).hash,
                "{} {seed}",
                scenario.name
            );
            let read: Tape = tape.to_string().parse().expect("it was written by a tape");
            let played = scenario.play(seed, &read, &Options::default());
            assert_eq!(
                (played.hash, played.points),
                (outcome.hash, outcome.points),
                "{} {seed}",
                scenario.name
            );
            assert_eq!(read.decisions(), tape.decisions());
        }
    }
}

#[test]
fn streams_have_any_name() {
    let text = "a%20b_c%09%25%c3%a9 0:7\n";
    let tape: Tape = text.parse().expect("it is a tape");
    assert_eq!(tape.by_stream().collect::<Vec<_>>(), [("a b_c\t%é", 1)]);
    assert_eq!(tape.to_string(), text);
}

#[test]
fn nothing_is_found_in_the_calmest_run() {
    let few = Options { most_points: Some(1_000_000), ..Options::default() };
    let all = scenario::all();
    // That of the disk finds it when nothing is lost.
    let findings: Vec<String> = all
        .iter()
        .filter(|scenario| !scenario.name.starts_with("control"))
        .filter_map(|scenario| {
            let finding = scenario.play(0, &Tape::default(), &few).finding?;
            Some(format!("{}: {finding}", scenario.name))
        })
        .collect();
    assert_eq!(findings, [""; 0]);
}

/// How many decisions are left of a seed that breaks a rule, once it is shrunk.
fn decisions_left(scenario: &Scenario, seed: u64, rule: &str) -> usize {
    let name = scenario.name;
    let shrink = Shrink { seed, options: Options::default(), limit: Duration::from_secs(600), threads: 2 };
    let shrunk = shrink.run(scenario, |_, _| {}).expect("it fails");
    assert!(shrunk.is_least, "{name} {seed}");
    let again = scenario.play(seed, &shrunk.tape, &Options::default());
    assert_eq!(again.hash, shrunk.outcome.hash, "{name} {seed}");
    assert_eq!(again.finding.expect("it still fails").rule, rule, "{name} {seed}");
    shrunk.tape.decisions()
}

#[test]
fn what_is_left_of_a_failing_run_is_small_and_fails() {
    scenario::keep_panics_quiet();
    for scenario in scenario::all().into_iter().filter(|scenario| scenario.planted) {
        let name = scenario.name;
        let failing =
            (0..1_000).filter_map(|seed| scenario.run(seed, &Options::default()).finding.map(|f| (seed, f)));
        // Nothing more can be taken out of what is left of a seed; another may have come to the same end by a shorter way.
        let mut left = failing.take(5).map(|(seed, finding)| decisions_left(&scenario, seed, &finding.rule));
        assert!(
            left.any(|decisions| decisions <= 20),
            "{name}: in none of five seeds few decisions are left"
        );
    }
}

#[test]
fn a_run_without_a_finding_is_not_shrunk() {
    let protocol =
        scenario::all().into_iter().find(|scenario| scenario.name == "protocol").expect("it is there");
    let shrink = Shrink { seed: 1, options: Options::default(), limit: Duration::from_secs(600), threads: 2 };
    assert!(shrink.run(&protocol, |_, _| {}).is_none());
}

#[test]
fn text_that_is_no_tape_is_refused_with_what_is_wrong() {
    for (text, what) in [
        ("faults 3", "`3` of stream `faults`"),
        ("faults 3:4 2:5", "`2:5` of stream `faults`"),
        ("mishaps%20of%20sinks 1:x", "`1:x` of stream `mishaps of sinks`"),
        ("a%2 1:1", "`a%2` is not the name of a stream"),
        ("faults 99999999999:1", "`99999999999:1`"),
    ] {
        let error = text.parse::<Tape>().expect_err(text);
        assert!(error.contains(what), "{error}");
    }
}
