//! Two real threads at full speed: what the models cannot reach in size.
#![cfg(not(loom))]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use millstream_ring::{Bell, PopError, PushError, ring};

const ITEMS: u64 = if cfg!(miri) { 300 } else { 200_000 };

#[test]
fn many_boxed_items_arrive_in_order_one_by_one() {
    let (mut producer, mut consumer) = ring(100);
    let sender = thread::spawn(move || {
        for n in 0..ITEMS {
            let mut item = Box::new(n);
            while let Err(PushError::Full(back)) = producer.push(item) {
                item = back;
                thread::yield_now();
            }
        }
    });
    let mut next = 0;
    loop {
        match consumer.pop() {
            Ok(item) => {
                assert_eq!(*item, next);
                next += 1;
            }
            Err(PopError::Empty) => thread::yield_now(),
            Err(PopError::Closed) => break,
        }
    }
    assert_eq!(next, ITEMS);
    sender.join().expect("the sender does not panic");
}

#[test]
fn many_items_arrive_in_order_in_chunks_of_changing_size() {
    let (mut producer, mut consumer) = ring(100);
    let sender = thread::spawn(move || {
        let mut items = 0..ITEMS;
        while !items.is_empty() {
            let mut chunk = producer.write_chunk(1 + items.start as usize % 37);
            chunk.extend(&mut items);
            if chunk.commit() == 0 {
                thread::yield_now();
            }
        }
    });
    let mut next = 0;
    while next < ITEMS {
        let before = next;
        for item in consumer.read_chunk(1 + next as usize % 41) {
            assert_eq!(item, next);
            next += 1;
        }
        if next == before {
            thread::yield_now();
        }
    }
    assert_eq!(consumer.slots(), 0);
    sender.join().expect("the sender does not panic");
}

/// Counts the drops of its items.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_item_is_dropped_once_when_both_ends_leave_in_the_middle() {
    for round in 0..if cfg!(miri) { 10 } else { 1000 } {
        let drops = Arc::new(AtomicUsize::new(0));
        let (mut producer, mut consumer) = ring(16);
        let token = drops.clone();
        let sender = thread::spawn(move || (0..50).for_each(|_| drop(producer.push(Counted(token.clone())))));
        (0..round % 50).for_each(|_| drop(consumer.pop()));
        drop(consumer);
        sender.join().expect("the sender does not panic");
        assert_eq!(drops.load(Ordering::Relaxed), 50);
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread, which is parked while there is nothing to do.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Hangs if a wake-up is lost.
#[test]
fn two_cores_that_park_after_each_item_always_wake_each_other() {
    let (mut there, mut here) = (ring(1), ring(1));
    let (bell_there, bell_here) = (Arc::new(Bell::new()), Arc::new(Bell::new()));
    let (rings, rung) = (bell_here.clone(), bell_there.clone());
    let echo = thread::spawn(move || {
        block_on(async {
            loop {
                rung.wait(|| there.1.slots() > 0 || there.1.is_closed()).await;
                match there.1.pop() {
                    Ok(item) => here.0.push(item).expect("one item is under way at a time"),
                    Err(PopError::Empty) => continue,
                    Err(PopError::Closed) => return,
                }
                rings.ring();
            }
        });
    });
    block_on(async {
        for n in 0..ITEMS / 20 {
            there.0.push(n).expect("one item is under way at a time");
            bell_there.ring();
            while here.1.slots() == 0 {
                bell_here.wait(|| here.1.slots() > 0).await;
            }
            assert_eq!(here.1.pop(), Ok(n));
        }
    });
    drop(there.0);
    bell_there.ring();
    echo.join().expect("the echo does not panic");
}
