//! Through checkpoints, onto other cores, into other versions.

use millstream::prelude::*;
use millstream::reference::Inputs;
use millstream::testing::JobKit;
use millstream::time::MIN_TIME;

type Reading = (i64, u64, u64);

/// Windows, sessions and a running table over the same readings.
fn readings() -> Job {
    let job = Job::new("readings");
    let readings = job
        .source("readings", from_vec(Vec::<Reading>::new()))
        .event_time(|reading| reading.0, Watermarks::bounded(millis(20)));
    let by = |reading: &Reading| reading.1;
    let sum = |sum: &mut Reading, reading: &Reading| *sum = (sum.0, sum.1, sum.2 + reading.2);
    readings
        .clone()
        .key_by(by)
        .window(Sliding::of(millis(30), millis(10)))
        .reduce("sliding", sum)
        .map(|w| (w.window.end, w.key, w.value.2))
        .sink("sums", discard());
    readings
        .clone()
        .key_by(by)
        .window(Session::with_gap(millis(15)))
        .reduce("sessions", sum)
        .map(|w| (w.window.start, w.window.end, w.key, w.value.2))
        .sink("visits", discard());
    readings.key_by(by).top("top", 3, |reading| reading.2).sink("best", discard());
    job
}

/// Readings of some keys, up to 20 ms out of order.
fn data() -> Vec<Reading> {
    let mixed = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    (0..300).map(|n| (n as i64 * 4 - (mixed(n) % 20) as i64, mixed(n + 7) % 5, mixed(n + 9) % 100)).collect()
}

#[test]
fn restarts_at_any_moment_on_any_cores_change_nothing() -> Result<()> {
    let inputs = Inputs::new().with("readings", || vec![data()]);
    let mut sums = readings().expected::<(i64, u64, u64)>("sums", &inputs);
    let mut visits = readings().expected::<(i64, i64, u64, u64)>("visits", &inputs);
    let best: Table<Ranked<Reading>> =
        readings().expected::<Change<Ranked<Reading>>>("best", &inputs).into_iter().collect();
    let kit = JobKit::new(readings)?;
    for (n, reading) in data().into_iter().enumerate() {
        kit.input("readings").push(reading)?;
        if n % 17 == 0 {
            kit.restart(1 + n % 4)?;
        }
    }
    kit.end()?;
    let mut seen = kit.output::<(i64, u64, u64)>("sums").take();
    seen.sort();
    sums.sort();
    assert_eq!(seen, sums);
    let mut seen = kit.output::<(i64, i64, u64, u64)>("visits").take();
    seen.sort();
    visits.sort();
    assert_eq!(seen, visits);
    let seen: Table<Ranked<Reading>> =
        kit.output::<Change<Ranked<Reading>>>("best").take().into_iter().collect();
    assert_eq!(seen.into_rows(), best.into_rows());
    Ok(())
}

#[test]
fn watermarks_idleness_and_ends_survive_a_restart() -> Result<()> {
    let job = || {
        let job = Job::new("two");
        let times = |name: &str| {
            let times = job.source(name, from_vec(Vec::<i64>::new()));
            times.event_time(|at| *at, Watermarks::monotonous())
        };
        times("a").union("both", times("b")).sink("out", discard());
        job
    };
    let kit = JobKit::new(job)?;
    kit.input("a").push(50_i64)?;
    kit.input::<i64>("b").idle()?;
    assert_eq!(kit.watermark("both"), 49);
    kit.restart(2)?;
    assert_eq!(kit.watermark("both"), 49);
    kit.input::<i64>("a").watermark(70)?;
    kit.restart(1)?;
    assert_eq!(kit.watermark("both"), 70, "the other one is still idle");
    kit.input::<i64>("a").end()?;
    kit.input("b").push(90_i64)?;
    kit.restart(1)?;
    assert_eq!(kit.watermark("both"), 89, "the first one has still ended");
    assert_eq!(kit.output::<i64>("out").take(), [50, 90]);
    kit.end()?;
    assert!(kit.restart(1).is_err(), "there is nothing to go on with");
    Ok(())
}

fn counting(step: &'static str) -> impl Fn() -> Job {
    move || {
        let job = Job::new("counting");
        job.source("letters", from_vec(Vec::<char>::new()))
            .key_by(|c| *c)
            .reduce(step, |_, _| {})
            .map(move |c| (step, c))
            .sink("out", discard());
        job
    }
}

#[test]
fn another_version_is_compared_with_the_checkpoint() -> Result<()> {
    let kit = JobKit::new(counting("first"))?;
    kit.input("letters").push('a')?;
    assert_eq!(kit.watermark("first"), MIN_TIME);
    let refused = kit.restart_as(counting("other"), 1).expect_err("the step's name is another");
    assert_eq!(refused.kind(), ErrorKind::Restore);
    assert!(refused.to_string().contains("it holds step `first`"), "{refused}");
    Ok(())
}

#[test]
fn state_that_is_larger_than_memory_is_kept_on_the_kits_own_disk() -> Result<()> {
    let job = || {
        let job = Job::new("larger");
        job.source("numbers", from_vec(Vec::<(u64, String)>::new()))
            .key_by(|n| n.0)
            .reduce("last", |last, next| last.1.clone_from(&next.1))
            .sink("out", discard());
        job
    };
    let kit = JobKit::with(Config::new().cores(1).memory_per_core(256 << 10), job)?;
    for round in 0..2 {
        for chunk in 0..40_u64 {
            let text = |n: u64| (n, format!("{n} {round} {}", "x".repeat(200)));
            kit.input("numbers").push_all((chunk * 100..(chunk + 1) * 100).map(text))?;
        }
    }
    assert!(kit.metrics().shards()[0].evicted_bytes.get() > 0);
    assert_eq!(kit.output::<(u64, String)>("out").take().len(), 8_000);
    kit.restart(2)?;
    let last = kit.state_of::<u64, Value<(u64, String)>>("last", "value", &3_999)?;
    assert!(last[0].1.starts_with("3999 1 x"), "{last:?}");
    Ok(())
}
