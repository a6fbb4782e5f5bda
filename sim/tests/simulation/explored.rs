//! Each point at which a job can be killed.

use millstream_sim::prelude::*;

use crate::jobs::{Event, events, test_of_forgetful, test_of_sums};

#[test]
fn a_good_job_holds_wherever_it_is_killed() {
    let found = Check::new().most(60).explore("sums", test_of_sums);
    assert!(found.is_none(), "{}", found.expect("just seen"));
}

#[test]
fn the_point_at_which_a_bad_one_does_not_is_told() {
    let found = Check::new().most(60).explore("forgetful", test_of_forgetful).expect("it forgets");
    let crashes = found.crashes().expect("it was killed somewhere");
    let line = found.replay_line();
    assert!(
        line.starts_with(&format!("SIM_SEED=forgetful:{} SIM_CRASH={crashes} cargo test", found.seed())),
        "{line}"
    );
}

#[test]
fn a_job_that_is_too_short_is_refused() {
    let found = Check::new().explore("short", |sim| {
        let feed =
            sim.feed("events", |random| events(random)[..3].to_vec()).pausing(std::time::Duration::ZERO);
        let out = sim.sink("sums", |sum: &Event| sum.0);
        sim.config(|config| config.checkpoint_every(std::time::Duration::from_secs(3600)));
        sim.run(|| crate::jobs::sums(feed.clone(), out.clone()));
    });
    let told = found.expect("it has no three checkpoints").to_string();
    assert!(
        told.contains("the test can be judged: no seed below 60 has a job of three checkpoints"),
        "{told}"
    );
}
