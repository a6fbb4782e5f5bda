//! What is asked of every user's job besides its output: its state, its budgets, its replays; and that each can be broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream::prelude::*;
use millstream::sink::Sink;
use millstream::source::Source;
use millstream_sim::prelude::*;

use crate::jobs::{Event, events, forgetful, test_of_sums};

/// Puts out every event as it came, and remembers of each key how many events it has seen itself, which no restart knows:
/// the output is right, and the state is not.
#[derive(Clone)]
struct Miscounts {
    seen: Arc<AtomicU64>,
    /// Pieces of 1 kB that each event adds at once.
    ballast: u64,
}

struct Counts {
    last: Value<u64>,
    ballast: Map<u64, Vec<u8>>,
}

impl Process for Miscounts {
    type Key = u64;
    type In = Event;
    type Out = Event;
    type State = Counts;

    fn declare(&self, state: &mut Declare) -> Counts {
        Counts { last: state.value("last"), ballast: state.map("ballast") }
    }

    fn on_record(&mut self, event: Event, state: &Counts, cx: &mut Context<'_, Self>) {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        state.last.set(cx, &if self.ballast == 0 { seen } else { 0 });
        (0..self.ballast).for_each(|piece| state.ballast.put(cx, &piece, &vec![0; 1_000]));
        cx.emit(event);
    }
}

/// A job with state that its output does not show.
fn passed_on(events: impl Source<Event>, ballast: u64, out: impl Sink<Event>) -> Job {
    let job = Job::new("passed on");
    let step = Miscounts { seen: Arc::default(), ballast };
    job.source("events", events).key_by(|event| event.0).process("counts", step).sink("out", out);
    job
}

fn test_of_passed_on(sim: &mut Simulation<'_>, ballast: u64) {
    let feed = sim.feed("events", events);
    let out = sim.sink("out", |event: &Event| event.0);
    sim.run(|| passed_on(feed.clone(), ballast, out.clone()));
}

#[test]
fn state_that_is_not_what_the_input_comes_to_is_found() {
    let found = Check::new().find("miscounts", |sim| {
        // A replay takes two of them.
        sim.config(|config| config.retained_checkpoints(1));
        test_of_passed_on(sim, 0);
    });
    let found = found.expect("a restart counts from 0 again");
    assert_eq!(found.finding().rule, "a checkpoint holds what the input comes to", "{found}");
    assert!(found.to_string().contains("sim.without_replays()"), "{found}");
}

#[test]
fn what_a_job_remembers_itself_is_found_without_a_crash() {
    let found = Check::new().seeds(5).find("forgetful", |sim| {
        sim.faults(|plan| *plan = FaultPlan::none());
        let feed = sim.feed("events", events);
        let out = sim.sink("numbers", |row: &(u64, u64)| row.0);
        sim.run(|| forgetful(feed.clone(), out.clone()));
    });
    let found = found.expect("from a checkpoint it counts from 0 again");
    assert_eq!(found.finding().rule, "a replay comes to what the run has come to", "{found}");
}

/// Remembers which event came last of those of all keys: that is open, as they come from several cores.
#[derive(Clone)]
struct Last;

impl Process for Last {
    type Key = ();
    type In = Event;
    type Out = u64;
    type State = Value<(u64, u64)>;

    fn declare(&self, state: &mut Declare) -> Value<(u64, u64)> {
        state.value("count and last")
    }

    fn on_record(&mut self, event: Event, state: &Value<(u64, u64)>, cx: &mut Context<'_, Self>) {
        let count = 1 + state.get(cx).map_or(0, |seen| seen.0.to_native());
        state.set(cx, &(count, event.2));
        cx.emit(count);
    }
}

#[test]
fn state_that_depends_on_an_open_order_is_no_finding() {
    check("last", |sim| {
        let feed = sim.feed("events", events);
        let out = sim.sink("counts", |_: &u64| ());
        sim.run(|| {
            let job = Job::new("last");
            let events = job.source("events", feed.clone()).key_by(|event| event.0);
            let passed = events.reduce("newest", |newest, event| *newest = *event);
            passed.key_by(|_| ()).process("last", Last).sink("counts", out.clone());
            job
        });
    });
}

#[test]
fn it_is_not_looked_at_if_the_test_says_so() {
    let found = Check::new().seeds(20).find("miscounts", |sim| {
        sim.without_replays();
        test_of_passed_on(sim, 0);
    });
    assert!(found.is_none(), "{}", found.expect("just seen"));
}

