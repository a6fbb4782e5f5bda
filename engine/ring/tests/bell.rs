//! What the bell promises, step by step on one thread.
#![cfg(not(loom))]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use millstream_ring::Bell;

/// Counts how often it was woken; its references count who keeps it.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A waker and what it counts.
fn task() -> (Arc<Wakes>, Waker) {
    let wakes = Arc::new(Wakes::default());
    (wakes.clone(), Waker::from(wakes))
}

fn count(wakes: &Wakes) -> usize {
    wakes.0.load(Ordering::Relaxed)
}

#[test]
fn a_ring_before_the_first_wait_is_remembered() {
    let (wakes, waker) = task();
    let bell = Bell::new();
    bell.ring();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(bell.poll_wait(&mut cx, || false), Poll::Ready(()));
    assert_eq!(bell.poll_wait(&mut cx, || false), Poll::Pending);
    assert_eq!(count(&wakes), 0);
}

#[test]
fn work_that_is_there_ends_a_wait_at_once() {
    let (wakes, waker) = task();
    let bell = Bell::new();
    assert_eq!(bell.poll_wait(&mut Context::from_waker(&waker), || true), Poll::Ready(()));
    bell.ring();
    assert_eq!(count(&wakes), 0);
}

#[test]
fn work_that_appears_while_the_owner_parks_ends_the_wait() {
    let (wakes, waker) = task();
    let bell = Bell::new();
    let mut looks = 0;
    let appears = || {
        looks += 1;
        looks == 2
    };
    assert_eq!(bell.poll_wait(&mut Context::from_waker(&waker), appears), Poll::Ready(()));
    bell.ring();
    assert_eq!(count(&wakes), 0, "an owner that goes on is not woken");
}

#[test]
fn a_parked_owner_is_woken_once_however_often_the_bell_rings() {
    let (wakes, waker) = task();
    let bell = Bell::new();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(bell.poll_wait(&mut cx, || false), Poll::Pending);
    (0..3).for_each(|_| bell.ring());
    assert_eq!(count(&wakes), 1);
    assert_eq!(bell.poll_wait(&mut cx, || false), Poll::Ready(()));
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let (first, first_waker) = task();
    let (last, last_waker) = task();
    let bell = Bell::new();
    assert_eq!(bell.poll_wait(&mut Context::from_waker(&first_waker), || false), Poll::Pending);
    assert_eq!(bell.poll_wait(&mut Context::from_waker(&last_waker), || false), Poll::Pending);
    bell.ring();
    assert_eq!((count(&first), count(&last)), (0, 1));
}

#[test]
fn a_dropped_wait_is_not_woken_and_keeps_nothing() {
    let (wakes, waker) = task();
    let bell = Bell::new();
    {
        let mut wait = pin!(bell.wait(|| false));
        assert_eq!(wait.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
        assert_eq!(Arc::strong_count(&wakes), 3, "ours, the task's and the bell's");
    }
    assert_eq!(Arc::strong_count(&wakes), 2);
    bell.ring();
    assert_eq!(count(&wakes), 0);
}

#[test]
fn a_ring_that_came_before_a_wait_was_dropped_ends_the_next() {
    let (_, waker) = task();
    let bell = Bell::new();
    let mut cx = Context::from_waker(&waker);
    {
        let mut wait = pin!(bell.wait(|| false));
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Pending);
        bell.ring();
    }
    assert_eq!(bell.poll_wait(&mut cx, || false), Poll::Ready(()));
}

#[test]
fn an_owner_that_goes_on_leaves_no_waker_behind() {
    let (wakes, waker) = task();
    let bell = Bell::new();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(bell.poll_wait(&mut cx, || false), Poll::Pending);
    assert_eq!(bell.poll_wait(&mut cx, || true), Poll::Ready(()));
    assert_eq!(Arc::strong_count(&wakes), 2);
}
