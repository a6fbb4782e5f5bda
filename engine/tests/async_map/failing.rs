//! Requests that fail, panic, or are not answered in time, and those that nobody waits for any more.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use millstream::async_map::{AsyncContext, AsyncOptions, Retry};
use millstream::prelude::*;

/// What a job over one record of time 5 ends with, if each of its requests is this.
fn end<F, A>(options: AsyncOptions<u64, u64>, function: F) -> Result<Vec<u64>>
where
    F: Fn(u64, AsyncContext) -> A + Clone + Send + 'static,
    A: Future<Output = io::Result<u64>> + 'static,
{
    let job = Job::new("failing");
    let (sink, out) = collect();
    job.source("numbers", from_vec(vec![1]))
        .event_time(|_| 5, Watermarks::monotonous())
        .async_map("ask", options, function)
        .sink("out", sink);
    job.run(Config::new().cores(1))?;
    Ok(out.take())
}

#[test]
fn a_request_that_fails_is_retried_as_often_as_was_said() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let fails_twice = move |n, cx: AsyncContext| {
        let count = count.clone();
        async move {
            assert_eq!(cx.attempt(), count.fetch_add(1, Ordering::Relaxed));
            if cx.attempt() < 2 { Err(io::Error::other("overloaded")) } else { Ok(n) }
        }
    };
    let options = || AsyncOptions::ordered();
    assert_eq!(end(options().retry(Retry::fixed(2, millis(1))), fails_twice.clone()).expect("it runs"), [1]);
    asked.store(0, Ordering::Relaxed);
    let error = end(options().retry(Retry::exponential(1, millis(1))), fails_twice).expect_err("it fails");
    assert_eq!(error.kind(), ErrorKind::User);
    let told = "step `ask`: the request for the record of time 5 failed, attempt 2 was the last: overloaded";
    assert!(error.to_string().contains(told), "{error}");
}

/// Counts the futures that are dropped unfinished.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Never answers, and counts how often that is given up.
fn silent(
    dropped: &Arc<AtomicUsize>,
) -> impl Fn(u64, AsyncContext) -> std::pin::Pin<Box<dyn Future<Output = io::Result<u64>>>> + Clone + Send + use<>
{
    let dropped = dropped.clone();
    move |_, _| {
        let dropped = Dropped(dropped.clone());
        Box::pin(async move {
            let _dropped = dropped;
            std::future::pending().await
        })
    }
}

#[test]
fn a_request_that_is_not_answered_in_time_is_dropped_and_the_job_fails() {
    let dropped = Arc::default();
    let options = AsyncOptions::unordered().timeout(millis(1)).retry(Retry::fixed(2, millis(0)));
    let error = end(options, silent(&dropped)).expect_err("it fails");
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    let told = "step `ask`: the request for the record of time 5 was not answered within 1ms, attempt 3 was the last";
    assert!(error.to_string().contains(told), "{error}");
}

#[test]
fn what_is_not_answered_in_time_can_have_a_result_or_none() {
    let dropped = Arc::default();
    let options = || AsyncOptions::ordered().timeout(millis(1));
    assert_eq!(end(options().on_timeout(|n| Some(n + 7)), silent(&dropped)).expect("it runs"), [8]);
    assert_eq!(end(options().on_timeout(|_| None), silent(&dropped)).expect("it runs"), [0; 0]);
}

#[test]
fn a_panic_of_the_function_ends_the_job_with_what_it_said() {
    let panics = |n: u64, _| async move { if n > 0 { panic!("no such number") } else { Ok(n) } };
    let error = end(AsyncOptions::ordered(), panics).expect_err("it fails");
    let told = "step `ask`: the function panicked for the record of time 5: no such number";
    assert!(error.to_string().contains(told), "{error}");
}

#[test]
fn requests_in_flight_are_dropped_when_the_job_is_cancelled() {
    let (asked, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::<AtomicUsize>::default());
    let (count, silent) = (asked.clone(), silent(&dropped));
    let job = Job::new("cancelled");
    let (sink, out) = collect();
    job.source("numbers", generator(1 << 40, |n| n))
        .async_map("ask", AsyncOptions::ordered().capacity(9), move |n, cx| {
            count.fetch_add(1, Ordering::Relaxed);
            silent(n, cx)
        })
        .sink("out", sink);
    let running = job.start(Config::new().cores(1)).expect("it starts");
    while asked.load(Ordering::Relaxed) < 9 {
        assert!(!running.is_over(), "it goes on until it is ended");
        std::thread::yield_now();
    }
    running.cancel();
    running.wait().expect("it was cancelled");
    assert_eq!((asked.load(Ordering::Relaxed), dropped.load(Ordering::Relaxed)), (9, 9));
    assert_eq!(out.take(), [0; 0]);
}

#[test]
fn a_request_may_be_answered_from_another_thread() {
    let job = Job::new("threads");
    let (sink, out) = collect();
    job.source("numbers", from_vec((0..50).collect::<Vec<u64>>()))
        .async_map("ask", AsyncOptions::ordered().capacity(10), |n, _| async move {
            let slot = Arc::new(std::sync::Mutex::new((None, None::<std::task::Waker>)));
            let other = slot.clone();
            let answer = std::thread::spawn(move || {
                let mut slot = other.lock().expect("nobody panicked");
                slot.0 = Some(n * n);
                slot.1.take().into_iter().for_each(std::task::Waker::wake);
            });
            let squared = std::future::poll_fn(|cx| {
                let mut slot = slot.lock().expect("nobody panicked");
                slot.1 = Some(cx.waker().clone());
                slot.0.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
            });
            let squared = squared.await;
            answer.join().expect("it did not panic");
            Ok::<u64, Infallible>(squared)
        })
        .sink("out", sink);
    job.run(Config::new().cores(1)).expect("it runs");
    assert_eq!(out.take(), (0..50).map(|n| n * n).collect::<Vec<u64>>());
}
