//! In which order results leave, how many requests there are at a time, and where watermarks are.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millstream::async_map::{AsyncContext, AsyncOptions};
use millstream::prelude::*;
use millstream::reference::Inputs;

/// Every second number takes long; the others answer at once.
async fn uneven(n: u64, cx: AsyncContext) -> Result<u64, Infallible> {
    if n.is_multiple_of(2) {
        cx.sleep(millis(20)).await;
    }
    Ok(n)
}

#[test]
fn ordered_results_leave_in_the_order_of_their_records() {
    let job = Job::new("ordered");
    let (sink, out) = collect();
    let numbers = job.source("numbers", from_vec((0..300).collect()));
    numbers.async_map("ask", AsyncOptions::ordered().capacity(64), uneven).sink("out", sink);
    job.run(Config::new().cores(1)).expect("it runs");
    assert_eq!(out.take(), (0..300).collect::<Vec<u64>>());
}

#[test]
fn unordered_results_do_not_wait_for_others() {
    let job = Job::new("unordered");
    let (sink, out) = collect();
    let numbers = job.source("numbers", from_vec((0..10).collect()));
    numbers.async_map("ask", AsyncOptions::unordered(), uneven).sink("out", sink);
    job.run(Config::new().cores(1)).expect("it runs");
    let mut out = out.take();
    assert!(out[..5].iter().all(|n| n % 2 == 1), "the quick ones are first: {out:?}");
    out.sort_unstable();
    assert_eq!(out, (0..10).collect::<Vec<u64>>());
}

#[test]
fn no_result_overtakes_a_watermark() {
    let numbers = || (0..200).collect::<Vec<i64>>();
    let job = Job::new("watermarks");
    let ((rows_sink, rows), (late_sink, late)) = (collect(), collect());
    let windowed = job
        .source("numbers", from_vec(numbers()))
        .event_time(|n| *n, Watermarks::monotonous())
        .async_map("ask", AsyncOptions::unordered(), |n, cx| async move {
            uneven(n as u64, cx).await.map(|n| n as i64)
        })
        .key_by(|_| 'k')
        .window(Tumbling::of(millis(10)))
        .reduce("last", |last, n| *last = (*last).max(*n));
    windowed.late().sink("late", late_sink);
    windowed.map(|row| (row.window.start, row.value)).sink("rows", rows_sink);
    let expected: Vec<(i64, i64)> =
        job.expected("rows", &Inputs::new().with("numbers", move || vec![numbers()]));
    job.run(Config::new().cores(2)).expect("it runs");
    assert_eq!(late.take(), [0; 0]);
    assert_eq!(rows.take(), expected);
}

#[test]
fn no_more_requests_are_in_flight_than_there_is_capacity_for() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (now.clone(), most.clone());
    let job = Job::new("capacity");
    let (sink, out) = collect();
    job.source("numbers", from_vec((0..200).collect::<Vec<u64>>()))
        .async_map("ask", AsyncOptions::unordered().capacity(7), move |n, cx| {
            let (counted, highest) = (counted.clone(), highest.clone());
            async move {
                highest.fetch_max(counted.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                cx.sleep(millis(1)).await;
                counted.fetch_sub(1, Ordering::Relaxed);
                Ok::<u64, Infallible>(n)
            }
        })
        .sink("out", sink);
    job.run(Config::new().cores(1)).expect("it runs");
    assert_eq!((out.take().len(), most.load(Ordering::Relaxed)), (200, 7));
}
