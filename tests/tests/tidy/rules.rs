//! The rules of event time and checkpoints: each has tests that bear its number, and a bug that the simulator finds.

use std::fs;

use millstream_tests::flights::repository;

use super::{assert_none, sources};

#[test]
fn every_rule_has_a_test_and_a_planted_bug() {
    let read = |file: &str| fs::read_to_string(repository().join(file)).expect("it is in the repository");
    let (rules, planted) = (read("engine/SEMANTICS.md"), read("sim/src/planted.rs"));
    let sources = sources();
    let mut missing = Vec::new();
    for rule in 1..=32 {
        let test = format!("fn rule_{rule:02}_");
        if !sources.iter().any(|(_, text)| text.contains(&test)) {
            missing.push(format!("rule {rule} has no test; name one `{}…`", &test["fn ".len()..]));
        }
        let row = rules.lines().find(|line| line.starts_with(&format!("| {rule} |")));
        let named = row.and_then(|row| row.rsplit('|').nth(1)).unwrap_or_default();
        let bugs: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        if bugs.is_empty() {
            missing.push(format!("engine/SEMANTICS.md names no planted bug of rule {rule}"));
        }
        let unknown = bugs.iter().filter(|bug| !planted.contains(&format!("\"{bug}\"")));
        missing.extend(unknown.map(|bug| format!("rule {rule}: there is no planted bug {bug}")));
    }
    assert_none(&missing);
}
