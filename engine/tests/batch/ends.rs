//! What a batch takes, and what it makes of time.

use millstream::prelude::*;
use millstream::source::{Source, SourceContext};
use millstream::testing::JobKit;
use millstream::window::trigger;

/// Far out of order, with bounds and idleness that would make most of it late.
fn wild() -> Vec<i64> {
    (0..500).map(|n| (n * 7_919) % 500).collect()
}

fn wild_job(out: impl millstream::sink::Sink<(i64, i64)>, late: impl millstream::sink::Sink<i64>) -> Job {
    let job = Job::new("wild");
    let sums = job
        .source("numbers", from_vec(wild()).splits(3))
        .event_time(|n| *n, Watermarks::monotonous().idle_after(millis(1)).aligned("all", millis(5)))
        .key_by(|n| n % 3)
        .window(Tumbling::of(millis(50)))
        .reduce("sum", |sum, n| *sum += n);
    sums.late().sink("late", late);
    sums.map(|w| (w.window.start, w.value)).sink("out", out);
    job
}

#[test]
fn nothing_is_late_however_far_out_of_order_it_is() -> Result<()> {
    let ((sink, out), (aside, late)) = (collect(), collect());
    let report = wild_job(sink, aside).run(Config::new().cores(2).batch())?;
    assert!(late.take().is_empty());
    assert_eq!(report.late, 0);
    let out = out.take();
    assert_eq!(out.len(), 30, "ten windows of three keys, once each");
    assert_eq!(out.iter().map(|row| row.1).sum::<i64>(), wild().iter().sum::<i64>());
    Ok(())
}

#[test]
fn nothing_comes_before_the_end_and_all_at_the_end() -> Result<()> {
    let job = || wild_job(discard(), discard());
    let kit = JobKit::with(Config::new().cores(2).batch(), job)?;
    let numbers = kit.input::<i64>("numbers");
    numbers.push_all(wild())?;
    numbers.watermark(10_000)?;
    numbers.idle()?;
    kit.advance_clock(hours(1))?;
    let out = kit.output::<(i64, i64)>("out");
    assert!(out.take().is_empty());
    kit.restart(3)?;
    assert!(out.take().is_empty());
    kit.end()?;
    assert_eq!(out.take().len(), 30);
    Ok(())
}

#[test]
fn triggers_on_time_fire_at_the_end_and_those_on_counts_as_they_count() -> Result<()> {
    let run = |config: Config| -> Result<Vec<usize>> {
        let job = Job::new("triggers");
        let (sink, out) = collect();
        job.source("numbers", from_vec((0_i64..10).collect()))
            .event_time(|n| *n, Watermarks::monotonous())
            .key_by(|_| 'k')
            .window(Global)
            .trigger(trigger::Count::of(4))
            .process("fours", |_, numbers| [numbers.count()])
            .sink("out", sink);
        job.run(config.cores(1)).map(|_| out.take())
    };
    assert_eq!(run(Config::new().batch())?, run(Config::new())?);
    Ok(())
}

#[test]
fn state_may_be_larger_than_memory() -> Result<()> {
    let dir = tempfile::tempdir().expect("a directory");
    let job = Job::new("larger");
    let (sink, out) = collect();
    job.source("numbers", generator(30_000, |n| (n % 6_000, n, "x".repeat(300))))
        .key_by(|n| n.0)
        .reduce("sum", |sum, n| sum.1 += n.1)
        .map(|sum| (sum.0, sum.1))
        .sink("out", sink);
    let config = Config::new().cores(1).batch().checkpoints(dir.path()).memory_per_core(1 << 20);
    let running = job.start(config)?;
    let control = running.control();
    let report = running.wait()?;
    assert!(control.metrics().shards()[0].evicted_bytes.get() > 0);
    assert_eq!((report.checkpoints, report.records_out), (1, 6_000));
    let mut out = out.take();
    out.sort();
    assert_eq!(out[17], (17, (0..5).map(|round| 17 + round * 6_000).sum::<u64>()));
    Ok(())
}

/// A source that does not say whether it ends.
#[derive(Clone)]
struct Unsaid;

impl Source<u64> for Unsaid {
    fn describe(&self) -> String {
        "who knows".to_owned()
    }

    fn poison(&self) -> Poison {
        Poison::Fail
    }

    fn open(
        self,
        cx: SourceContext,
    ) -> millstream::host::LocalFuture<Result<Box<dyn millstream::source::Reader<u64>>>> {
        from_vec(vec![1]).open(cx)
    }
}

#[test]
fn a_source_that_may_never_end_is_refused_by_name() {
    let job = Job::new("endless");
    job.source("some", from_vec(vec![1_u64])).sink("first", discard());
    job.source("others", Unsaid).sink("second", discard());
    let refused = job.run(Config::new().cores(1).batch()).expect_err("it may not end");
    assert_eq!(refused.kind(), ErrorKind::Job);
    let text = refused.to_string();
    assert!(text.starts_with("job `endless`: source `others` (who knows) does not end by itself"), "{text}");
}

#[test]
fn a_batch_does_not_go_on_from_what_was_none_nor_the_other_way_round() -> Result<()> {
    for first in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let run = |batch: bool| {
            let job = Job::new("modes");
            job.source("numbers", from_vec(vec![1_u64, 2]))
                .key_by(|n| *n)
                .reduce("sum", |sum, n| *sum += n)
                .sink("out", discard());
            let config = Config::new().cores(1).checkpoints(dir.path());
            job.run(if batch { config.batch() } else { config })
        };
        run(first)?;
        let refused = run(!first).expect_err("the mode is another");
        assert_eq!(refused.kind(), ErrorKind::Restore);
        assert!(refused.to_string().contains("mode batch"), "{refused}");
        assert!(run(first)?.already_finished);
    }
    Ok(())
}
