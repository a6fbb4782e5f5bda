//! How a job ends, and how the next run goes on.

use millstream::Ended;
use millstream::checkpoint::inspect::Checkpoints;
use millstream::metrics::CheckpointPurpose;
use millstream::prelude::*;
use millstream_storage::disk::{StdDisk, block_on};
use std::rc::Rc;

use super::{Place, Row, hundreds};

#[test]
fn rule_31_a_drain_fires_all_windows_and_ends_the_job_for_good() {
    let place = Place::new();
    place.append(0..950);
    let running = place.run_until(950, "out", place.config(2, "state"));
    running.drain();
    let report = running.wait().expect("it is drained");
    assert_eq!((report.ended, report.cancelled), (Ended::Drained, false));
    assert_eq!(place.rows::<Row>("out"), hundreds(0..950), "the last window, too");
    place.append(950..2_000);
    let report = place.job("out", false).run(place.config(1, "state")).expect("there is nothing to do");
    assert!(report.already_finished);
    assert_eq!((report.ended, report.records_in), (Ended::Drained, 0));
    assert_eq!(place.rows::<Row>("out"), hundreds(0..950));
}

#[test]
fn rule_31_a_stop_leaves_windows_open_and_the_next_run_goes_on_in_the_directory() {
    stop_and_go_on("state", false);
}

#[test]
fn rule_31_a_stop_leaves_windows_open_and_the_next_run_goes_on_from_the_savepoint() {
    stop_and_go_on("another state", true);
}

/// Stops in the middle of a window, and goes on with another number of cores.
fn stop_and_go_on(state: &str, from_savepoint: bool) {
    let place = Place::new();
    place.append(0..950);
    let running = place.run_until(950, "out", place.config(2, "state"));
    let saved = running.stop_with_savepoint(place.path("saved")).wait().expect("there is room");
    let report = running.wait().expect("it stops");
    assert_eq!((report.ended, report.cancelled), (Ended::Stopped, false));
    assert_eq!(place.rows::<Row>("out"), hundreds(0..900), "the last window is open");

    place.append(950..2_000);
    let config = place.config(3, state);
    let config = if from_savepoint { config.from_savepoint(&saved.path) } else { config };
    let report = place.job("out", false).run(config).expect("it goes on");
    assert_eq!((report.restored, report.records_in), (Some(saved.epoch), 1_050));
    assert_eq!(report.ended, Ended::Finished);
    assert_eq!(place.rows::<Row>("out"), hundreds(0..2_000));
}

#[test]
fn a_savepoint_needs_nothing_else_and_is_not_retired() {
    let place = Place::new();
    place.append(0..950);
    let config = place.config(2, "state").retained_checkpoints(1).checkpoint_every(millis(1));
    let running = place.run_until(950, "out", config);
    let saved = running.savepoint(place.path("saved")).wait().expect("there is room");
    assert!(saved.bytes > 0);
    while running.metrics().job().last_epoch.get() < saved.epoch + 5 {
        assert!(!running.is_over(), "it goes on until it is ended");
        std::thread::yield_now();
    }
    running.cancel();
    running.wait().expect("it is cancelled");
    std::fs::remove_dir_all(place.path("state")).expect("nobody uses it");
    std::fs::remove_dir_all(place.path("out")).expect("nobody uses it");
    std::fs::rename(&saved.path, place.path("moved")).expect("nobody uses it");

    place.append(950..2_000);
    let config = place.config(1, "another state").from_savepoint(place.path("moved"));
    let plan = place.job("out", false).check_restore(&config).expect("it is whole");
    assert!(plan.is_possible() && plan.epoch == Some(saved.epoch), "{plan}");
    let report = place.job("out", false).run(config.clone()).expect("it goes on");
    assert_eq!(report.restored, Some(saved.epoch));
    // What the open window had counted is in the savepoint.
    assert_eq!(place.rows::<Row>("out"), hundreds(900..2_000));
    // Started again with the same settings, it does not go back.
    assert!(place.job("out", false).run(config).expect("it has ended").already_finished);
}

#[test]
fn a_stop_whose_savepoint_cannot_be_made_leaves_the_job_running() {
    let place = Place::new();
    place.append(0..950);
    let running = place.run_until(950, "out", place.config(2, "state"));
    let refused = running.stop_with_savepoint("/proc/no-place-for-a-savepoint").wait();
    assert_eq!(refused.expect_err("nothing can be made there").kind(), ErrorKind::Checkpoint);
    place.append(950..2_000);
    while running.metrics().sum(|shard| &shard.records_in) < 2_000 {
        assert!(!running.is_over());
        std::thread::yield_now();
    }
    assert!(running.control().last_trouble().expect("it is told").contains("a savepoint was not made"));
    running.drain();
    running.wait().expect("it is drained");
    assert_eq!(place.rows::<Row>("out"), hundreds(0..2_000));
}

#[test]
fn what_is_asked_of_a_job_that_has_ended_is_refused() {
    let place = Place::new();
    place.append(0..10);
    let running = place.job("out", false).start(place.config(1, "state")).expect("it starts");
    let control = running.control();
    running.wait().expect("it ends");
    let refused = control.savepoint(place.path("saved")).wait().expect_err("it has ended");
    assert!(refused.to_string().contains("has ended"), "{refused}");
    control.drain();
    assert!(!place.path("saved").exists());
}

#[test]
fn the_history_of_checkpoints_says_what_was_written_and_what_was_shared() {
    let place = Place::new();
    place.append(0..950);
    let config = place.config(2, "state").checkpoint_every(millis(1));
    let running = place.run_until(950, "out", config);
    let before = running.metrics().job().last_epoch.get();
    while running.metrics().job().last_epoch.get() < before + 3 {
        assert!(!running.is_over(), "it goes on until it is ended");
        std::thread::yield_now();
    }
    running.stop_with_savepoint(place.path("saved")).wait().expect("there is room");
    let control = running.control();
    running.wait().expect("it stops");
    let history = control.metrics().checkpoint_history();
    let (last, before) = history.split_last().expect("there were some");
    assert_eq!(last.purpose, CheckpointPurpose::Savepoint);
    assert!(history.windows(2).all(|pair| pair[0].epoch < pair[1].epoch));
    // Nothing has come for a while: all is shared with the checkpoint before.
    assert!(before.last().is_some_and(|of| of.is_complete() && of.steps.len() == 3 * 2), "{before:?}");
    assert!(last.shared_bytes() > 0 && last.pause.is_some());
    let checkpoints = Checkpoints::at(Rc::new(StdDisk), place.path("saved"));
    let manifest = block_on(checkpoints.manifest(last.epoch)).expect("it is whole");
    let parts = manifest.steps.values().flat_map(|step| &step.parts);
    let stores = parts.clone().filter_map(|part| part.store.as_ref());
    let bytes: u64 = stores.flat_map(|store| &store.files).map(|file| file.file_bytes()).sum();
    assert_eq!(last.new_bytes() + last.shared_bytes(), bytes);
    assert!(parts.into_iter().all(|part| part.prepared.is_none()), "no output waits to be committed");
}
