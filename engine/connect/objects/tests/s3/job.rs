//! The job of the tests: it counts the records of each key, and puts out each count once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use millstream::prelude::*;
use millstream::sink::Sink;
use millstream_objects::{Place, objects};

pub const KEYS: u64 = 50;
/// Some seconds' worth.
pub const RECORDS: u64 = 40_000;

pub fn counts(records: u64, sink: impl Sink<(u64, u64)>) -> Job {
    let job = Job::new("counts");
    job.source("numbers", generator(records, |n| n))
        .map(|n| {
            // The work of a record, so that checkpoints fall into the middle.
            if n % 5 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            (n % KEYS, 1_u64)
        })
        .key_by(|one| one.0)
        .reduce("counts", |count, one| count.1 += one.1)
        .sink("out", sink);
    job
}

pub fn config(dir: &Path, place: Place) -> Config {
    let config = Config::new().cores(2).pin(false).batch_size(100).step_budget(200);
    config.checkpoints(dir).checkpoints_to(place).checkpoint_every(millis(50))
}

/// The job, in a process of its own.
pub fn process(dir: &Path, out: &Path, url: &str, variables: &[(&str, String)]) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this runs"));
    command.args(["job::the_job", "--exact", "--ignored", "--nocapture"]).stdout(Stdio::null());
    command.env("JOB_DIR", dir).env("JOB_OUT", out).env("JOB_URL", url);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.spawn().expect("the tests can be started again")
}

/// What [`process`] runs: nothing, in an ordinary run of ignored tests.
#[test]
#[ignore = "the other tests run it in processes of their own"]
fn the_job() {
    let variable = |name| std::env::var(name).ok();
    let (Some(dir), Some(out), Some(url)) = (variable("JOB_DIR"), variable("JOB_OUT"), variable("JOB_URL"))
    else {
        return;
    };
    counts(RECORDS, ndjson_dir(out)).run(config(dir.as_ref(), objects(&url))).expect("nothing is wrong");
}

/// Whether each count of each key is in the output, once.
pub fn check(out: &Path) {
    let mut found: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for entry in std::fs::read_dir(out).expect("there is output") {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_some_and(|extension| extension == "ndjson") {
            let text = std::fs::read_to_string(&path).expect("it is text");
            for line in text.lines() {
                let (key, count): (u64, u64) = serde_json::from_str(line).expect("a line is a row");
                found.entry(key).or_default().push(count);
            }
        }
    }
    assert_eq!(found.len() as u64, KEYS);
    for (key, mut counts) in found {
        counts.sort_unstable();
        assert!(counts.iter().copied().eq(1..=RECORDS / KEYS), "key {key}: {counts:?}");
    }
}
