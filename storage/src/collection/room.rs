//! A record of entries: with room behind them, so that one more changes the record where it lies.
//!
//! ```text
//! [until, 8 bytes] [bytes of entries, 4 bytes] [fields] [entries] [zeros]
//! ```
//! `until`, only where entries expire, is the latest of the entries'. `fields` are a head's own. Bytes that become free
//! are cleared: what was removed is gone.

use std::ops::Range;

use super::Part;
use super::entry::{Entries, Entry, Format, New};
use crate::expiry::{self, Life, UNTIL};
use crate::store::{MAX_VALUE, Store, TooLarge};

/// Bytes that tell how many bytes of entries there are.
const USED: usize = size_of::<u32>();
/// The smallest room for entries, in bytes.
const LEAST: usize = 32;
/// The fields of a record that is too short for them, which only a made-up one is.
const NO_FIELDS: [u8; 24] = [0; 24];

/// How the records of a kind are laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) format: Format,
    /// Bytes of fields.
    pub(super) fields: usize,
}

impl Shape {
    /// The fields.
    pub(super) fn fields(self, record: &[u8]) -> &[u8] {
        record.get(self.start() - self.fields..self.start()).unwrap_or(&NO_FIELDS[..self.fields])
    }

    /// The fields, to be changed.
    pub(super) fn fields_mut(self, record: &mut [u8]) -> &mut [u8] {
        &mut record[self.start() - self.fields..self.start()]
    }

    /// The entries' bytes.
    #[inline]
    pub(super) fn bytes(self, record: &[u8]) -> &[u8] {
        let room = record.get(self.start()..).unwrap_or_default();
        &room[..self.used(record).min(room.len())]
    }

    /// The entries.
    #[inline]
    pub(super) fn entries(self, record: &[u8]) -> Entries<'_> {
        self.format.entries(self.bytes(record))
    }

    /// The bytes of a range among the entries' bytes, to be changed.
    #[inline]
    pub(super) fn bytes_mut(self, record: &mut [u8], range: Range<usize>) -> &mut [u8] {
        &mut record[self.start() + range.start..self.start() + range.end]
    }

    /// Bytes of the entries.
    #[inline]
    pub(super) fn used(self, record: &[u8]) -> usize {
        let used = record.get(self.used_at()..).and_then(<[u8]>::first_chunk);
        used.map_or(0, |used| u32::from_le_bytes(*used) as usize)
    }

    /// Bytes for entries, used or not.
    pub(super) fn room(self, record: &[u8]) -> usize {
        record.len() - self.start()
    }

    /// Inserts an entry at a place among the entries' bytes, if there is room.
    pub(super) fn insert(self, record: &mut [u8], at: usize, new: New<'_>) -> bool {
        let (used, len) = (self.used(record), self.format.len(new));
        if used + len > self.room(record) {
            return false;
        }
        let entries = &mut record[self.start()..];
        entries.copy_within(at..used, at + len);
        self.format.write(new, &mut entries[at..at + len]);
        self.set_used(record, used + len);
        self.live_until(record, new.until);
        true
    }

    /// Takes bytes out of the entries', and clears as many at their end.
    pub(super) fn cut(self, record: &mut [u8], range: Range<usize>) {
        let used = self.used(record);
        let entries = &mut record[self.start()..];
        entries.copy_within(range.end..used, range.start);
        entries[used - range.len()..used].fill(0);
        self.set_used(record, used - range.len());
    }

    /// Lets the record live at least until then, where entries expire.
    pub(super) fn live_until(self, record: &mut [u8], until: i64) {
        if self.format.expires && expiry::until(record) < until {
            expiry::set_until(record, until);
        }
    }

    /// Lets all entries that are not expired live until then, and the record with them, even if it holds none.
    pub(super) fn touch_all(self, record: &mut [u8], life: Life) {
        let seen = self.entries(record).filter(|entry| life.sees(entry.until));
        let places: Vec<Range<usize>> = seen.map(|entry| entry.until_range()).collect();
        for place in places {
            self.bytes_mut(record, place).copy_from_slice(&life.until.to_le_bytes());
        }
        self.live_until(record, life.until);
    }

    /// A record of these fields and entries, with room for `room` bytes of entries, or as many as they need.
    pub(super) fn build<'a>(
        self,
        fields: &[u8],
        entries: impl Iterator<Item = New<'a>> + Clone,
        room: usize,
    ) -> Vec<u8> {
        let used: usize = entries.clone().map(|new| self.format.len(new)).sum();
        let mut record = vec![0; self.start() + room.max(used).next_multiple_of(8)];
        self.set_used(&mut record, used);
        self.fields_mut(&mut record).copy_from_slice(fields);
        if self.format.expires {
            expiry::set_until(&mut record, i64::MIN);
        }
        let mut at = self.start();
        for new in entries {
            let len = self.format.len(new);
            self.format.write(new, &mut record[at..at + len]);
            self.live_until(&mut record, new.until);
            at += len;
        }
        record
    }

    /// Replaces a record by a larger one, with `new` at a place among those entries that `keep` says stay, which are
    /// the others in their order. Returns how many entries stay.
    pub(super) fn grow(
        self,
        store: &mut Store,
        part: &Part,
        new: New<'_>,
        keep: impl Fn(&Entry<'_>) -> bool,
    ) -> Result<usize, TooLarge> {
        let record = part.get(store).expect("only a record that is there grows");
        let stay: Vec<New<'_>> = self.entries(record).filter(|e| keep(e)).map(|e| e.renew()).collect();
        let needed: usize = stay.iter().chain([&new]).map(|new| self.format.len(*new)).sum();
        let fields = self.fields(record).to_vec();
        let build = |room| self.build(&fields, stay.iter().copied().chain([new]), room);
        let (roomy, count) = (build(self.roomy(needed)), stay.len());
        // Near the limit the entries may fit, though not the room behind them.
        let tight = part.fits(store, roomy.len()).err().map(|_| build(needed));
        part.put(store, &tight.unwrap_or(roomy))?;
        Ok(count)
    }

    /// Room for `needed` bytes of entries, and half as many again: entries come one by one.
    pub(super) fn roomy(self, needed: usize) -> usize {
        let limit = (MAX_VALUE - self.start()) & !7;
        (needed + needed / 2).clamp(LEAST, limit.max(needed))
    }

    fn set_used(self, record: &mut [u8], used: usize) {
        let at = self.used_at();
        let used = u32::try_from(used).expect("a record is shorter than a mebibyte");
        record[at..at + USED].copy_from_slice(&used.to_le_bytes());
    }

    fn used_at(self) -> usize {
        if self.format.expires { UNTIL } else { 0 }
    }

    fn start(self) -> usize {
        self.used_at() + USED + self.fields
    }
}
