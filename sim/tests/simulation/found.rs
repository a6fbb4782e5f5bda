//! What is wrong is found, told, and found again by the line that is told.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use millstream::host::LocalFuture;
use millstream::prelude::*;
use millstream::sink::{Prepared, Sink, SinkContext, Writer};
use millstream_sim::prelude::*;
use serde_json::Value as Json;

use crate::jobs::{Event, events, forgetful, sums, test_of_forgetful};

/// Of the tests below: it is run by another, as a program of its own.
#[test]
#[ignore = "it is to fail"]
fn forgetful_job() {
    check("forgetful", test_of_forgetful);
}

fn run_forgetful_job(seed: Option<&str>) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("tests are programs"));
    command.args(["found::forgetful_job", "--exact", "--nocapture", "--ignored"]);
    command.env_remove("SIM_SEED").envs(seed.map(|seed| ("SIM_SEED", seed)));
    command.output().expect("it can be started")
}

/// What it says.
fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn the_line_that_is_told_shows_the_same_finding() {
    let first = text(&run_forgetful_job(None));
    let finding = |text: &str| -> String {
        let line =
            text.lines().find(|line| line.contains("what is committed is what the reference puts out"));
        line.unwrap_or_else(|| panic!("{text}")).trim().to_owned()
    };
    let line = first.lines().find_map(|line| line.trim().strip_prefix("SIM_SEED="));
    let (seed, command) = line.and_then(|line| line.split_once(' ')).expect("a line that replays it");
    assert_eq!(command, "cargo test -p millstream-sim found::forgetful_job -- --exact --nocapture");
    assert!(!first.contains("Poll"), "nothing is logged before it is asked for");
    assert!(!first.contains("A second run of the seed"), "{first}");

    let output = run_forgetful_job(Some(seed));
    let again = text(&output);
    assert!(!output.status.success());
    assert_eq!(finding(&again), finding(&first));
    assert!(again.contains("Poll") && again.contains("Crash"), "everything that happens is printed");
}

#[test]
fn a_variable_that_cannot_be_understood_is_refused() {
    let output = run_forgetful_job(Some("first"));
    assert!(!output.status.success());
    assert!(text(&output).contains("SIM_SEED=first: it must be a seed"), "{}", text(&output));
}

#[test]
fn an_assertion_of_the_test_is_a_finding() {
    let found = Check::new().seeds(20).find("asked", |sim| {
        let feed = sim.feed("events", events);
        let out = sim.sink("sums", |sum: &Event| sum.0);
        let seen = out.clone();
        sim.always(move |look| assert!(!look.done() || seen.committed().len() < 10, "so many sums"));
        sim.run(|| sums(feed.clone(), out.clone()));
    });
    let found = found.expect("there are more");
    assert_eq!(found.finding().rule, "what the test asks of committed output holds");
    assert!(
        found.finding().seen.contains("found.rs") && found.finding().seen.contains("so many sums"),
        "{found}"
    );
}

#[test]
fn what_the_seed_does_not_determine_is_told() {
    let runs = Arc::new(AtomicU64::new(0));
    let found = Check::new().seeds(1).find("undetermined", move |sim| {
        let run = runs.fetch_add(1, Ordering::Relaxed);
        let feed = sim.feed("events", events);
        let out = sim.sink("sums", |sum: &Event| sum.0);
        sim.run(|| sums(feed.clone(), out.clone()));
        panic!("in run {run}");
    });
    let told = found.expect("it panics").to_string();
    assert!(told.contains("in run 0") && told.contains("A second run of the seed was another run"), "{told}");
}

/// A sink of one's own, to a system outside, that makes visible in `pre_commit` what `commit` is there for.
#[derive(Clone, Default)]
struct Hasty(Arc<Mutex<Vec<(u64, u64)>>>);

struct HastyWriter(Hasty, Vec<(u64, u64)>);

impl Sink<(u64, u64)> for Hasty {
    fn describe(&self) -> String {
        "a hasty sink".to_owned()
    }

    fn recover(self, _: SinkContext, _: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn open(self, _: SinkContext) -> LocalFuture<Result<Box<dyn Writer<(u64, u64)>>>> {
        Box::pin(async { Ok(Box::new(HastyWriter(self, Vec::new())) as Box<dyn Writer<_>>) })
    }
}

impl Writer<(u64, u64)> for HastyWriter {
    fn write(&mut self, records: &mut Vec<(u64, u64)>, _: &[Timestamp]) -> Result<()> {
        self.1.append(records);
        Ok(())
    }

    fn has_room(&self) -> bool {
        true
    }

    fn pre_commit(&mut self, _: u64) -> LocalFuture<Result<Json>> {
        self.0.0.lock().expect("one thread").append(&mut self.1);
        Box::pin(async { Ok(Json::Null) })
    }

    fn commit(&mut self, _: u64) -> LocalFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

#[test]
fn a_sink_that_commits_too_early_is_found() {
    let found = Check::new().find("hasty", |sim| {
        let feed = sim.feed("events", events);
        let sink = Hasty::default();
        let outside = sink.clone();
        sim.output("pairs", |row: &(u64, u64)| row.0, move || outside.0.lock().expect("one thread").clone());
        sim.run(|| {
            let job = Job::new("hasty");
            job.source("events", feed.clone()).map(|event| (event.0, event.2)).sink("pairs", sink.clone());
            job
        });
    });
    let found = found.expect("a checkpoint is aborted after its pre-commits");
    assert_eq!(found.finding().rule, "what is committed is what the reference puts out");
}

#[test]
fn a_job_that_forgets_is_found_in_few_seeds() {
    let found = Check::new().seeds(10).find("forgetful", |sim| {
        let feed = sim.feed("events", events);
        let out = sim.sink("numbers", |row: &(u64, u64)| row.0);
        sim.run(|| forgetful(feed.clone(), out.clone()));
    });
    assert!(found.is_some());
}

#[cfg(feature = "planted")]
#[test]
fn a_bug_of_the_engine_is_found() {
    use crate::jobs::test_of_sums;

    let check = Check::new().seeds(1000).bug("position_of_next_epoch");
    let found = check.find("sums", test_of_sums).expect("records are passed over");
    // The state lacks them before the output does.
    assert_eq!(found.finding().rule, "a checkpoint holds what the input comes to");
}
