//! Every bug that is planted in the engine, the store and the client of a broker is listed, with the scenario that is to find it.

use std::collections::BTreeSet;
use std::path::Path;

use millstream_sim::planted::{BUGS, ELSEWHERE};
use millstream_sim::scenario;

/// The names in `planted!(…)` of the sources in a directory.
fn planted_in(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).expect("the sources are there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            planted_in(&path, found);
        } else {
            let text = std::fs::read_to_string(&path).expect("sources are text");
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let names = line.split("planted!(").skip(1).filter_map(|rest| rest.split(')').next());
                found.extend(names.filter(|name| !name.starts_with('$')).map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_planted_bug_is_listed_once_with_a_scenario() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut planted = BTreeSet::new();
    planted_in(&root.join("engine/src"), &mut planted);
    planted_in(&root.join("engine/connect"), &mut planted);
    planted_in(&root.join("storage/src"), &mut planted);
    planted_in(&root.join("sim/src/broker"), &mut planted);
    let elsewhere = ELSEWHERE.iter().map(|(name, _)| *name);
    let listed: BTreeSet<String> =
        BUGS.iter().map(|bug| bug.name).chain(elsewhere).map(str::to_owned).collect();
    assert_eq!(planted, listed);
    assert_eq!(listed.len(), BUGS.len() + ELSEWHERE.len(), "one is listed twice");
    let scenarios = scenario::all();
    for bug in BUGS {
        assert!(scenarios.iter().any(|scenario| scenario.name == bug.scenario), "{}", bug.name);
    }
}
