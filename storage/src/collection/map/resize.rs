//! Growing and shrinking a map, one bucket at a time.

use super::head::Fields;
use super::{INLINE, TARGET, bucket_of, bucket_shape, head_shape, update_head};
use crate::collection::Owner;
use crate::collection::entry::{Entry, New};
use crate::expiry::{self, Life};
use crate::hash::stable_hash;
use crate::planted;
use crate::store::{Store, TooLarge};

/// The most buckets: their numbers and those of the other parts stay apart.
const MAX_BUCKETS: u32 = 1 << 31;

/// Moves the entries out of a head that has become too large, or splits the next bucket if they are too full. There
/// are never more buckets than entries.
pub(super) fn after_put(
    store: &mut Store,
    owner: &Owner,
    fields: Fields,
    life: Option<Life>,
) -> Result<(), TooLarge> {
    match fields.buckets {
        0 if fields.bytes > INLINE as u64 && fields.count > 1 => spread(store, owner, fields, life),
        0 => Ok(()),
        n if fields.bytes > TARGET * u64::from(n) && fields.count > n && n < MAX_BUCKETS => {
            split(store, owner, fields, life)
        }
        _ => Ok(()),
    }
}

/// From the head to two buckets.
fn spread(store: &mut Store, owner: &Owner, fields: Fields, life: Option<Life>) -> Result<(), TooLarge> {
    let head = owner.head();
    let record = head.get(store).expect("a map has a head");
    let entries = collect(head_shape(life).entries(record));
    let fields = Fields { buckets: 2, ..fields };
    let until = life.map(|_| expiry::until(record));
    for bucket in 0..2 {
        owner.part(bucket).is_new(store);
        write(store, owner, bucket, entries.iter().filter(|e| home(e, 2) == bucket), life)?;
    }
    let mut emptied = head_shape(life).build(&fields.encode(), std::iter::empty(), 0);
    if let Some(until) = until {
        expiry::set_until(&mut emptied, until);
    }
    head.put(store, &emptied)
}

/// Divides the entries of one bucket between it and a new one.
fn split(store: &mut Store, owner: &Owner, fields: Fields, life: Option<Life>) -> Result<(), TooLarge> {
    let new = fields.buckets;
    let old = partner(new);
    let mut fields = Fields { buckets: new + 1, ..fields };
    let entries = entries_of(store, owner, old, life, &mut fields);
    owner.part(new).is_new(store);
    if !planted!(split_loses_bucket) {
        write(store, owner, new, entries.iter().filter(|e| home(e, new + 1) == new), life)?;
    }
    write(store, owner, old, entries.iter().filter(|e| home(e, new + 1) == old), life)?;
    update_head(store, owner, fields, life);
    Ok(())
}

/// Merges the last bucket into that from which it was split, if they are nearly empty.
pub(super) fn after_remove(store: &mut Store, owner: &Owner, fields: Fields, life: Option<Life>) {
    let n = fields.buckets;
    let sparse = fields.bytes * 4 < TARGET * u64::from(n) || u64::from(fields.count) * 2 < u64::from(n);
    if n < 2 || !sparse {
        return;
    }
    let (last, into) = (n - 1, partner(n - 1));
    let mut fields = fields;
    let mut entries = entries_of(store, owner, into, life, &mut fields);
    entries.extend(entries_of(store, owner, last, life, &mut fields));
    // What does not fit into one bucket stays in two.
    if write(store, owner, into, entries.iter(), life).is_ok() {
        owner.part(last).remove(store);
        update_head(store, owner, Fields { buckets: last, ..fields }, life);
    }
}

/// The bucket from which another one is split.
fn partner(bucket: u32) -> u32 {
    bucket - (1 << bucket.ilog2())
}

fn home(entry: &Owned, buckets: u32) -> u32 {
    bucket_of(stable_hash(&entry.key), buckets)
}

/// An entry on its way from one record to another.
struct Owned {
    key: Vec<u8>,
    value: Vec<u8>,
    until: i64,
}

fn collect<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<Owned> {
    entries.map(|e| Owned { key: e.key.to_vec(), value: e.value.to_vec(), until: e.until }).collect()
}

/// The entries of a bucket that are to be seen; the others come off the head's counts. They must not meet those of another
/// bucket: an older record of a bucket that was dropped may be back, with entries that have a younger one elsewhere.
fn entries_of(
    store: &Store,
    owner: &Owner,
    bucket: u32,
    life: Option<Life>,
    fields: &mut Fields,
) -> Vec<Owned> {
    let Some(record) = owner.part(bucket).get(store) else { return Vec::new() };
    let seen = bucket_shape(life).entries(record).filter(|entry| {
        let seen = expiry::sees(life, entry.until);
        if !seen {
            *fields = fields.plus(-1, -(entry.range.len() as i64));
        }
        seen
    });
    collect(seen)
}

/// Writes a bucket anew; one without entries is not there.
fn write<'a>(
    store: &mut Store,
    owner: &Owner,
    bucket: u32,
    entries: impl Iterator<Item = &'a Owned> + Clone,
    life: Option<Life>,
) -> Result<(), TooLarge> {
    let part = owner.part(bucket);
    let entries = entries.map(|e| New { key: &e.key, value: &e.value, until: e.until });
    if entries.clone().next().is_none() {
        part.remove(store);
        return Ok(());
    }
    // An average bucket, so that most entries that are still to come change it where it lies.
    part.put(store, &bucket_shape(life).build(&[], entries, TARGET as usize))
}
