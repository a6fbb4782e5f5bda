//! Batches of records: how they are encoded, and read where they lie.

use crate::disk::SharedBytes;
use crate::error::Damage;

use super::frame::{Frame, Kind, Meta};

/// Encodes records into a batch.
///
/// ```
/// use millstream_storage::topic::BatchBuilder;
/// let mut batch = BatchBuilder::new();
/// batch.push(0, None, b"value", &[("trace", b"af01")]);
/// assert_eq!(batch.count(), 1);
/// ```
#[derive(Debug, Default)]
pub struct BatchBuilder {
    payload: Vec<u8>,
    count: u32,
    first_time: i64,
    last_time: i64,
    greatest_time: i64,
}

/// A batch to be appended. Made by [`BatchBuilder::finish`].
#[derive(Clone, Debug)]
pub struct Batch {
    payload: Vec<u8>,
    checksum: u32,
    count: u32,
    first_time: i64,
    greatest_time: i64,
}

impl BatchBuilder {
    /// An empty one.
    pub fn new() -> BatchBuilder {
        BatchBuilder::default()
    }

    /// Appends a record: its timestamp in milliseconds, a key, a value, and named headers.
    ///
    /// # Panics
    /// If the batch has 2³² − 1 records already.
    pub fn push(&mut self, timestamp: i64, key: Option<&[u8]>, value: &[u8], headers: &[(&str, &[u8])]) {
        if self.count == 0 {
            (self.first_time, self.last_time, self.greatest_time) = (timestamp, timestamp, timestamp);
        }
        let out = &mut self.payload;
        put_varint(out, zigzag(timestamp.wrapping_sub(self.last_time)));
        put_varint(out, key.map_or(0, |key| key.len() as u64 + 1));
        out.extend_from_slice(key.unwrap_or_default());
        put_varint(out, value.len() as u64);
        out.extend_from_slice(value);
        put_varint(out, headers.len() as u64);
        for (name, value) in headers {
            for part in [name.as_bytes(), value] {
                put_varint(out, part.len() as u64);
                out.extend_from_slice(part);
            }
        }
        self.last_time = timestamp;
        self.greatest_time = self.greatest_time.max(timestamp);
        self.count = self.count.checked_add(1).expect("a batch has fewer than 2^32 records");
    }

    /// Records so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Encoded bytes so far.
    pub fn bytes(&self) -> usize {
        self.payload.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch. The builder is empty again.
    pub fn finish(&mut self) -> Batch {
        let BatchBuilder { mut payload, count, first_time, greatest_time, .. } = std::mem::take(self);
        payload.resize(payload.len().next_multiple_of(8), 0);
        let checksum = crc32fast::hash(&payload);
        Batch { payload, checksum, count, first_time, greatest_time }
    }
}

impl Batch {
    /// How many records it has.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of its encoding.
    pub fn bytes(&self) -> usize {
        self.payload.len()
    }

    pub(super) fn into_frame(self, offset: u64, transaction: u64) -> Frame {
        let meta = Meta {
            kind: Kind::Records,
            len: self.payload.len() as u32,
            payload_checksum: self.checksum,
            count: self.count,
            offset,
            transaction,
            first_time: self.first_time,
            greatest_time: self.greatest_time,
        };
        Frame { meta, payload: self.payload.into() }
    }
}

/// A batch as it was read, in the memory that it was read into.
#[derive(Clone)]
pub struct Records {
    payload: SharedBytes,
    /// Where the records begin that are left.
    place: Place,
}

/// A place in a [`Records`], to [go on](Records::go_on) from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the payload that lie behind.
    at: usize,
    offset: u64,
    /// Of the record before.
    time: i64,
    left: u32,
}

impl Records {
    /// Checks the encoding once, so that [`iter`](Records::iter) need not. Records below `from` are passed over.
    pub(super) fn open(meta: &Meta, payload: SharedBytes, from: u64) -> Result<Records, Damage> {
        let place = Place { at: 0, offset: meta.offset, time: meta.first_time, left: meta.count };
        let mut records = Records { payload, place };
        let mut iter = records.iter();
        let mut first = place;
        while iter.left > 0 {
            if iter.offset <= from {
                first = iter.place();
            }
            if iter.parse().is_none() {
                return Err(Damage::Malformed(format!("it does not hold {} records", meta.count)));
            }
        }
        records.place = first;
        Ok(records)
    }

    /// The records that are left, in the order of their offsets.
    pub fn iter(&self) -> RecordsIter<'_> {
        let Place { at, offset, time, left } = self.place;
        RecordsIter { rest: &self.payload[at..], whole: self.payload.len(), offset, time, left }
    }

    /// Leaves out the records before a place that [`RecordsIter::place`] told.
    ///
    /// # Panics
    /// If it is the place of another batch that is longer.
    pub fn go_on(&mut self, place: Place) {
        assert!(place.at <= self.payload.len(), "a place in this batch");
        self.place = place;
    }

    /// The offset of the first record that is left.
    pub fn offset(&self) -> u64 {
        self.place.offset
    }

    /// The offset behind the last record.
    pub fn end_offset(&self) -> u64 {
        self.place.offset + u64::from(self.place.left)
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Records({}..{})", self.offset(), self.end_offset())
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Record<'a>;
    type IntoIter = RecordsIter<'a>;

    fn into_iter(self) -> RecordsIter<'a> {
        self.iter()
    }
}

/// A record, where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the partition.
    pub offset: u64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: &'a [u8],
    /// Its headers.
    pub headers: Headers<'a>,
}

/// The headers of a record: an iterator over names and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: u64,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<(&'a str, &'a [u8])> {
        self.left = self.left.checked_sub(1)?;
        let name = std::str::from_utf8(take(&mut self.rest)?).ok()?;
        Some((name, take(&mut self.rest)?))
    }
}

/// The records of a batch.
#[derive(Clone, Debug)]
pub struct RecordsIter<'a> {
    rest: &'a [u8],
    /// Bytes of the payload.
    whole: usize,
    offset: u64,
    /// Of the record before.
    time: i64,
    left: u32,
}

impl<'a> RecordsIter<'a> {
    /// Where the next record begins.
    pub fn place(&self) -> Place {
        let RecordsIter { rest, whole, offset, time, left } = *self;
        Place { at: whole - rest.len(), offset, time, left }
    }

    #[inline]
    fn parse(&mut self) -> Option<Record<'a>> {
        let timestamp = self.time.wrapping_add(unzigzag(take_varint(&mut self.rest)?));
        let key = match take_varint(&mut self.rest)? {
            0 => None,
            len => Some(take_bytes(&mut self.rest, len - 1)?),
        };
        let value = take(&mut self.rest)?;
        let left = take_varint(&mut self.rest)?;
        let headers = Headers { rest: self.rest, left };
        for _ in 0..left {
            std::str::from_utf8(take(&mut self.rest)?).ok()?;
            take(&mut self.rest)?;
        }
        let record = Record { offset: self.offset, timestamp, key, value, headers };
        (self.time, self.offset, self.left) = (timestamp, self.offset + 1, self.left - 1);
        Some(record)
    }
}

impl<'a> Iterator for RecordsIter<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        if self.left == 0 { None } else { self.parse() }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[inline]
fn take_bytes<'a>(rest: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = after;
    Some(bytes)
}

#[inline]
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_varint(rest)?;
    take_bytes(rest, len)
}
