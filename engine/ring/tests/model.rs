//! Random sequences of operations against a `VecDeque`, with a count of the items alive.
#![cfg(not(loom))]

use std::collections::VecDeque;
use std::rc::Rc;

use millstream_ring::{Consumer, PopError, Producer, PushError, ring};
use proptest::prelude::*;

/// An item that the test can recognise, and whose token counts it.
type Item = (u32, Token);

/// Alive items are clones of one `Rc`. The ring asks for `Send` only to leave this thread, which it never does here.
type Token = Rc<()>;

#[derive(Clone, Debug)]
enum Op {
    Push,
    PushChunk(usize),
    /// Reserve, write, and commit or not.
    WriteChunk(usize, usize, bool),
    Pop,
    Peek,
    /// Borrow, take some by iterating, discard some, leave the rest.
    ReadChunk(usize, usize, usize),
    Slots,
    DropProducer,
    DropConsumer,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let n = || 0..12_usize;
    let op = prop_oneof![
        20 => Just(Op::Push),
        8 => n().prop_map(Op::PushChunk),
        8 => (n(), n(), any::<bool>()).prop_map(|(reserve, write, commit)| Op::WriteChunk(reserve, write, commit)),
        20 => Just(Op::Pop),
        6 => Just(Op::Peek),
        10 => (n(), n(), n()).prop_map(|(borrow, take, discard)| Op::ReadChunk(borrow, take, discard)),
        6 => Just(Op::Slots),
        1 => Just(Op::DropProducer),
        1 => Just(Op::DropConsumer),
    ];
    prop::collection::vec(op, 0..120)
}

/// The ring, beside what it should be.
struct Pair {
    producer: Option<Producer<Item>>,
    consumer: Option<Consumer<Item>>,
    expected: VecDeque<u32>,
    capacity: usize,
    next: u32,
    token: Token,
}

impl Pair {
    fn new(capacity: usize) -> Pair {
        let (producer, consumer) = ring(capacity);
        Pair {
            producer: Some(producer),
            consumer: Some(consumer),
            expected: VecDeque::new(),
            capacity,
            next: 0,
            token: Rc::new(()),
        }
    }

    fn item(&mut self) -> Item {
        self.next += 1;
        (self.next, self.token.clone())
    }

    /// How many items the ring must take now.
    fn room(&self) -> usize {
        if self.consumer.is_none() { 0 } else { self.capacity - self.expected.len() }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Push => self.push(),
            Op::PushChunk(n) => self.push_chunk(n),
            Op::WriteChunk(reserve, write, commit) => self.write_chunk(reserve, write, commit),
            Op::Pop => self.pop(),
            Op::Peek => self.peek(),
            Op::ReadChunk(borrow, take, discard) => self.read_chunk(borrow, take, discard),
            Op::Slots => self.slots(),
            Op::DropProducer => self.producer = None,
            Op::DropConsumer => self.consumer = None,
        }
        // Nothing leaked, nothing dropped twice: what the ring holds is alive, and only while an end is.
        let alive = if self.producer.is_none() && self.consumer.is_none() { 0 } else { self.expected.len() };
        assert_eq!(Rc::strong_count(&self.token) - 1, alive);
    }

    fn push(&mut self) {
        let (room, item) = (self.room(), self.item());
        let closed = self.consumer.is_none();
        let Some(producer) = &mut self.producer else { return };
        let number = item.0;
        match producer.push(item) {
            Ok(()) => {
                assert!(room > 0);
                self.expected.push_back(number);
            }
            Err(PushError::Full((back, _))) => assert!(back == number && room == 0 && !closed),
            Err(PushError::Closed((back, _))) => assert!(back == number && closed),
        }
    }

    fn push_chunk(&mut self, n: usize) {
        let room = self.room();
        let items: Vec<Item> = (0..n).map(|_| self.item()).collect();
        let numbers: Vec<u32> = items.iter().map(|item| item.0).collect();
        let Some(producer) = &mut self.producer else { return };
        let mut items = items.into_iter();
        let pushed = producer.push_chunk(&mut items);
        assert_eq!(pushed, room.min(n));
        assert_eq!(items.len(), n - pushed, "an item was taken that did not fit");
        self.expected.extend(&numbers[..pushed]);
    }

    fn write_chunk(&mut self, reserve: usize, write: usize, commit: bool) {
        let room = self.room().min(reserve);
        let items: Vec<Item> = (0..write).map(|_| self.item()).collect();
        let Some(producer) = &mut self.producer else { return };
        let mut chunk = producer.write_chunk(reserve);
        assert_eq!(chunk.remaining(), room);
        let mut written = Vec::new();
        for item in items {
            let number = item.0;
            match chunk.push(item) {
                Ok(()) => written.push(number),
                Err((back, _)) => assert!(back == number && written.len() == room),
            }
        }
        assert_eq!(written.len(), room.min(write));
        if commit {
            assert_eq!(chunk.commit(), written.len());
            self.expected.extend(written);
        }
    }

    fn pop(&mut self) {
        let closed = self.producer.is_none();
        let Some(consumer) = &mut self.consumer else { return };
        match consumer.pop() {
            Ok((number, _)) => assert_eq!(Some(number), self.expected.pop_front()),
            Err(PopError::Empty) => assert!(self.expected.is_empty() && !closed),
            Err(PopError::Closed) => assert!(self.expected.is_empty() && closed),
        }
    }

    fn peek(&mut self) {
        let Some(consumer) = &mut self.consumer else { return };
        assert_eq!(consumer.peek().map(|item| item.0), self.expected.front().copied());
    }

    fn read_chunk(&mut self, borrow: usize, take: usize, discard: usize) {
        let Some(consumer) = &mut self.consumer else { return };
        let mut chunk = consumer.read_chunk(borrow);
        let ready = self.expected.len().min(borrow);
        assert_eq!(chunk.len(), ready);
        for (number, _) in chunk.by_ref().take(take) {
            assert_eq!(Some(number), self.expected.pop_front());
        }
        let discard = discard.min(chunk.len());
        chunk.discard(discard);
        self.expected.drain(..discard);
        let (first, second) = chunk.as_slices();
        let left = first.iter().chain(second).map(|item| item.0);
        assert!(left.eq(self.expected.iter().copied().take(chunk.len())));
    }

    fn slots(&mut self) {
        let (held, capacity) = (self.expected.len(), self.capacity);
        let (no_producer, no_consumer) = (self.producer.is_none(), self.consumer.is_none());
        if let Some(producer) = &mut self.producer {
            assert_eq!(producer.slots(), capacity - held);
            assert_eq!((producer.capacity(), producer.is_closed()), (capacity, no_consumer));
        }
        if let Some(consumer) = &mut self.consumer {
            assert_eq!(consumer.slots(), held);
            assert_eq!((consumer.capacity(), consumer.is_closed()), (capacity, no_producer));
        }
    }
}

proptest! {
    // Miri is some hundred times slower, and has no files to keep failures in.
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 20 } else { 1000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn behaves_like_a_bounded_deque_and_drops_every_item_once(capacity in 1..10_usize, ops in ops()) {
        let mut pair = Pair::new(capacity);
        for op in ops {
            pair.apply(op);
        }
        pair.apply(Op::DropConsumer);
        pair.apply(Op::DropProducer);
    }
}
