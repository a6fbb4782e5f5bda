//! What no job starts from, and where no savepoint is put.

use std::fs;
use std::path::Path;

use millstream::prelude::*;

use super::Place;

fn saved(place: &Place) -> std::path::PathBuf {
    place.append(0..950);
    let running = place.run_until(950, "out", place.config(1, "state"));
    let saved = running.stop_with_savepoint(place.path("saved")).wait().expect("there is room");
    running.wait().expect("it stops");
    saved.path
}

#[track_caller]
fn refuses(place: &Place, from: &Path, why: &str) {
    let config = place.config(1, "another state").from_savepoint(from);
    let refused = place.job("out", false).run(config).expect_err("it is no savepoint");
    assert_eq!(refused.kind(), ErrorKind::Restore);
    assert!(refused.to_string().contains(why), "{refused}");
    let manifest = fs::read_dir(place.path("another state")).expect("it was made");
    let names = manifest.map(|entry| entry.expect("it can be listed").file_name());
    assert!(names.into_iter().all(|name| !name.as_encoded_bytes().starts_with(b"manifest")));
}

#[test]
fn a_directory_that_is_no_savepoint_is_refused() {
    let place = Place::new();
    let saved = saved(&place);
    refuses(&place, &place.path("nowhere"), "cannot be listed");
    refuses(&place, &place.path("out"), "holds no savepoint");
    refuses(&place, &place.path("state"), "checkpoints of a job and no savepoint");
    let own = place.config(1, "saved");
    assert!(!place.job("out", false).check_restore(&own).expect("it is whole").is_possible());
    let refused = place.job("out", false).run(own).expect_err("it would be removed with old checkpoints");
    assert!(refused.to_string().contains("from_savepoint"), "{refused}");
    let config = Config::new().cores(1).from_savepoint(saved);
    let refused = place.job("out", false).run(config).expect_err("there is no place for it");
    assert_eq!(refused.kind(), ErrorKind::Config);
}

#[test]
fn a_damaged_savepoint_is_refused_by_the_name_of_the_file() {
    let place = Place::new();
    let saved = saved(&place);
    let file = fs::read_dir(saved.join("data")).expect("it holds state").next().expect("at least one file");
    let file = file.expect("it can be listed").path();
    let whole = fs::read(&file).expect("it is a file");
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    fs::write(&file, damaged).expect("it can be written");
    refuses(&place, &saved, &file.file_name().expect("it has a name").to_string_lossy());
    fs::remove_file(&file).expect("it is there");
    refuses(&place, &saved, &file.display().to_string());
    let config = place.config(1, "another state").from_savepoint(&saved);
    let plan = place.job("out", false).check_restore(&config).expect("its manifest is whole");
    assert!(plan.to_string().contains("is missing"), "{plan}");

    fs::write(&file, whole).expect("it can be written");
    let config = place.config(1, "another state").from_savepoint(&saved);
    place.job("out", false).run(config).expect("it is whole again");
}

#[test]
fn a_savepoint_is_put_into_an_empty_directory_only() {
    let place = Place::new();
    place.append(0..950);
    let running = place.run_until(950, "out", place.config(1, "state"));
    for taken in ["state", "out", "in"] {
        let refused = running.stop_with_savepoint(place.path(taken)).wait().expect_err("it is taken");
        assert!(refused.to_string().contains("is not empty"), "{refused}");
    }
    fs::create_dir(place.path("empty")).expect("it is not there");
    running.savepoint(place.path("empty")).wait().expect("it is empty");
    running.savepoint(place.path("empty")).wait().expect_err("it is not empty any more");
    running.cancel();
    running.wait().expect("it is cancelled");
}

#[test]
fn a_job_without_checkpoints_has_no_savepoints() {
    let place = Place::new();
    place.append(0..10);
    let running = place.run_until(10, "out", Config::new().cores(1));
    let refused = running.savepoint(place.path("saved")).wait().expect_err("it keeps no checkpoints");
    assert!(refused.to_string().contains("Config::checkpoints"), "{refused}");
    running.cancel();
    running.wait().expect("it is cancelled");
}

#[test]
fn a_savepoint_that_would_lose_open_files_is_refused_and_the_job_goes_on() {
    let place = Place::new();
    let job = Job::new("open files");
    let slowly = |n: u64| {
        std::thread::sleep(std::time::Duration::from_micros(50));
        n
    };
    let sink = file_sink(place.path("files")).across_checkpoints().roll_at(1 << 30);
    job.source("numbers", generator(u64::MAX, |n| n)).map(slowly).sink("out", sink);
    let config = Config::new().cores(1).batch_size(16).step_budget(64).checkpoints(place.path("state"));
    let running = job.start(config).expect("it starts");
    while running.metrics().sum(|shard| &shard.records_out) == 0 {
        assert!(!running.is_over(), "it goes on until it is ended");
        std::thread::yield_now();
    }
    let refused = running.stop_with_savepoint(place.path("saved")).wait().expect_err("a file is open");
    assert!(refused.to_string().contains("sink `out` holds files open"), "{refused}");
    let before = running.metrics().sum(|shard| &shard.records_out);
    while running.metrics().sum(|shard| &shard.records_out) == before {
        assert!(!running.is_over(), "it goes on until it is ended");
        std::thread::yield_now();
    }
    running.drain();
    assert_eq!(running.wait().expect("nothing fails").ended, millstream::Ended::Drained);
}
