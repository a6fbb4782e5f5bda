//! How work passes between two cores that share nothing else.
//!
//! - [`ring`] makes a bounded queue with one [`Producer`] and one [`Consumer`], each owned by a thread. Items move by
//!   value; nobody locks or waits. [`Producer::write_chunk`] and [`Consumer::read_chunk`] pass many items for one
//!   store.
//! - [`Bell`] wakes a core that found nothing to do and sleeps.
//!
//! ```
//! use millstream_ring::{PopError, PushError, ring};
//!
//! let (mut producer, mut consumer) = ring(64);
//! let sender = std::thread::spawn(move || {
//!     for mut n in 0..1000_u64 {
//!         while let Err(PushError::Full(back)) = producer.push(n) {
//!             n = back;
//!             std::thread::yield_now();
//!         }
//!     }
//! });
//! let mut sum = 0;
//! loop {
//!     match consumer.pop() {
//!         Ok(n) => sum += n,
//!         Err(PopError::Empty) => std::thread::yield_now(),
//!         Err(PopError::Closed) => break,
//!     }
//! }
//! assert_eq!(sum, 499_500);
//! # sender.join().expect("the sender does not panic");
//! ```
//!
//! # How it works
//! Two indices that only grow, each written by one end and read by the other, on cache lines of their own
//! (Lamport, 1977). Each end remembers the other's index and looks again only when the remembered one says full or
//! empty (Torquati, 2010), so a batch of items costs one transfer of a line each way. All orderings are acquire
//! and release; only the bell needs a fence. The models in `tests/loom.rs` check every interleaving of small cases.

mod bell;
mod consumer;
mod error;
mod producer;
mod read_chunk;
mod shared;
mod slots;
mod sync;
mod write_chunk;

pub use bell::{Bell, Wait};
pub use consumer::Consumer;
pub use error::{PopError, PushError};
pub use producer::Producer;
pub use read_chunk::ReadChunk;
pub use write_chunk::WriteChunk;

/// Makes a ring that holds up to `capacity` items, exactly, whatever the number. The memory is that of the next power
/// of two, allocated here and never again.
///
/// Dropping either end closes the ring. Items left in it are dropped once, when the second end is.
///
/// # Panics
/// If `capacity` is 0, or so large that its next power of two of items does not fit the address space.
///
/// ```
/// let (mut producer, mut consumer) = millstream_ring::ring(3);
/// assert_eq!(producer.push_chunk("abcd".chars()), 3);
/// assert_eq!(consumer.pop(), Ok('a'));
/// ```
pub fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let shared = sync::Arc::new(shared::Shared::new(capacity));
    (Producer::new(shared.clone()), Consumer::new(shared))
}
