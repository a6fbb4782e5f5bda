//! The numbers of checkpoints, and who is in them.

use std::time::Duration;

use millstream::Error;
use millstream::prelude::*;
use millstream::source::from_vec;

use super::Place;

/// The numbers of a run's checkpoints, and whether each was aborted.
fn numbers(running: &JobHandle) -> Vec<(u64, bool)> {
    running.metrics().checkpoint_history().iter().map(|of| (of.epoch, of.aborted.is_some())).collect()
}

#[test]
fn rule_28_the_number_of_an_aborted_checkpoint_is_never_given_again() {
    let place = Place::new();
    place.append(0..950);
    let hurried =
        place.config(2, "state").checkpoint_timeout(Duration::ZERO).tolerated_checkpoint_failures(2);
    let running = place.job("out", true).start(hurried).expect("it starts");
    let metrics = running.metrics().clone();
    let error: Error = running.wait().expect_err("no checkpoint is so quick");
    assert!(error.to_string().contains("3 checkpoints in a row failed"), "{error}");
    let aborted: Vec<_> =
        metrics.checkpoint_history().iter().map(|of| (of.epoch, of.aborted.is_some())).collect();
    assert_eq!(aborted, [(1, true), (2, true), (3, true)]);

    // Few enough, however late they are looked at, that the first are still in the history.
    let config = place.config(1, "state").checkpoint_every(millis(50));
    let running = place.run_until(950, "out", config);
    while running.metrics().job().checkpoints.get() < 2 {
        assert!(!running.is_over(), "it goes on until it is ended");
        std::thread::yield_now();
    }
    let numbers = numbers(&running);
    running.cancel();
    running.wait().expect("it is cancelled");
    assert_eq!(numbers[..2], [(4, false), (5, false)], "in another process, too");
}

#[test]
fn rule_32_a_source_that_has_ended_does_not_stop_checkpoints_and_is_not_read_again() {
    let place = Place::new();
    place.append(0..950);
    let job = |follow| {
        let few = Job::new("two");
        let topic = topic::<u64>(place.path("in")).poll_every(millis(1));
        let many = few.source("many", if follow { topic.follow() } else { topic });
        let both = few.source("few", from_vec(vec![1, 2, 3])).union("both", many);
        both.sink("out", ndjson_dir(place.path("out")));
        few
    };
    let running = job(true).start(place.config(2, "state")).expect("it starts");
    let read = |running: &JobHandle| running.metrics().sum(|shard| &shard.records_in);
    let until = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(!running.is_over(), "it follows until it is ended");
            std::thread::yield_now();
        }
    };
    let checkpoints = || running.metrics().job().checkpoints.get();
    until(&|| read(&running) == 953);
    // The next one may have begun before the last record was read.
    let before = checkpoints();
    until(&|| checkpoints() >= before + 2);
    running.cancel();
    running.wait().expect("it is cancelled");

    place.append(950..1_000);
    let report = job(false).run(place.config(3, "state")).expect("it goes on");
    assert!(report.restored.is_some());
    assert_eq!(report.records_in, 50, "of the source that had ended, nothing");
    assert_eq!(place.rows::<u64>("out").len(), 1_003);
}
