//! One entry in a record: its lengths, until when it lives, its key, its value.
//!
//! ```text
//! [key length] [value length] [until, 8 bytes] [key] [value]
//! ```
//! Lengths are LEB128: seven bits a byte, least significant first, the top bit says that more follow. The key's is
//! left out where all keys have one length, the time where nothing expires.

use std::ops::Range;

use crate::expiry::UNTIL;

/// What keys the entries of a kind of record have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// None: an element of a list.
    None,
    /// Eight bytes: a time.
    Time,
    /// Any number of bytes.
    Bytes,
}

/// How entries are laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    pub(super) keys: Keys,
    pub(super) expires: bool,
}

/// An entry to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct New<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    /// Until when it lives, if entries expire.
    pub(super) until: i64,
}

/// An entry where it lies.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    /// Until when it lives; for ever where nothing expires.
    pub(super) until: i64,
    /// The whole entry, in bytes from the first entry's start.
    pub(super) range: Range<usize>,
}

impl<'a> Entry<'a> {
    /// Where its value lies, in bytes from the first entry's start.
    pub(super) fn value_range(&self) -> Range<usize> {
        self.range.end - self.value.len()..self.range.end
    }

    /// Where its time lies, if entries expire.
    pub(super) fn until_range(&self) -> Range<usize> {
        let end = self.range.end - self.value.len() - self.key.len();
        end - UNTIL..end
    }

    /// The key of a timeline's entry.
    pub(super) fn time(&self) -> i64 {
        i64::from_le_bytes(self.key.try_into().expect("a timeline's keys have eight bytes"))
    }

    /// The same entry, to be written elsewhere.
    pub(super) fn renew(&self) -> New<'a> {
        New { key: self.key, value: self.value, until: self.until }
    }
}

impl Format {
    /// Bytes of an entry.
    pub(super) fn len(self, new: New<'_>) -> usize {
        let until = if self.expires { UNTIL } else { 0 };
        let key = if self.keys == Keys::Bytes { varint_len(new.key.len()) } else { 0 };
        key + varint_len(new.value.len()) + until + new.key.len() + new.value.len()
    }

    /// Writes an entry over `out`, which has its length.
    pub(super) fn write(self, new: New<'_>, out: &mut [u8]) {
        let mut rest = out;
        if self.keys == Keys::Bytes {
            rest = write_varint(rest, new.key.len());
        }
        rest = write_varint(rest, new.value.len());
        if self.expires {
            rest = write_bytes(rest, &new.until.to_le_bytes());
        }
        rest = write_bytes(rest, new.key);
        rest = write_bytes(rest, new.value);
        debug_assert!(rest.is_empty(), "an entry fills its place");
    }

    /// The entries that lie one behind the other in `bytes`.
    pub(super) fn entries(self, bytes: &[u8]) -> Entries<'_> {
        Entries { format: self, bytes, at: 0 }
    }
}

/// The entries of a record, in order. Ends early at bytes that are none: what a checksum excludes is damage, not malice.
#[derive(Clone)]
pub(super) struct Entries<'a> {
    format: Format,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Entries<'a> {
    #[inline]
    fn read(&mut self) -> Option<Entry<'a>> {
        let start = self.at;
        let mut at = start;
        let key_len = match self.format.keys {
            Keys::None => 0,
            Keys::Time => 8,
            Keys::Bytes => read_varint(self.bytes, &mut at)?,
        };
        let value_len = read_varint(self.bytes, &mut at)?;
        let mut until = i64::MAX;
        if self.format.expires {
            until = i64::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?);
            at += UNTIL;
        }
        let key = self.bytes.get(at..)?.get(..key_len)?;
        at += key_len;
        let value = self.bytes.get(at..)?.get(..value_len)?;
        at += value_len;
        self.at = at;
        Some(Entry { key, value, until, range: start..at })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        if self.at == self.bytes.len() {
            return None;
        }
        self.read()
    }
}

fn varint_len(n: usize) -> usize {
    1 + n.checked_ilog2().unwrap_or(0) as usize / 7
}

fn write_varint(out: &mut [u8], mut n: usize) -> &mut [u8] {
    let len = varint_len(n);
    for byte in &mut out[..len] {
        *byte = n as u8 | 0x80;
        n >>= 7;
    }
    out[len - 1] &= 0x7F;
    &mut out[len..]
}

#[inline]
fn read_varint(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let first = usize::from(*bytes.get(*at)?);
    *at += 1;
    if first < 0x80 {
        return Some(first);
    }
    let (mut n, mut shift) = (first & 0x7F, 7);
    loop {
        let byte = usize::from(*bytes.get(*at)?);
        *at += 1;
        n |= (byte & 0x7F) << shift;
        if byte < 0x80 || shift > 28 {
            return Some(n);
        }
        shift += 7;
    }
}

fn write_bytes<'o>(out: &'o mut [u8], bytes: &[u8]) -> &'o mut [u8] {
    let (place, rest) = out.split_at_mut(bytes.len());
    place.copy_from_slice(bytes);
    rest
}
