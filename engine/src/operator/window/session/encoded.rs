//! The sessions of a key as bytes:
//!
//! ```text
//! next: i64 | session, session, …
//! session:  start: i64 | end: i64 | flags: u32 | length: u32 | accumulator, of that length
//! ```
//!
//! All little-endian. `next` is when the key next has something to do. Most keys have one session, and accumulators of
//! fixed size: those are updated where they lie, by [`join`].

use rkyv::util::AlignedVec;

use crate::error::{Error, ErrorKind, Result};
use crate::state::codec::{self, StateValue};
use crate::time::Timestamp;

/// Bytes before the first session, and before its accumulator.
const HEAD: usize = 8;
const SESSION: usize = 24;

/// The session's result has been emitted.
const FIRED: u32 = 1;
/// A record of this batch waits until the others are added. Never kept beyond a batch.
const WAITED_FOR: u32 = 2;

/// One session of a key.
#[derive(Clone, Debug)]
pub(crate) struct Open<Acc> {
    pub start: Timestamp,
    pub end: Timestamp,
    pub fired: bool,
    pub acc: Acc,
}

impl<Acc> Open<Acc> {
    /// Whether it and a span of time have a moment in common, or lie side by side.
    pub(crate) fn touches(&self, start: Timestamp, end: Timestamp) -> bool {
        self.start <= end && start <= self.end
    }
}

/// The length of one session with an accumulator of fixed size.
pub(crate) const fn single<Acc>() -> usize {
    HEAD + SESSION + size_of::<Acc>()
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(*bytes[at..].first_chunk().expect("the length was checked"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the length was checked"))
}

/// When the key next has something to do.
#[inline]
pub(crate) fn next_of(bytes: &[u8]) -> Timestamp {
    i64_at(bytes, 0)
}

/// Writes one session with an accumulator of fixed size.
#[inline]
pub(crate) fn write_single<Acc: StateValue>(
    bytes: &mut [u8],
    (start, end, next): (Timestamp, Timestamp, Timestamp),
    acc: &Acc,
) {
    bytes[..HEAD].copy_from_slice(&next.to_le_bytes());
    bytes[HEAD..HEAD + 8].copy_from_slice(&start.to_le_bytes());
    bytes[HEAD + 8..HEAD + 16].copy_from_slice(&end.to_le_bytes());
    bytes[HEAD + 16..HEAD + 20].fill(0);
    bytes[HEAD + 20..HEAD + 24].copy_from_slice(&(size_of::<Acc>() as u32).to_le_bytes());
    codec::write_flat(acc, &mut bytes[HEAD + SESSION..]);
}

/// Lets a record that spans `start .. end` join a key's only session where it lies, if that is all there is to do.
/// Otherwise marks the key, so that none of its later records in the batch goes ahead of this one.
#[inline]
pub(crate) fn join<Acc: StateValue>(
    bytes: &mut [u8],
    (start, end): (Timestamp, Timestamp),
    add: impl FnOnce(&mut Acc),
) -> bool {
    if bytes.len() != single::<Acc>() {
        return false;
    }
    let (first, last) = (i64_at(bytes, HEAD), i64_at(bytes, HEAD + 8));
    if u32_at(bytes, HEAD + 16) != 0 || first > end || start > last {
        bytes[HEAD + 16] |= WAITED_FOR as u8;
        return false;
    }
    bytes[HEAD..HEAD + 8].copy_from_slice(&first.min(start).to_le_bytes());
    bytes[HEAD + 8..HEAD + 16].copy_from_slice(&last.max(end).to_le_bytes());
    let place = &mut bytes[HEAD + SESSION..];
    let mut acc = codec::decode::<Acc>(place);
    add(&mut acc);
    codec::write_flat(&acc, place);
    true
}

/// The sessions in these bytes, the earliest first.
pub(crate) fn decode<Acc: StateValue>(bytes: &[u8]) -> Vec<Open<Acc>> {
    let mut sessions = Vec::new();
    let mut at = HEAD;
    while at < bytes.len() {
        let length = u32_at(bytes, at + 20) as usize;
        let acc = &bytes[at + SESSION..at + SESSION + length];
        sessions.push(Open {
            start: i64_at(bytes, at),
            end: i64_at(bytes, at + 8),
            fired: u32_at(bytes, at + 16) & FIRED != 0,
            acc: codec::decode(acc),
        });
        at += SESSION + length;
    }
    sessions
}

/// Writes sessions into `bytes`, replacing what was there.
pub(crate) fn encode<Acc: StateValue>(
    next: Timestamp,
    sessions: &[Open<Acc>],
    scratch: &mut AlignedVec,
    bytes: &mut Vec<u8>,
) {
    bytes.clear();
    bytes.extend_from_slice(&next.to_le_bytes());
    for Open { start, end, fired, acc } in sessions {
        codec::encode(acc, scratch);
        bytes.extend_from_slice(&start.to_le_bytes());
        bytes.extend_from_slice(&end.to_le_bytes());
        bytes.extend_from_slice(&if *fired { FIRED } else { 0 }.to_le_bytes());
        // The store takes no value of 4 GiB.
        bytes.extend_from_slice(&(scratch.len() as u32).to_le_bytes());
        bytes.extend_from_slice(scratch);
    }
}

/// Checks restored bytes before anything else looks at them.
///
/// # Errors
/// If they are not sessions with accumulators of this type.
pub(crate) fn check<Acc: StateValue>(bytes: &[u8]) -> Result<()> {
    let damaged = || Error::new(ErrorKind::Restore, "restored sessions of a key cannot be read");
    let mut rest = bytes.get(HEAD..).ok_or_else(damaged)?;
    while !rest.is_empty() {
        let head = rest.get(..SESSION).ok_or_else(damaged)?;
        let length = u32_at(head, 20) as usize;
        codec::check::<Acc>(rest.get(SESSION..SESSION + length).ok_or_else(damaged)?)?;
        rest = &rest[SESSION + length..];
    }
    Ok(())
}
