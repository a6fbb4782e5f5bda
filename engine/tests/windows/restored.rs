//! Windows over restarts, and the end that stays one.

use std::collections::BTreeMap;

use millstream::prelude::*;

#[test]
fn rule_14_over_restarts_every_window_comes_once_with_all_it_has() {
    let (dir, (sink, out)) = (tempfile::tempdir().expect("a temporary directory"), collect());
    let mut windows: BTreeMap<u64, Vec<(i64, u64)>> = BTreeMap::new();
    for cores in [1, 2, 1, 3, 2] {
        let job = Job::new("restarted");
        job.source("numbers", generator(1 << 40, |n| n))
            .event_time(|n| *n as i64, Watermarks::monotonous())
            .key_by(|n| n % 3)
            // What has fired is kept for a while, and must not come again for that.
            .window(Tumbling::of(millis(30)).allow_late(secs(1)))
            .reduce("least", |least: &mut u64, n| *least = *n.min(least))
            .map(|row| (row.key, row.window.start, row.value))
            .sink("rows", sink.clone());
        let config = Config::new()
            .cores(cores)
            .runtime(RuntimeKind::Threads)
            .checkpoints(dir.path())
            .checkpoint_every(millis(1))
            .max_parallelism(8);
        let running = job.start(config).expect("it goes on where it was");
        let mut rows = Vec::new();
        while rows.is_empty() && !running.is_over() {
            std::thread::yield_now();
            rows = out.take();
        }
        running.cancel();
        running.wait().expect("it is cancelled");
        rows.extend(out.take());
        rows.into_iter().for_each(|(key, start, least)| windows.entry(key).or_default().push((start, least)));
    }
    assert_eq!(windows.len(), 3);
    for (key, rows) in windows {
        let expected = (0..).map(|i: i64| (30 * i, (30 * i) as u64 + key));
        assert_eq!(rows, expected.take(rows.len()).collect::<Vec<_>>(), "of key {key}");
    }
}

#[test]
fn rule_07_a_job_ends_only_after_its_final_checkpoint_has_committed() {
    let (dir, (sink, out)) = (tempfile::tempdir().expect("a temporary directory"), collect());
    let run = || {
        let job = Job::new("ended");
        job.source("numbers", from_vec(vec![1_u64, 2, 3]))
            .event_time(|n| *n as i64, Watermarks::monotonous())
            .key_by(|_| 0_u8)
            .window(Tumbling::of(millis(10)))
            .reduce("sum", |sum, n| *sum += n)
            .map(|row| row.value)
            .sink("sums", sink.clone());
        // No other checkpoint is due for long.
        let config = Config::new().cores(1).checkpoints(dir.path()).checkpoint_every(hours(1));
        job.run(config).expect("the job runs")
    };
    assert!(!run().already_finished);
    assert_eq!(out.take(), [6], "it is committed");
    assert!(run().already_finished, "what has ended stays so");
    assert_eq!(out.take(), [0; 0]);
}
