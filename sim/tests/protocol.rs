//! The small commit protocol holds under every survivable fault, and no step of it can be left out unnoticed.

use millstream_sim::coverage::Fault;
use millstream_sim::scenario::{self, Options, Scenario};
use millstream_sim::swarm::Swarm;

fn scenario(name: &str) -> Scenario {
    scenario::all().into_iter().find(|scenario| scenario.name == name).expect("a scenario of that name")
}

fn swarm(seeds: u64) -> Swarm {
    Swarm { first: 0, seeds, until: None, threads: 2, options: Options::default(), keep_going: false }
}

#[test]
fn the_whole_protocol_holds_over_thousands_of_seeds() {
    let summary = swarm(2000).run(&scenario("protocol"), |_| {});
    assert!(summary.findings.is_empty(), "{:?}", summary.findings[0].finding);
    assert_eq!(summary.seeds, 2000);
    // Media hold here, and no process stands still.
    let never = [Fault::BitRot, Fault::LatentSector, Fault::Misdirected, Fault::Frozen, Fault::Zombie];
    let survivable = Fault::ALL.into_iter().filter(|fault| !never.contains(fault));
    for fault in survivable {
        assert!(summary.coverage.total(fault) > 0, "{fault:?} struck nothing:\n{}", summary.coverage);
    }
}

#[test]
fn every_omission_is_found() {
    for scenario in scenario::all().iter().filter(|scenario| scenario.planted) {
        let found = (0..2000).any(|seed| scenario.run(seed, &Options::default()).finding.is_some());
        assert!(found, "{} was not found", scenario.name);
    }
}

#[test]
fn the_control_finds_nothing_on_an_honest_disk() {
    let summary = swarm(100).run(&scenario("control"), |_| {});
    assert!(summary.findings.is_empty(), "{:?}", summary.findings[0].finding);
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    let scenario = scenario("protocol");
    for seed in 0..100 {
        let run = |keep_log| scenario.run(seed, &Options { keep_log, ..Options::default() });
        let (once, again) = (run(false), run(true));
        assert_eq!((once.hash, once.points, once.time), (again.hash, again.points, again.time));
    }
}
