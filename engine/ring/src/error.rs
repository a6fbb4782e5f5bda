//! Why a ring took or gave no item.

use std::error::Error;
use std::fmt;

/// Why [`Producer::push`](crate::Producer::push) did not take an item; the item comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// The ring holds as many items as its capacity. Try again when the consumer has popped.
    Full(T),
    /// The consumer is gone: no item will ever be taken again.
    Closed(T),
}

impl<T> PushError<T> {
    /// The item that was not taken.
    ///
    /// ```
    /// let (mut producer, _consumer) = millstream_ring::ring(1);
    /// producer.push("a")?;
    /// assert_eq!(producer.push("b").unwrap_err().into_inner(), "b");
    /// # Ok::<(), millstream_ring::PushError<&str>>(())
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            PushError::Full(item) | PushError::Closed(item) => item,
        }
    }
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PushError::Full(_) => "Full(..)",
            PushError::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PushError::Full(_) => "the ring is full: push again when the consumer has popped",
            PushError::Closed(_) => "the ring is closed: its consumer is gone",
        })
    }
}

impl<T> Error for PushError<T> {}

/// Why [`Consumer::pop`](crate::Consumer::pop) gave no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PopError {
    /// There is no item now, but the producer may push one.
    Empty,
    /// Every item was popped and the producer is gone: there will never be another.
    Closed,
}

impl fmt::Display for PopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PopError::Empty => "the ring is empty: pop again when the producer has pushed",
            PopError::Closed => "the ring is closed: its producer is gone and every item was popped",
        })
    }
}

impl Error for PopError {}
