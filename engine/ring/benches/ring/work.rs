//! What is measured: each case moves items of 8 bytes between two pinned threads and returns how long that took.

use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::pin::pin;

/// Capacity of every ring, in items.
const CAPACITY: usize = 8192;
/// Items per chunk.
const CHUNK: usize = 1024;

/// What a case counts.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    /// Items one way.
    Items,
    /// There and back, two transfers.
    RoundTrips,
}

/// A way to move `n` units.
pub struct Case {
    pub name: &'static str,
    pub unit: Unit,
    pub run: fn(u64) -> Duration,
}

/// Ours and theirs are neighbours, so that a drift of the machine hits both.
pub const CASES: &[Case] = &[
    Case { name: "single/ours", unit: Unit::Items, run: single_ours },
    Case { name: "single/rtrb", unit: Unit::Items, run: single_rtrb },
    Case { name: "chunk_iter/ours", unit: Unit::Items, run: chunk_iter_ours },
    Case { name: "chunk_iter/rtrb", unit: Unit::Items, run: chunk_iter_rtrb },
    Case { name: "chunk_slice/ours", unit: Unit::Items, run: chunk_slice_ours },
    Case { name: "chunk_slice/rtrb", unit: Unit::Items, run: chunk_slice_rtrb },
    Case { name: "alone_single/ours", unit: Unit::Items, run: alone_single_ours },
    Case { name: "alone_single/rtrb", unit: Unit::Items, run: alone_single_rtrb },
    Case { name: "alone_chunk/ours", unit: Unit::Items, run: alone_chunk_ours },
    Case { name: "alone_chunk/rtrb", unit: Unit::Items, run: alone_chunk_rtrb },
    Case { name: "ping_pong/ours", unit: Unit::RoundTrips, run: ping_pong_ours },
    Case { name: "ping_pong/rtrb", unit: Unit::RoundTrips, run: ping_pong_rtrb },
    Case { name: "ping_pong/line", unit: Unit::RoundTrips, run: ping_pong_line },
];

/// Runs `there` on one core and `here` on another, and times `here`, which ends last.
fn on_two_cores(there: impl FnOnce() + Send, here: impl FnOnce() + Send) -> Duration {
    thread::scope(|scope| {
        scope.spawn(move || {
            pin(1);
            there();
        });
        let here = scope.spawn(move || {
            pin(0);
            let start = Instant::now();
            here();
            start.elapsed()
        });
        here.join().expect("a case does not panic")
    })
}

fn single_ours(n: u64) -> Duration {
    let (mut producer, mut consumer) = millstream_ring::ring(CAPACITY);
    let send = move || {
        for item in 0..n {
            while producer.push(item).is_err() {
                spin_loop();
            }
        }
    };
    on_two_cores(send, move || {
        for _ in 0..n {
            black_box(spin(|| consumer.pop().ok()));
        }
    })
}

fn single_rtrb(n: u64) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    let send = move || {
        for item in 0..n {
            while producer.push(item).is_err() {
                spin_loop();
            }
        }
    };
    on_two_cores(send, move || {
        for _ in 0..n {
            black_box(spin(|| consumer.pop().ok()));
        }
    })
}

fn chunk_iter_ours(n: u64) -> Duration {
    let (mut producer, mut consumer) = millstream_ring::ring(CAPACITY);
    let send = move || {
        let mut items = 0..n;
        while !items.is_empty() {
            let mut chunk = producer.write_chunk(CHUNK);
            chunk.extend(&mut items);
            chunk.commit();
        }
    };
    on_two_cores(send, move || {
        let (mut left, mut sum) = (n, 0_u64);
        while left > 0 {
            let chunk = consumer.read_chunk(CHUNK);
            left -= chunk.len() as u64;
            sum = chunk.fold(sum, u64::wrapping_add);
        }
        black_box(sum);
    })
}

fn chunk_iter_rtrb(n: u64) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    let send = move || {
        let mut items = 0..n;
        while !items.is_empty() {
            let room = producer.slots().min(CHUNK);
            let chunk = producer.write_chunk_uninit(room).expect("the room was asked for");
            chunk.fill_from_iter(&mut items);
        }
    };
    on_two_cores(send, move || {
        let (mut left, mut sum) = (n, 0_u64);
        while left > 0 {
            let ready = consumer.slots().min(CHUNK);
            let chunk = consumer.read_chunk(ready).expect("the items were seen");
            left -= ready as u64;
            sum = chunk.into_iter().fold(sum, u64::wrapping_add);
        }
        black_box(sum);
    })
}

fn chunk_slice_ours(n: u64) -> Duration {
    let (mut producer, mut consumer) = millstream_ring::ring(CAPACITY);
    let send = move || {
        let items: Vec<u64> = (0..CHUNK as u64).collect();
        let mut left = n as usize;
        while left > 0 {
            left -= producer.push_slice(&items[..CHUNK.min(left)]);
        }
    };
    on_two_cores(send, move || {
        let (mut left, mut sum) = (n, 0_u64);
        while left > 0 {
            let mut chunk = consumer.read_chunk(CHUNK);
            let (first, second) = chunk.as_slices();
            sum = first.iter().chain(second).fold(sum, |sum, &item| sum.wrapping_add(item));
            left -= chunk.len() as u64;
            chunk.discard(CHUNK);
        }
        black_box(sum);
    })
}

