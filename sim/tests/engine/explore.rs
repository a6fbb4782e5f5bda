//! Jobs that are killed at one point after the other.

use millstream_sim::explore::{Explore, Pairs};

use crate::scenario;

/// Seeds among which there is a short job of three checkpoints.
const SEEDS: u64 = 200;

/// Some of the points and pairs; `millstream-sim explore --pairs` takes all.
#[test]
fn no_point_is_a_bad_one_to_be_killed_at() {
    for name in ["windows", "files", "topics"] {
        let scenario = scenario(name);
        let seed = Explore::least_seed(&scenario, SEEDS).expect("one of them has three checkpoints");
        let explored =
            Explore { seed, pairs: Some(Pairs::Operations), most: Some(49), threads: 2, bug: None }
                .run(&scenario, |_, _| {});
        assert!(explored.checkpoints >= 3 && explored.runs.iter().all(|&runs| runs > 0), "{explored:?}");
        if let Some((crashes, finding)) = explored.findings.first() {
            panic!("{finding}: millstream-sim replay {seed} --scenario {name} --crash {crashes}");
        }
    }
}

#[cfg(feature = "planted")]
#[test]
fn a_planted_bug_is_found_at_the_point_where_it_hurts() {
    use millstream_sim::explore::Crashes;
    use millstream_sim::scenario::Options;

    let scenario = scenario("windows");
    let run = |seed, crashes: Crashes, bug| {
        scenario.run(seed, &Options { crashes: Some(crashes), bug, ..Options::default() })
    };
    // Of some jobs, as it depends on how long a sink takes whether it has committed before the manifest is durable.
    let calm = (0..SEEDS).map(|seed| run(seed, Crashes::default(), None));
    let found = calm.filter(|outcome| outcome.checkpoints >= 3).take(20).any(|calm| {
        (0..=calm.lives[0][0]).any(|point| {
            let crashes = format!("point:{point}:process").parse().expect("it is of that form");
            run(calm.seed, crashes, Some("commit_before_manifest")).finding.is_some()
        })
    });
    assert!(found, "killed between a commit and its manifest, the job repeats nothing");
}
