//! Values that expire: how a record says so, for whoever meets it.
//!
//! In a table whose [layout](crate::snapshot::Layout) says `expires`, the first eight bytes of each value are the time
//! from which on the whole record is dead, in milliseconds since the epoch. A collection's record holds many entries,
//! each with a time of its own behind this one: it is the latest of them. A missing part counts as an empty one, so
//! each record may be dropped by itself once it is [`expired`], by compaction, in any order; but a collection's head
//! only when all of the parts that it names are gone. A part that no head names is not there: a new one may take its
//! number without a look at what is on disk.
//!
//! What is stored is the end, not the beginning: what is written is kept as long as was promised then, however the
//! setting changes later. Times must not run backwards, or what was gone would come back: the owner of a store
//! keeps the latest time that it has seen with the state, and asks by that one.
//!
//! ```
//! use millstream_storage::expiry::{self, Life, UNTIL};
//!
//! let life = Life { now: 1_000, until: 4_000 };
//! let mut value = [&life.until.to_le_bytes()[..], b"payload"].concat();
//! assert_eq!((expiry::until(&value), &value[UNTIL..]), (4_000, &b"payload"[..]));
//! assert!(life.sees(expiry::until(&value)) && expiry::sees(None, i64::MIN));
//! expiry::set_until(&mut value, 900);
//! assert!(!expiry::sees(Some(life), expiry::until(&value)));
//! ```

/// Bytes of the time at the beginning of a value.
pub const UNTIL: usize = 8;

/// When it is, and until when what is written now is to live, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// What ends at this time or before is expired.
    pub now: i64,
    /// When what is written now ends.
    pub until: i64,
}

impl Life {
    /// Whether something that ends at `until` is still to be seen.
    #[inline]
    pub fn sees(&self, until: i64) -> bool {
        until > self.now
    }
}

/// The time at the beginning of a value.
///
/// # Panics
/// If the value is shorter: it is none of a table whose values expire.
#[inline]
pub fn until(value: &[u8]) -> i64 {
    i64::from_le_bytes(*value.first_chunk().expect("a value that expires begins with a time"))
}

/// Whether a record of a table whose values expire is dead at `now`, and may be dropped.
///
/// ```
/// # use millstream_storage::expiry::expired;
/// let value = [&1_000i64.to_le_bytes()[..], b"payload"].concat();
/// assert!(!expired(&value, 999));
/// assert!(expired(&value, 1_000));
/// ```
///
/// # Panics
/// As [`until`].
#[inline]
pub fn expired(value: &[u8], now: i64) -> bool {
    until(value) <= now
}

/// Writes the time at the beginning of a value.
///
/// # Panics
/// As [`until`].
#[inline]
pub fn set_until(value: &mut [u8], until: i64) {
    *value.first_chunk_mut().expect("a value that expires begins with a time") = until.to_le_bytes();
}

/// Whether something that ends at `until` is to be seen; always, where nothing expires.
#[inline]
pub fn sees(life: Option<Life>, until: i64) -> bool {
    life.is_none_or(|life| life.sees(until))
}