fn chunk_slice_rtrb(n: u64) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    let send = move || {
        let items: Vec<u64> = (0..CHUNK as u64).collect();
        let mut left = n as usize;
        while left > 0 {
            left -= producer.push_partial_slice(&items[..CHUNK.min(left)]).0.len();
        }
    };
    on_two_cores(send, move || {
        let (mut left, mut sum) = (n, 0_u64);
        while left > 0 {
            let ready = consumer.slots().min(CHUNK);
            let chunk = consumer.read_chunk(ready).expect("the items were seen");
            let (first, second) = chunk.as_slices();
            sum = first.iter().chain(second).fold(sum, |sum, &item| sum.wrapping_add(item));
            left -= ready as u64;
            chunk.commit_all();
        }
        black_box(sum);
    })
}

/// Both ends on one core, in turns of a chunk: what the instructions cost when no line changes cores.
fn alone(n: u64, mut turn: impl FnMut(u64) + Send) -> Duration {
    on_two_cores(
        || (),
        move || {
            for first in (0..n).step_by(CHUNK) {
                turn(first);
            }
        },
    )
}

fn alone_single_ours(n: u64) -> Duration {
    let (mut producer, mut consumer) = millstream_ring::ring(CAPACITY);
    alone(n, move |first| {
        for item in first..first + CHUNK as u64 {
            producer.push(item).expect("the ring is drained in every turn");
        }
        while let Ok(item) = consumer.pop() {
            black_box(item);
        }
    })
}

fn alone_single_rtrb(n: u64) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    alone(n, move |first| {
        for item in first..first + CHUNK as u64 {
            producer.push(item).expect("the ring is drained in every turn");
        }
        while let Ok(item) = consumer.pop() {
            black_box(item);
        }
    })
}

fn alone_chunk_ours(n: u64) -> Duration {
    let (mut producer, mut consumer) = millstream_ring::ring(CAPACITY);
    alone(n, move |first| {
        let mut chunk = producer.write_chunk(CHUNK);
        chunk.extend(first..first + CHUNK as u64);
        chunk.commit();
        black_box(consumer.read_chunk(CHUNK).fold(0, u64::wrapping_add));
    })
}

fn alone_chunk_rtrb(n: u64) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    alone(n, move |first| {
        let chunk = producer.write_chunk_uninit(CHUNK).expect("the ring is drained in every turn");
        chunk.fill_from_iter(first..first + CHUNK as u64);
        let chunk = consumer.read_chunk(CHUNK).expect("the chunk was committed");
        black_box(chunk.into_iter().fold(0, u64::wrapping_add));
    })
}

fn ping_pong_ours(n: u64) -> Duration {
    let (mut to, mut at_echo) = millstream_ring::ring(1);
    let (mut from_echo, mut from) = millstream_ring::ring(1);
    let echo = move || {
        for _ in 0..n {
            let item: u64 = spin(|| at_echo.pop().ok());
            from_echo.push(item).expect("one item is under way at a time");
        }
    };
    on_two_cores(echo, move || {
        for item in 0..n {
            to.push(item).expect("one item is under way at a time");
            black_box(spin(|| from.pop().ok()));
        }
    })
}

fn ping_pong_rtrb(n: u64) -> Duration {
    let (mut to, mut at_echo) = rtrb::RingBuffer::new(1);
    let (mut from_echo, mut from) = rtrb::RingBuffer::new(1);
    let echo = move || {
        for _ in 0..n {
            let item: u64 = spin(|| at_echo.pop().ok());
            from_echo.push(item).expect("one item is under way at a time");
        }
    };
    on_two_cores(echo, move || {
        for item in 0..n {
            to.push(item).expect("one item is under way at a time");
            black_box(spin(|| from.pop().ok()));
        }
    })
}

/// The floor: a word on one line there, a word on another line back.
fn ping_pong_line(n: u64) -> Duration {
    #[repr(align(128))]
    #[derive(Default)]
    struct Line(AtomicU64);
    let there = Arc::new((Line::default(), Line::default()));
    let here = there.clone();
    let echo = move || {
        for turn in 1..=n {
            spin(|| (there.0.0.load(Ordering::Acquire) == turn).then_some(()));
            there.1.0.store(turn, Ordering::Release);
        }
    };
    on_two_cores(echo, move || {
        for turn in 1..=n {
            here.0.0.store(turn, Ordering::Release);
            spin(|| (here.1.0.load(Ordering::Acquire) == turn).then_some(()));
        }
    })
}

fn spin<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(value) = ready() {
            return value;
        }
        spin_loop();
    }
}