#[test]
fn budgets_are_kept_by_a_good_job() {
    let found = Check::new().seeds(20).find("within", |sim| {
        sim.memory_per_core(1 << 20);
        sim.open_files(200);
        test_of_sums(sim);
    });
    assert!(found.is_none(), "{}", found.expect("just seen"));
}

#[test]
fn memory_beyond_the_budget_is_found() {
    let found = Check::new().seeds(20).find("heavy", |sim| {
        sim.memory_per_core(1 << 19);
        // What one record adds is in memory until it is done with, and this is more than all that there may be.
        test_of_passed_on(sim, 1_000);
    });
    let found = found.expect("one record takes more");
    assert_eq!(found.finding().rule, "state stays within its memory", "{found}");
}

#[test]
fn more_open_files_than_allowed_are_found() {
    let found = Check::new().seeds(20).find("files", |sim| {
        sim.open_files(1);
        test_of_sums(sim);
    });
    let found = found.expect("a checkpoint alone has several");
    assert_eq!(found.finding().rule, "no process has more files open than it may", "{found}");
}

/// Sums so far of each key, in state.
fn running(sim: &mut Simulation<'_>) {
    let feed = sim.feed("events", events);
    let out = sim.sink("sums", |sum: &Event| sum.0);
    sim.run(|| {
        let job = Job::new("running");
        let events = job.source("events", feed.clone()).key_by(|event| event.0);
        events.reduce("sum", |sum, event| sum.2 += event.2).sink("sums", out.clone());
        job
    });
}

#[test]
fn nothing_that_rots_becomes_a_value() {
    let found = Check::new().seeds(60).find("rotten", |sim| {
        sim.faults(|plan| (plan.bit_rot, plan.crash) = (Chance::of(1, 4), Chance::ALWAYS));
        running(sim);
    });
    assert!(found.is_none(), "{}", found.expect("just seen"));
}

#[cfg(feature = "planted")]
#[test]
fn what_rots_and_is_not_verified_is_found_before_it_is_put_out() {
    use millstream_sim::coverage::Site;

    let check = Check::new().seeds(2_000).bug("no_checksum");
    let found = check.find("rotten", |sim| {
        sim.faults(|plan| {
            (plan.bit_rot, plan.crash) = (Chance::of(1, 2), Chance::ALWAYS);
            plan.media = Some(Site::Delta);
        });
        // Of what is in the state nothing is put out.
        let feed = sim.feed("events", events);
        let out = sim.sink("out", |event: &Event| event.0);
        sim.run(|| passed_on_plainly(feed.clone(), out.clone()));
    });
    let found = found.expect("checksums are not compared");
    assert_eq!(found.finding().rule, "nothing that is damaged becomes a value", "{found}");
}

/// Remembers the greatest value of each key, and puts out every event as it came.
#[cfg(feature = "planted")]
fn passed_on_plainly(events: impl Source<Event>, out: impl Sink<Event>) -> Job {
    #[derive(Clone)]
    struct Greatest;
    impl Process for Greatest {
        type Key = u64;
        type In = Event;
        type Out = Event;
        type State = Value<u64>;

        fn declare(&self, state: &mut Declare) -> Value<u64> {
            state.value("greatest")
        }

        fn on_record(&mut self, event: Event, state: &Value<u64>, cx: &mut Context<'_, Self>) {
            state.update(cx, |greatest| *greatest = (*greatest).max(event.2));
            cx.emit(event);
        }
    }
    let job = Job::new("passed on");
    job.source("events", events).key_by(|event| event.0).process("greatest", Greatest).sink("out", out);
    job
}

#[cfg(feature = "planted")]
#[test]
fn a_replay_that_reads_a_record_too_many_is_found() {
    let found = Check::new().seeds(100).bug("replay_reads_past").find("running", running);
    let found = found.expect("a replay goes too far");
    let rules = ["a checkpoint holds what the input comes to", "a replay comes to what the run has come to"];
    assert!(rules.contains(&found.finding().rule.as_str()), "{found}");
}

#[cfg(feature = "planted")]
#[test]
fn keys_that_are_restored_on_the_wrong_core_are_found_by_the_state() {
    let found = Check::new().seeds(1_000).bug("group_off_by_one").find("state alone", |sim| {
        let feed = sim.feed("events", events);
        let out = sim.sink("out", |event: &Event| event.0);
        sim.run(|| passed_on_plainly(feed.clone(), out.clone()));
    });
    let found = found.expect("they are lost");
    let rules = ["a checkpoint holds what the input comes to", "a replay comes to what the run has come to"];
    assert!(rules.contains(&found.finding().rule.as_str()), "{found}");
}
