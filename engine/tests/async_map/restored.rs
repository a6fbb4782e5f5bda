//! What was in flight at a checkpoint is asked for again after a restore, on any number of cores.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millstream::async_map::AsyncOptions;
use millstream::prelude::*;

/// Numbers from 0 to this; 3, 7, 11 and so on are not answered while the gate is closed.
const COUNT: u64 = 400;

/// Runs the job, until a result of it was committed if the gate is closed, or to its end.
fn run(
    dir: &std::path::Path,
    ordered: bool,
    cores: usize,
    gate: bool,
    sink: &millstream::sink::Collect<u64>,
    out: &millstream::sink::Collected<u64>,
) -> Vec<u64> {
    let open = Arc::new(AtomicBool::new(gate));
    let job = Job::new("interrupted");
    let options = if ordered { AsyncOptions::ordered() } else { AsyncOptions::unordered() };
    job.source("numbers", generator(COUNT, |n| n))
        .async_map("ask", options.capacity(COUNT as usize), move |n, cx| {
            let open = open.clone();
            async move {
                while n % 4 == 3 && !open.load(Ordering::Relaxed) {
                    cx.sleep(millis(1)).await;
                }
                Ok::<u64, Infallible>(n)
            }
        })
        .sink("out", sink.clone());
    let config = Config::new().cores(cores).checkpoints(dir).checkpoint_every(millis(1)).max_parallelism(8);
    let running = job.start(config).expect("it starts");
    let mut records = Vec::new();
    while !gate && records.is_empty() && !running.is_over() {
        std::thread::yield_now();
        // Committed output is the sign of a checkpoint.
        records = out.take();
    }
    if !gate {
        running.cancel();
    }
    running.wait().expect("it runs");
    records.extend(out.take());
    records
}

/// What is committed in three runs, the last of them to the end.
fn all(ordered: bool, cores: [usize; 2]) -> Vec<u64> {
    let (dir, (sink, out)) = (tempfile::tempdir().expect("a temporary directory"), collect());
    let mut all = run(dir.path(), ordered, cores[0], false, &sink, &out);
    assert!((all.len() as u64) < COUNT, "requests were in flight");
    all.extend(run(dir.path(), ordered, cores[1], true, &sink, &out));
    all
}

#[test]
fn in_flight_records_are_asked_for_again_in_their_order_on_as_many_cores() {
    assert_eq!(all(true, [1, 1]), (0..COUNT).collect::<Vec<u64>>());
}

#[test]
fn in_flight_records_are_dealt_out_on_another_number_of_cores() {
    for (ordered, cores) in [(true, [1, 3]), (false, [3, 1]), (false, [2, 3])] {
        let mut all = all(ordered, cores);
        all.sort_unstable();
        assert_eq!(all, (0..COUNT).collect::<Vec<u64>>(), "{ordered} {cores:?}");
    }
}
