//! The shipped engine holds in every scenario, seeds stay the runs they were, and no planted bug goes unnoticed.

mod explore;
mod slow_sink;

use std::path::PathBuf;

use millstream_sim::scenario::{self, Options, Scenario};
use millstream_sim::swarm::Swarm;
use millstream_sim::tape_file::TapeFile;

fn scenario(name: &str) -> Scenario {
    scenario::all().into_iter().find(|scenario| scenario.name == name).expect("a scenario of that name")
}

#[test]
fn the_engine_holds_in_every_scenario() {
    for scenario in scenario::all().into_iter().filter(|scenario| !scenario.planted) {
        let name = scenario.name;
        let swarm = Swarm {
            first: 1 << 40,
            seeds: 120,
            until: None,
            threads: 2,
            options: Options::default(),
            keep_going: false,
        };
        let summary = swarm.run(&scenario, |_| {});
        if let Some(first) = summary.findings.first() {
            panic!(
                "{}: millstream-sim replay {} --scenario {name}",
                first.finding.as_ref().expect("kept"),
                first.seed
            );
        }
    }
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    for scenario in scenario::all().into_iter().filter(|scenario| !scenario.planted) {
        let name = scenario.name;
        for seed in 0..8 {
            let run = |keep_log| scenario.run(seed, &Options { keep_log, ..Options::default() });
            let (once, again) = (run(false), run(true));
            assert_eq!(
                (once.hash, once.points, once.time),
                (again.hash, again.points, again.time),
                "{name} {seed}"
            );
        }
    }
}

#[test]
fn what_was_found_once_stays_fixed() {
    let lines = include_str!("../../corpus/seeds.txt").lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let (words, _) = line.split_once('#').expect("what it found");
        let mut words = words.split_whitespace();
        let (name, seed) = (words.next().expect("a scenario"), words.next().expect("a seed"));
        let seed = seed.parse().expect("a number");
        let mut options = Options::default();
        match words.next() {
            None => {}
            Some("at_once") => options.at_once = true,
            Some("prompt") => options.prompt = true,
            Some(other) => panic!("{other} is no option: {line}"),
        }
        let outcome = scenario(name).run(seed, &options);
        assert_eq!(outcome.finding, None, "{line}");
    }
}

/// The tapes of planted bugs: what is left of a run that shows one.
fn tapes() -> Vec<(PathBuf, TapeFile)> {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    let entries = std::fs::read_dir(corpus).expect("the corpus is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "tape"));
    paths.sort();
    let read =
        |path: PathBuf| (path.clone(), TapeFile::read(&path).unwrap_or_else(|wrong| panic!("{wrong}")));
    paths.into_iter().map(read).collect()
}

#[test]
fn a_tape_holds_without_its_bug() {
    let tapes = tapes();
    assert!(tapes.len() >= 2);
    for (path, tape) in tapes {
        let options = Options { cores: tape.cores, ..Options::default() };
        let outcome = scenario(&tape.scenario).play(tape.seed, &tape.tape, &options);
        assert_eq!(outcome.finding, None, "{}", path.display());
    }
}

#[cfg(feature = "planted")]
#[test]
fn a_tape_fails_with_its_bug_by_its_rule() {
    for (path, tape) in tapes() {
        let options = tape.options().unwrap_or_else(|wrong| panic!("{wrong}"));
        let outcome = scenario(&tape.scenario).play(tape.seed, &tape.tape, &options);
        let rule = outcome.finding.map(|finding| finding.rule);
        let how = "shrink it anew if the order of steps has changed: see sim/corpus/README.md";
        assert!(rule.is_some() && rule == tape.rule, "{}: {rule:?}; {how}", path.display());
    }
}

#[cfg(feature = "planted")]
#[test]
fn every_planted_bug_is_found() {
    use millstream_sim::planted::BUGS;

    scenario::keep_panics_quiet();
    for bug in BUGS {
        let (scenario, options) =
            (scenario(bug.scenario), Options { bug: Some(bug.name), ..Options::default() });
        let found = (0..100_000).any(|seed| scenario.run(seed, &options).finding.is_some());
        assert!(found, "{}: {} was not found in {}", bug.name, bug.about, bug.scenario);
    }
}
