//! Who is told to wait, and who is told that the wait is over.

use std::sync::Arc;

use super::Port;
use crate::exchange::edge::{Aside, Sender};
use crate::record::Batch;
use millstream_ring::{Consumer, ring};

const DEPTH: usize = 4;

type Full = Consumer<Box<Batch<u64>>>;

fn port() -> (Port<u64>, Arc<Aside>, Full) {
    let (full, taken) = ring(DEPTH);
    let (_, empty) = ring(DEPTH);
    let aside = Arc::<Aside>::default();
    (Port::new(Sender { full, empty, bell: None, aside: Some(aside.clone()) }, 8, false), aside, taken)
}

#[test]
fn who_was_held_back_is_told_of_room_however_often_it_asks_meanwhile() {
    let (mut port, aside, _taken) = port();
    assert!(port.has_room() && !port.can_flush());
    aside.set(DEPTH + 1);
    assert!(!port.has_room(), "a barrier has overtaken more than the ring holds");
    assert!(!port.can_flush() && !port.flush(), "it waits");
    // Between two questions of one step: its core is awake, and is not woken for it.
    aside.set(0);
    assert!(!port.has_room(), "what waits for room hears of it by a flush");
    assert!(port.can_flush() && port.flush(), "the core must not sleep");
    assert!(port.has_room() && !port.can_flush());
}
