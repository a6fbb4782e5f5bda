//! Directories of checkpoints that are complete elsewhere: how they come to be, and which are refused.

use std::collections::BTreeSet;

use millstream::checkpoint::remote::{Memory, Objects, Put};
use millstream::prelude::*;
use millstream_storage::disk::block_on;

use super::{Place, Row, hundreds};

/// Runs until a checkpoint is complete that this run has taken, and ends it there. Returns what it was restored from.
pub(crate) fn until_checkpoint(place: &Place, config: Config) -> Option<u64> {
    let running = place.job("out", true).start(config).expect("it starts");
    while running.metrics().job().checkpoints.get() < 2 {
        assert!(!running.is_over(), "{:?}", running.control().outcome());
        std::thread::yield_now();
    }
    running.cancel();
    running.wait().expect("it was cancelled").restored
}

/// Runs it through a thousand numbers, into a savepoint.
pub(crate) fn save(place: &Place) {
    place.append(0..1_000);
    let running = place.run_until(1_000, "out", place.config(2, "here"));
    running.stop_with_savepoint(place.path("saved")).wait().expect("it is saved");
    running.wait().expect("it was stopped");
}

pub(crate) fn refusal(place: &Place, config: Config) -> String {
    place.job("out", false).run(config).expect_err("it is refused").to_string()
}

#[test]
fn a_directory_that_has_checkpoints_is_taken_into_a_store() {
    let (place, remote) = (Place::new(), Memory::new("a shelf"));
    place.append(0..1_000);
    place.run_until(1_000, "out", place.config(2, "here")).cancel();
    until_checkpoint(&place, place.config(2, "here"));
    let restored = until_checkpoint(&place, place.config(2, "here").checkpoints_to(remote.clone()));
    assert!(restored.is_some());
    // Nothing of the first directory is there any more.
    let last = until_checkpoint(&place, place.config(1, "there").checkpoints_to(remote.clone()));
    assert!(last > restored, "{last:?} after {restored:?}");
    place.append(1_000..1_500);
    let config = place.config(3, "elsewhere").checkpoints_to(remote);
    let plan = place.job("out", true).check_restore(&config).expect("it can be read");
    assert!(plan.epoch.is_some(), "{plan}");
    place.job("out", false).run(config).expect("nothing is wrong");
    assert_eq!(place.rows::<Row>("out"), hundreds(0..1_500));
}

#[test]
fn a_savepoint_is_taken_into_a_store_once() {
    let (place, remote) = (Place::new(), Memory::new("a shelf"));
    save(&place);
    let config =
        |state| place.config(2, state).checkpoints_to(remote.clone()).from_savepoint(place.path("saved"));
    let first = until_checkpoint(&place, config("there"));
    let second = until_checkpoint(&place, config("elsewhere"));
    assert!(first.is_some() && second > first, "{second:?} after {first:?}");
}

#[test]
fn a_directory_without_its_store_is_refused() {
    let (place, remote) = (Place::new(), Memory::new("a shelf"));
    place.append(0..100);
    until_checkpoint(&place, place.config(1, "here").checkpoints_to(remote.clone()));
    let text = refusal(&place, place.config(1, "here"));
    assert!(text.contains("which checkpoints are complete is known in a shelf alone"), "{text}");
    let text = refusal(&place, place.config(1, "here").checkpoints_to(Memory::new("another shelf")));
    assert!(text.contains("its checkpoints are in a shelf, and not in another shelf"), "{text}");
    let text = refusal(&place, place.config(1, "here").checkpoints_to(Memory::new("a shelf")));
    assert!(text.contains("there are none any more"), "{text}");
    let text = refusal(&place, Config::new().checkpoints_to(remote));
    assert!(text.contains("needs a directory of checkpoints"), "{text}");
}

#[test]
fn the_place_of_another_job_is_refused_and_left_as_it_was() {
    let (place, remote) = (Place::new(), Memory::new("a shelf"));
    place.append(0..100);
    until_checkpoint(&place, place.config(1, "here").checkpoints_to(remote.clone()));
    let before = remote.names();
    let other = Job::new("other");
    other.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    let config = place.config(1, "there").checkpoints_to(remote.clone());
    let text = other.run(config.clone()).expect_err("it is another job's").to_string();
    assert!(text.contains("it is of job `hundreds`, and this one is `other`"), "{text}");
    // A job that cannot start from there does not end the one that runs.
    let changed = Job::new("hundreds");
    changed.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    changed.run(config).expect_err("its steps are others");
    assert_eq!(remote.names(), before);
}

#[test]
fn what_no_retained_checkpoint_names_is_removed() {
    let (place, remote) = (Place::new(), Memory::new("a shelf"));
    place.append(0..1_000);
    let config = |state| place.config(2, state).checkpoints_to(remote.clone()).retained_checkpoints(1);
    until_checkpoint(&place, config("here"));
    let orphan = "files/0000000000/data/totals-000-0000000001.log.0";
    block_on(remote.put(orphan, b"of an upload that came to nothing".to_vec(), Put::Replace))
        .expect("it is stored");
    let early = "chain/0000000001";
    block_on(remote.put(early, b"of a writer that came too late".to_vec(), Put::Replace))
        .expect("it is stored");
    let running = place.job("out", true).start(config("there")).expect("it starts");
    let is_there = |name: &str| remote.names().iter().any(|found| found == name);
    let links = || remote.names().iter().filter(|name| name.starts_with("chain/")).count();
    while is_there(orphan) || is_there(early) || links() > 3 || running.metrics().job().checkpoints.get() < 5
    {
        assert!(!running.is_over(), "{:?}", running.control().outcome());
        std::thread::yield_now();
    }
    running.cancel();
    running.wait().expect("it was cancelled");
    until_checkpoint(&place, config("elsewhere"));
}

#[test]
fn a_directory_that_has_gone_on_by_itself_is_refused_and_left_as_it_was() {
    let (place, remote) = (Place::new(), Memory::new("a shelf"));
    place.append(0..1_000);
    let running = place.job("out", true).start(place.config(1, "there").checkpoints_to(remote.clone()));
    let running = running.expect("it starts");
    let last_epoch = |running: &JobHandle| running.metrics().job().last_epoch.get();
    while last_epoch(&running) == 0 {
        assert!(!running.is_over(), "{:?}", running.control().outcome());
        std::thread::yield_now();
    }
    running.cancel();
    let epochs = last_epoch(&running) + 10;
    running.wait().expect("it was cancelled");
    let running = place.job("other", true).start(place.config(1, "here")).expect("it starts");
    while last_epoch(&running) < epochs {
        assert!(!running.is_over(), "{:?}", running.control().outcome());
        std::thread::yield_now();
    }
    running.cancel();
    running.wait().expect("it was cancelled");
    let manifests = || {
        let names = std::fs::read_dir(place.path("here")).expect("it is there");
        let names = names.map(|entry| entry.expect("it can be listed").file_name());
        names.filter(|name| name.to_string_lossy().starts_with("manifest-")).collect::<BTreeSet<_>>()
    };
    let own = manifests();
    let before = remote.names();
    let text = refusal(&place, place.config(1, "here").checkpoints_to(remote.clone()));
    assert!(text.contains("of its own, and a shelf ends with checkpoint"), "{text}");
    assert_eq!(remote.names(), before);
    assert_eq!(manifests(), own);
}
