//! Aligned sources stay within their drift, on any number of cores, and all get to their ends.

mod watched;

use millstream::prelude::*;
use watched::{Watch, Watched};

/// Two sources, of three splits and of one; each split has its own pace, one jumps.
fn sources(watch: &Watch) -> [Watched; 2] {
    let pace = |step: i64, n: i64| (0..n).map(|i| i * step).collect::<Vec<i64>>();
    let jumping = (0..60).map(|i| if i < 20 { i } else { i * 100 }).collect();
    [watch.source(vec![pace(1, 2_000), pace(50, 40), jumping]), watch.source(vec![pace(7, 300)])]
}

/// Sums per window, and how many records were too late.
fn run(cores: usize, marks: Watermarks, watch: &Watch) -> millstream::Result<(Vec<(i64, i64)>, usize)> {
    let job = Job::new("aligned");
    let ((main, sums), (aside, late)) = (collect(), collect());
    let [many, one] = sources(watch);
    let many = job.source("many", many).event_time(|t| *t, marks);
    let one = job.source("one", one).event_time(|t| *t, marks);
    let windows = many.union("all", one).key_by(|_| 'k').window(Tumbling::of(millis(500)));
    let counts = windows.reduce("sums", |sum, t| *sum += t);
    counts.late().sink("late", aside);
    counts.map(|sum| (sum.window.start, sum.value)).sink("sums of windows", main);
    job.run(Config::new().cores(cores).batch_size(16))?;
    Ok((sums.take(), late.take().len()))
}

#[test]
fn rule_05_splits_stay_within_the_drift_and_the_results_are_those_of_unaligned_sources()
-> millstream::Result<()> {
    let unaligned = run(1, Watermarks::monotonous(), &Watch::default())?;
    assert_eq!(unaligned.1, 0);
    for cores in [1, 2, 4] {
        for drift in [0, 20, 1_000] {
            let watch = Watch::within(drift);
            let marks = Watermarks::monotonous().aligned("group", millis(drift as u64));
            assert_eq!(run(cores, marks, &watch)?, unaligned, "{cores} cores, {drift} ms");
            assert_eq!(watch.broken(), [], "{cores} cores, {drift} ms");
        }
    }
    Ok(())
}

#[test]
fn without_alignment_the_same_splits_drift_further() -> millstream::Result<()> {
    let watch = Watch::within(20);
    run(1, Watermarks::monotonous(), &watch)?;
    assert!(!watch.broken().is_empty(), "or the test above shows nothing");
    Ok(())
}

#[test]
fn rule_05_groups_do_not_wait_for_each_other() -> millstream::Result<()> {
    let job = Job::new("groups");
    let (sink, all) = collect();
    let marks = |group| Watermarks::monotonous().aligned(group, millis(1));
    let early = job.source("early", from_vec(vec![1_i64, 2, 3])).event_time(|t| *t, marks("one"));
    let late = job.source("late", from_vec(vec![1_000_i64, 2_000, 3_000])).event_time(|t| *t, marks("other"));
    early.union("all", late).sink("out", sink);
    job.run(Config::new().cores(2).batch_size(1))?;
    assert_eq!(all.take().len(), 6);
    Ok(())
}

#[test]
fn rule_05_files_that_are_not_open_yet_are_not_waited_for() -> millstream::Result<()> {
    let dir = tempfile::tempdir().expect("a directory");
    let paths: Vec<_> = (0..40_i64)
        .map(|k| {
            let path = dir.path().join(format!("{k:02}.ndjson"));
            let lines: String = (0..50).map(|i| format!("{}\n", k * 1_000 + i * 10)).collect();
            std::fs::write(&path, lines).expect("the file is written");
            path
        })
        .collect();
    for cores in [1, 3] {
        let job = Job::new("files");
        let (sink, all) = collect();
        let marks = Watermarks::monotonous().aligned("files", millis(5));
        job.source("files", files::<i64>(&paths)).event_time(|t| *t, marks).sink("out", sink);
        job.run(Config::new().cores(cores).batch_size(4))?;
        assert_eq!(all.take().len(), 2_000);
    }
    Ok(())
}
