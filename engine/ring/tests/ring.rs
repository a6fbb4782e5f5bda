//! What a ring promises at its edges: capacity, panics, sizes.
#![cfg(not(loom))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use millstream_ring::{PopError, ring};

#[test]
fn the_capacity_is_exact_whatever_the_number() {
    for capacity in 1..20 {
        let (mut producer, mut consumer) = ring(capacity);
        for lap in 0..3 {
            assert_eq!(producer.push_chunk(0..100), capacity, "lap {lap}");
            assert_eq!(consumer.read_chunk(usize::MAX).count(), capacity);
        }
    }
}

#[test]
#[should_panic(expected = "capacity 0")]
fn a_ring_without_room_is_refused() {
    ring::<u8>(0);
}

#[test]
#[should_panic(expected = "at most half of usize")]
fn a_ring_of_absurd_size_is_refused() {
    ring::<u8>(usize::MAX);
}

#[test]
fn items_of_no_size_are_counted() {
    let (mut producer, mut consumer) = ring(5);
    assert_eq!(producer.push_chunk(std::iter::repeat(())), 5);
    consumer.read_chunk(usize::MAX).discard(3);
    assert_eq!((consumer.slots(), producer.slots()), (2, 3));
}

#[test]
fn an_iterator_that_panics_leaves_the_ring_as_it_was() {
    let (mut producer, mut consumer) = ring(8);
    let token = Rc::new(());
    producer.push(token.clone()).expect("there is room");
    let poisoned = (0..).map(|n| if n < 3 { token.clone() } else { panic!("on purpose") });
    assert!(catch_unwind(AssertUnwindSafe(|| producer.push_chunk(poisoned))).is_err());
    assert_eq!(Rc::strong_count(&token), 2);
    assert_eq!((consumer.slots(), producer.slots()), (1, 7));
    assert_eq!(consumer.pop(), Ok(token));
}

/// Panics when dropped, if told to.
struct Mine {
    armed: bool,
    token: Rc<()>,
}

impl Drop for Mine {
    fn drop(&mut self) {
        let _still_counted = &self.token;
        assert!(!self.armed, "on purpose");
    }
}

#[test]
fn an_item_whose_drop_panics_does_not_keep_the_others() {
    let token = Rc::new(());
    let (mut producer, mut consumer) = ring(4);
    // The remaining items lie on both sides of the end of the memory.
    producer.push_chunk((0..2).map(|_| Mine { armed: false, token: token.clone() }));
    consumer.read_chunk(2).discard(2);
    producer.push_chunk((0..4).map(|n| Mine { armed: n == 1, token: token.clone() }));
    drop(producer);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(consumer))).is_err());
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn a_discard_that_panics_takes_each_item_once() {
    let token = Rc::new(());
    let (mut producer, mut consumer) = ring(4);
    producer.push_chunk((0..4).map(|n| Mine { armed: n == 1, token: token.clone() }));
    assert!(catch_unwind(AssertUnwindSafe(|| consumer.read_chunk(4).discard(4))).is_err());
    assert_eq!(consumer.slots(), 2);
    assert_eq!(Rc::strong_count(&token), 3);
    consumer.read_chunk(2).discard(2);
    drop(producer);
    assert_eq!(consumer.pop().err(), Some(PopError::Closed));
}
