//! A test in which nothing happens shows nothing: it fails, and says what is to be changed.

use millstream::time::secs;
use millstream_sim::prelude::*;

use crate::jobs::{Event, events, sums, test_of_sums};

/// What is said of a test that shows nothing.
fn refused(test: impl Fn(&mut Simulation<'_>) + Send + Sync + 'static) -> String {
    let found = Check::new().seeds(20).find("idle", test).expect("it shows nothing");
    assert_eq!(found.finding().rule, "the test can be judged", "{found}");
    assert!(!found.to_string().contains("SIM_SEED"), "there is no run to look at: {found}");
    found.to_string()
}

#[test]
fn a_check_that_never_restores_fails() {
    let told = refused(|sim| {
        sim.config(|config| config.checkpoint_every(secs(3600)));
        test_of_sums(sim);
    });
    assert!(told.contains("none of them behind a checkpoint") && told.contains("sim.config"), "{told}");
}

#[test]
fn it_passes_if_the_test_says_that_there_are_none() {
    let found = Check::new().seeds(20).find("idle", |sim| {
        sim.config(|config| config.checkpoint_at_end_only());
        sim.without_checkpoints();
        test_of_sums(sim);
    });
    assert!(found.is_none(), "{}", found.expect("just seen"));
}

#[test]
fn a_check_that_kills_nothing_fails() {
    let told = refused(|sim| {
        // Some seeds draw that nothing is to be killed: here they all do, though the test has not asked for it.
        sim.faults(|plan| plan.crash = Chance::of(1, 1_000_000_000));
        test_of_sums(sim);
    });
    assert!(told.contains("no process was killed"), "{told}");
}

#[test]
fn checkpoints_are_where_they_are_looked_at_whatever_the_settings_say() {
    let found = Check::new().seeds(20).find("moved", |sim| {
        sim.config(|config| config.checkpoints("elsewhere"));
        let feed = sim.feed("events", events);
        let out = sim.sink("sums", |sum: &Event| sum.0);
        sim.at_end(|look| {
            assert!(look.disk().list("state").expect("they are there").len() > 1);
            assert!(look.disk().list("elsewhere").is_err());
        });
        sim.run(|| sums(feed.clone(), out.clone()));
    });
    assert!(found.is_none(), "{}", found.expect("just seen"));
}
