//! Every interleaving of small cases, checked by a model checker. Run it with
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p millstream-ring --release --test loom`.
#![cfg(loom)]

use std::future::Future;
use std::pin::pin;
use std::task::Context;

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use millstream_ring::{Bell, Consumer, PopError, Producer, PushError, ring};

/// Checks a case with too many interleavings for all of them: those with up to three preemptions.
fn bounded_model(case: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(case);
}

/// Pushes all items, giving way while the ring is full. Returns the rest if the consumer left.
fn push_all(producer: &mut Producer<usize>, items: std::ops::Range<usize>) -> usize {
    for item in items.clone() {
        loop {
            match producer.push(item) {
                Ok(()) => break,
                Err(PushError::Full(_)) => thread::yield_now(),
                Err(PushError::Closed(_)) => return items.end - item,
            }
        }
    }
    0
}

/// Pops until the producer is gone.
fn pop_all(consumer: &mut Consumer<usize>) -> Vec<usize> {
    let mut items = Vec::new();
    loop {
        match consumer.pop() {
            Ok(item) => items.push(item),
            Err(PopError::Empty) => thread::yield_now(),
            Err(PopError::Closed) => return items,
        }
    }
}

fn items_arrive_once_and_in_order(capacity: usize) {
    let items = capacity + 1;
    bounded_model(move || {
        let (mut producer, mut consumer) = ring(capacity);
        let sender = thread::spawn(move || push_all(&mut producer, 0..items));
        assert_eq!(pop_all(&mut consumer), (0..items).collect::<Vec<_>>());
        assert_eq!(sender.join().unwrap(), 0);
    });
}

#[test]
fn items_arrive_once_and_in_order_at_capacity_1() {
    items_arrive_once_and_in_order(1);
}

#[test]
fn items_arrive_once_and_in_order_at_capacity_2() {
    items_arrive_once_and_in_order(2);
}

#[test]
fn items_arrive_once_and_in_order_at_capacity_3() {
    items_arrive_once_and_in_order(3);
}

#[test]
fn items_arrive_once_and_in_order_at_capacity_4() {
    items_arrive_once_and_in_order(4);
}

fn chunks_arrive_whole_and_in_order(capacity: usize) {
    loom::model(move || {
        let items = capacity + 1;
        let (mut producer, mut consumer) = ring(capacity);
        let sender = thread::spawn(move || {
            let mut left = (0..items).peekable();
            while left.peek().is_some() {
                if producer.push_chunk(&mut left) == 0 {
                    thread::yield_now();
                }
            }
        });
        let mut seen = Vec::new();
        while seen.len() < items {
            let mut chunk = consumer.read_chunk(2);
            let (first, second) = chunk.as_slices();
            let looked_at = [first, second].concat();
            let taken: Vec<usize> = chunk.by_ref().collect();
            assert_eq!(looked_at, taken);
            drop(chunk);
            if taken.is_empty() {
                thread::yield_now();
            }
            seen.extend(taken);
        }
        assert_eq!(seen, (0..items).collect::<Vec<_>>());
        sender.join().unwrap();
    });
}

#[test]
fn chunks_arrive_whole_and_in_order_at_capacity_1() {
    chunks_arrive_whole_and_in_order(1);
}

#[test]
fn chunks_arrive_whole_and_in_order_at_capacity_2() {
    chunks_arrive_whole_and_in_order(2);
}

#[test]
fn chunks_arrive_whole_and_in_order_at_capacity_3() {
    chunks_arrive_whole_and_in_order(3);
}

#[test]
fn chunks_arrive_whole_and_in_order_at_capacity_4() {
    chunks_arrive_whole_and_in_order(4);
}

#[test]
fn a_committed_chunk_is_seen_whole_or_not_at_all() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(4);
        let sender = thread::spawn(move || {
            let mut chunk = producer.write_chunk(3);
            (0..3).for_each(|item| chunk.push(item).unwrap());
            chunk.commit()
        });
        assert!(matches!(consumer.slots(), 0 | 3));
        assert_eq!(sender.join().unwrap(), 3);
    });
}

#[test]
fn peek_shows_what_pop_takes() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(2);
        let sender = thread::spawn(move || push_all(&mut producer, 7..9));
        if let Some(&item) = consumer.peek() {
            assert_eq!(consumer.pop(), Ok(item));
        }
        sender.join().unwrap();
    });
}

#[test]
fn closed_is_told_to_the_consumer_only_after_the_last_item() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(2);
        let sender = thread::spawn(move || producer.push('a').unwrap());
        let mut popped = 0;
        loop {
            match consumer.pop() {
                Ok(_) => popped += 1,
                Err(PopError::Empty) => thread::yield_now(),
                Err(PopError::Closed) => break,
            }
        }
        assert_eq!(popped, 1);
        assert!(consumer.is_closed());
        sender.join().unwrap();
    });
}

#[test]
fn a_producer_that_waits_for_room_learns_that_the_consumer_is_gone() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(1);
        let receiver = thread::spawn(move || consumer.pop().is_ok() as usize);
        let pushed = 3 - push_all(&mut producer, 0..3);
        let popped = receiver.join().unwrap();
        assert!(popped <= pushed && pushed <= popped + 1);
        assert_eq!(producer.push(9), Err(PushError::Closed(9)));
    });
}

/// Counts drops. It must be dropped once, or the count is wrong.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn items_left_in_the_ring_are_dropped_once(capacity: usize) {
    loom::model(move || {
        let drops = Arc::new(AtomicUsize::new(0));
        let (mut producer, mut consumer) = ring(capacity);
        let receiver = thread::spawn(move || drop(consumer.pop()));
        for _ in 0..2 {
            drop(producer.push(Counted(drops.clone())));
        }
        drop(producer);
        receiver.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn items_left_in_the_ring_are_dropped_once_at_capacity_1() {
    items_left_in_the_ring_are_dropped_once(1);
}

#[test]
fn items_left_in_the_ring_are_dropped_once_at_capacity_2() {
    items_left_in_the_ring_are_dropped_once(2);
}

#[test]
fn items_left_in_the_ring_are_dropped_once_at_capacity_3() {
    items_left_in_the_ring_are_dropped_once(3);
}

#[test]
fn no_wake_up_is_lost_between_looking_for_work_and_parking() {
    loom::model(|| {
        let bell = Arc::new(Bell::new());
        // Ends the memory of rings before the first wait: from here on only the fences protect.
        bell.disarm();
        let (mut producer, mut consumer) = ring(2);
        let ringer = bell.clone();
        let sender = thread::spawn(move || {
            producer.push(1).unwrap();
            ringer.ring();
        });
        // Loom reports a deadlock if the wake-up is lost.
        block_on(bell.wait(|| consumer.slots() > 0));
        assert_eq!(consumer.pop(), Ok(1));
        sender.join().unwrap();
    });
}

#[test]
fn every_one_of_several_wake_ups_arrives() {
    bounded_model(|| {
        let bell = Arc::new(Bell::new());
        let (mut producer, mut consumer) = ring(2);
        let ringer = bell.clone();
        let sender = thread::spawn(move || {
            for item in 0..2 {
                producer.push(item).unwrap();
                ringer.ring();
            }
        });
        for n in 0..2 {
            block_on(async {
                while consumer.slots() == 0 {
                    bell.wait(|| consumer.slots() > 0).await;
                }
            });
            assert_eq!(consumer.pop(), Ok(n));
        }
        sender.join().unwrap();
    });
}

#[test]
fn two_ringers_wake_one_owner_for_both_their_works() {
    bounded_model(|| {
        let bell = Arc::new(Bell::new());
        let work = Arc::new(AtomicUsize::new(0));
        let ringers = [1, 2].map(|bit| {
            let (bell, work) = (bell.clone(), work.clone());
            thread::spawn(move || {
                work.fetch_or(bit, Ordering::Release);
                bell.ring();
            })
        });
        let mut done = 0;
        block_on(async {
            while done != 3 {
                bell.wait(|| work.load(Ordering::Acquire) != done).await;
                done = work.load(Ordering::Acquire);
            }
        });
        for ringer in ringers {
            ringer.join().unwrap();
        }
    });
}

#[test]
fn a_ring_without_visible_work_ends_the_first_wait() {
    loom::model(|| {
        let bell = Arc::new(Bell::new());
        let ringer = bell.clone();
        let sender = thread::spawn(move || ringer.ring());
        block_on(bell.wait(|| false));
        sender.join().unwrap();
    });
}

#[test]
fn a_wait_dropped_while_it_is_rung_leaves_the_ring_to_the_next() {
    loom::model(|| {
        let bell = Arc::new(Bell::new());
        let work = Arc::new(AtomicUsize::new(0));
        let (ringer, published) = (bell.clone(), work.clone());
        let sender = thread::spawn(move || {
            published.store(1, Ordering::Release);
            ringer.ring();
        });
        block_on(std::future::poll_fn(|cx: &mut Context<'_>| {
            let _ = pin!(bell.wait(|| false)).poll(cx);
            std::task::Poll::Ready(())
        }));
        block_on(bell.wait(|| work.load(Ordering::Acquire) == 1));
        sender.join().unwrap();
    });
}
