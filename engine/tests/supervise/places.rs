//! What a failure says of where it happened.

use millstream::prelude::*;

fn failure(job: Job) -> String {
    let error = job.run(Config::new().cores(1).batch_size(16)).expect_err("it fails");
    error.to_string()
}

fn numbers(
    job: &Job,
) -> Stream<u64, millstream::stream::chain::Identity<u64, millstream::stream::FromSource>> {
    let numbers = job.source("numbers", generator(100, |n| n));
    numbers.event_time(|n| 1_000 + *n as Timestamp, Watermarks::monotonous())
}

#[track_caller]
fn assert_says(text: &str, what: &[&str]) {
    what.iter().for_each(|what| assert!(text.contains(what), "no `{what}` in: {text}"));
}

#[test]
fn a_panic_behind_a_source_names_the_record_its_time_and_its_split() {
    let job = Job::new("chain");
    numbers(&job).filter(|n| n % 2 == 0 || *n != 21 || panic!("odd one")).sink("out", discard());
    // The second batch of 16.
    let text = failure(job);
    assert_says(&text, &["core 0: step `numbers` panicked, at record 6 of a batch of 16, of time 1021"]);
    assert_says(&text, &["of the 16 records that were read last of split `", "odd one"]);
}

/// Panics for one key, with its record or with its timer.
#[derive(Clone)]
struct Touchy {
    record: u64,
    timer: Timestamp,
}

impl Process for Touchy {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = Value<u64>;

    fn declare(&self, state: &mut Declare) -> Value<u64> {
        state.value("seen")
    }

    fn on_record(&mut self, n: u64, seen: &Value<u64>, cx: &mut Context<'_, Self>) {
        assert_ne!(n, self.record, "not this record");
        seen.set(cx, &n);
        cx.timer_at(cx.time() + 5);
    }

    fn on_timer(&mut self, at: Timestamp, _: &Value<u64>, _: &mut Context<'_, Self>) {
        assert_ne!(at, self.timer, "not this timer");
    }
}

#[test]
fn a_panic_of_a_process_function_names_its_record() {
    let job = Job::new("process");
    numbers(&job).key_by(|n| n % 4).process("touchy", Touchy { record: 40, timer: 0 }).sink("out", discard());
    assert_says(
        &failure(job),
        &["step `touchy` panicked, at record ", ", of time 1040: ", "not this record"],
    );
}

#[test]
fn a_panic_of_a_timer_names_its_step() {
    let job = Job::new("timer");
    numbers(&job)
        .key_by(|n| n % 4)
        .process("touchy", Touchy { record: 1_000, timer: 1_033 })
        .sink("out", discard());
    assert_says(&failure(job), &["core 0: step `touchy` panicked", "not this timer"]);
}

#[test]
fn a_panic_of_a_windows_function_names_the_records_it_was_given() {
    let job = Job::new("window");
    numbers(&job)
        .key_by(|_| 0_u8)
        .window(Tumbling::of(secs(10)))
        .reduce("sums", |sum, n| if *n == 40 { panic!("not forty") } else { *sum += n })
        .sink("out", discard());
    assert_says(
        &failure(job),
        &["step `sums` panicked, at record ", " of a batch of ", ", of time 1040", "not forty"],
    );
}

#[test]
fn a_record_that_cannot_be_decoded_is_named_by_its_place() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("numbers.ndjson");
    std::fs::write(&file, "1\n2\nthree\n").expect("there is room");
    let job = Job::new("poison");
    job.source("numbers", files::<u64>([&file])).sink("out", discard());
    let split = file.display().to_string();
    assert_says(&failure(job), &["core 0: step `numbers`", &split, "line 3 (byte 4) cannot be decoded"]);
}
