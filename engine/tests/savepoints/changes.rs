//! A savepoint of a job that has other steps now.

use millstream::checkpoint::plan::StepPlan;
use millstream::prelude::*;

use super::Place;

/// Adds numbers up, by their remainder.
#[derive(Clone)]
struct Sums;

impl Process for Sums {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = Value<u64>;
    fn declare(&self, state: &mut Declare) -> Value<u64> {
        state.value("sum")
    }
    fn on_record(&mut self, n: u64, sum: &Value<u64>, cx: &mut Context<'_, Self>) {
        sum.update(cx, |sum| *sum += n);
        let sum = sum.load(cx).unwrap_or(0);
        cx.emit(sum);
    }
}

/// The names of its steps: the sums, and the sinks besides the one that collects.
fn job(place: &Place, sums: &str, others: &[&str]) -> Job {
    let job = Job::new("sums");
    let numbers = job.source("numbers", topic::<u64>(place.path("in")).follow().poll_every(millis(1)));
    for other in others {
        numbers.clone().filter(|n| *n == 0).sink(other, discard());
    }
    numbers.key_by(|n| n % 2).process(sums, Sums).sink("out", ndjson_dir(place.path("sums")));
    job
}

/// Waits until it has read a hundred numbers.
fn until_read(running: JobHandle) -> JobHandle {
    while running.metrics().sum(|shard| &shard.records_in) < 100 {
        if running.is_over() {
            panic!("it has ended: {:?}", running.wait());
        }
        std::thread::yield_now();
    }
    running
}

fn saved(place: &Place) -> std::path::PathBuf {
    place.append(0..100);
    let job = job(place, "sums", &["archive"]);
    let running = job.start(place.config(2, "state")).expect("it starts");
    let running = until_read(running);
    let saved = running.stop_with_savepoint(place.path("saved")).wait().expect("there is room");
    running.wait().expect("it stops");
    saved.path
}

#[test]
fn steps_are_renamed_removed_and_added() {
    let place = Place::new();
    let config = |state: &str, saved: &std::path::Path| place.config(3, state).from_savepoint(saved);
    let saved = saved(&place);
    let changed = || job(&place, "totals", &["audit"]);

    let plan = changed().check_restore(&config("a", &saved)).expect("the savepoint is whole");
    assert!(plan.steps["sums"].is_refused() && plan.steps["archive"].is_refused(), "{plan}");
    assert!(plan.to_string().starts_with("the job cannot start from checkpoint"), "{plan}");
    let refused = changed().run(config("a", &saved)).expect_err("two steps are missing");
    assert!(
        refused.to_string().contains("`archive`") && refused.to_string().contains("allow_removed"),
        "{refused}"
    );
    assert!(!place.path("a").join("manifest-0000000001").exists(), "what is refused is not taken over");

    let config = config("a", &saved).renamed("sums", "totals").allow_removed("archive");
    let plan = changed().check_restore(&config).expect("the savepoint is whole");
    assert!(
        plan.is_possible() && plan.to_string().starts_with("the job can start from checkpoint"),
        "{plan}"
    );
    assert_eq!(plan.steps["totals"], StepPlan::Renamed("sums".to_owned()));
    assert_eq!((&plan.steps["archive"], &plan.steps["audit"]), (&StepPlan::Removed, &StepPlan::Added));
    assert_eq!(plan.steps["numbers"], StepPlan::Restored);

    // Twice: what the settings say of the savepoint does no harm to the job's own checkpoints.
    for round in 1..=2_u64 {
        place.append(100 * round..100 * (round + 1));
        let running = changed().start(config.clone()).expect("it starts");
        let running = until_read(running);
        running.stop_with_savepoint(place.path(&format!("saved {round}"))).wait().expect("there is room");
        running.wait().expect("it stops");
        let end = 100 * (round + 1);
        let expected = (0..end).filter(|n| n % 2 == 0).sum::<u64>();
        assert!(place.rows::<u64>("sums").contains(&expected), "the sum goes on where it was");
    }
}

#[test]
fn a_sink_is_removed_only_when_its_output_is_committed() {
    let place = Place::new();
    place.append(0..950);
    let running = place.run_until(950, "out", place.config(1, "state"));
    while running.metrics().job().checkpoints.get() == 0 {
        assert!(!running.is_over(), "it goes on until it is ended");
        std::thread::yield_now();
    }
    running.cancel();
    running.wait().expect("it is cancelled");
    let job = Job::new("hundreds");
    let numbers = job
        .source("numbers", topic::<u64>(place.path("in")))
        .event_time(|n| *n as Timestamp, Watermarks::monotonous());
    numbers.sink("elsewhere", discard());
    let config = place.config(1, "state").allow_removed("rows").allow_removed("hundreds");
    let plan = job.check_restore(&config).expect("the checkpoint is whole");
    assert!(plan.steps["rows"].to_string().contains("with a savepoint"), "{plan}");
    assert_eq!(plan.steps["hundreds"], StepPlan::Removed);
}

#[test]
fn names_that_contradict_each_other_are_refused() {
    let place = Place::new();
    let describe = |config: Config| job(&place, "sums", &[]).describe(&config).map(drop);
    let config = || place.config(1, "state");
    let refused = describe(config().renamed("sums", "out")).expect_err("`sums` is still there");
    assert!(refused.to_string().contains("and the job has a step `sums`"), "{refused}");
    let refused = describe(config().renamed("old", "new")).expect_err("there is no `new`");
    assert!(refused.to_string().contains("none so named"), "{refused}");
    describe(config().renamed("old", "sums").renamed("older", "sums"))
        .expect("it had two names, one after the other");
}
