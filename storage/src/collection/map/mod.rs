//! Maps: all entries in the head while they are small, or else in buckets of about 384 bytes, by linear hashing
//! (Litwin, VLDB 1980): a map of n buckets grows by splitting one of them, and shrinks by merging two, so no operation
//! ever moves the whole map.
//!
//! The bucket of a key is told by the low bits of its [`stable_hash`]: with 2^k ≤ n < 2^(k+1) by k + 1 of them where that
//! is a bucket, or else by k. A missing bucket is an empty one. Iteration goes by ascending
//! [`order`] of the keys: it depends on nothing but which keys there are.
//!
//! ```
//! # use millstream_storage::{collection::{Owner, map}, snapshot::Layout, store::{Store, StoreConfig}};
//! # let mut store = Store::new(StoreConfig::new("doc", 1));
//! use millstream_storage::collection::map::MapEntry;
//! use millstream_storage::expiry::Life;
//!
//! let table = store.create_table_of(0, 0, Layout { parts: true, expires: true });
//! let owner = Owner::new(table, b"owner");
//! let at = |now| Life { now, until: now + 10 };
//! map::put(&mut store, &owner, b"key", b"1", Some(at(0)))?;
//! map::get_mut(&mut store, &owner, b"key", Some(at(5))).expect("it was put")[0] = b'2';
//! assert_eq!(map::until(&store, &owner, b"key", at(5)), Some(15));
//! map::touch(&mut store, &owner, b"key", at(7));
//! let entry = MapEntry { key: b"key", value: b"2", until: 17 };
//! assert_eq!(map::iter(&store, &owner, Some(at(16))).collect::<Vec<_>>(), [entry]);
//! assert_eq!(map::len(&store, &owner, Some(at(17))), 0);
//! assert!(map::remove(&mut store, &owner, b"key", Some(at(16))));
//! map::clear(&mut store, &owner, Some(at(16)));
//! # Ok::<(), millstream_storage::store::TooLarge>(())
//! ```

mod head;
mod iter;
mod resize;

use std::ops::Range;

use super::entry::{Entry, Format, Keys, New};
use super::room::Shape;
use super::{Owner, Part, check_entry};
use crate::expiry::{self, Life};
use crate::hash::stable_hash;
use crate::store::{Store, TooLarge};

use head::{FIELDS, Fields};
pub use iter::{MapEntry, iter};

/// Bytes of entries that the head holds before there are buckets.
const INLINE: usize = 512;
/// Bytes of entries that a bucket has on average before one is split.
const TARGET: u64 = 384;

/// Keys are visited by ascending `order`, equal ones by ascending bytes.
///
/// ```
/// # use millstream_storage::collection::map::order;
/// use millstream_storage::hash::stable_hash;
/// assert_eq!(order(b"key"), stable_hash(b"key").reverse_bits());
/// ```
#[inline]
pub fn order(key: &[u8]) -> u64 {
    order_of_hash(stable_hash(key))
}

/// What the low bits of a hash tell first comes first: a bucket's keys are neighbours.
#[inline]
fn order_of_hash(hash: u64) -> u64 {
    hash.reverse_bits()
}

fn head_shape(life: Option<Life>) -> Shape {
    shape_of_head(life.is_some())
}

fn bucket_shape(life: Option<Life>) -> Shape {
    Shape { fields: 0, ..head_shape(life) }
}

fn shape_of_head(expires: bool) -> Shape {
    Shape { format: Format { keys: Keys::Bytes, expires }, fields: FIELDS }
}

/// The numbers of the buckets that a head names.
pub(super) fn named(head: &[u8], expires: bool) -> impl Iterator<Item = u32> + use<> {
    0..Fields::read(shape_of_head(expires).fields(head)).buckets
}

/// The keys and values of one record, head or bucket, whatever has expired: for whoever visits the records of a table.
///
/// ```
/// # use millstream_storage::{collection::{Owner, map}, snapshot::Layout, store::{Store, StoreConfig}};
/// # let mut store = Store::new(StoreConfig::new("doc", 1));
/// # let table = store.create_table_of(0, 0, Layout { parts: true, expires: false });
/// map::put(&mut store, &Owner::new(table, b"owner"), b"key", b"value", None)?;
/// store.for_each(table, |key, value| {
///     assert_eq!(map::entries_of(key, value, false).collect::<Vec<_>>(), [(&b"key"[..], &b"value"[..])]);
/// });
/// # Ok::<(), millstream_storage::store::TooLarge>(())
/// ```
pub fn entries_of<'r>(
    key: &[u8],
    record: &'r [u8],
    expires: bool,
) -> impl Iterator<Item = (&'r [u8], &'r [u8])> + use<'r> {
    let head = super::is_head(key);
    let shape = Shape { fields: if head { FIELDS } else { 0 }, ..shape_of_head(expires) };
    shape.entries(record).map(|entry| (entry.key, entry.value))
}

/// The bucket of a hash among `buckets`.
#[inline]
fn bucket_of(hash: u64, buckets: u32) -> u32 {
    let mask = (u64::from(buckets).next_power_of_two() - 1) as u32;
    let bucket = hash as u32 & mask;
    if bucket < buckets { bucket } else { bucket & (mask >> 1) }
}

/// The record in which a key is, if it is anywhere, and how that is laid out.
struct Home {
    part: Part,
    shape: Shape,
    fields: Fields,
}

impl Home {
    #[inline]
    fn find(store: &Store, owner: &Owner, key: &[u8], life: Option<Life>) -> Option<Home> {
        let (head, shape) = (owner.head(), head_shape(life));
        let fields = Fields::read(shape.fields(head.get(store)?));
        Some(match fields.buckets {
            0 => Home { part: head, shape, fields },
            n => {
                let part = owner.part(bucket_of(stable_hash(key), n));
                Home { part, shape: bucket_shape(life), fields }
            }
        })
    }

    /// The entry of a key, expired or not.
    #[inline]
    fn entry<'s>(&self, store: &'s Store, key: &[u8]) -> Option<Entry<'s>> {
        self.shape.entries(self.part.get(store)?).find(|entry| entry.key == key)
    }
}

/// The value of a key.
///
/// ```
/// # use millstream_storage::{collection::{Owner, map}, snapshot::Layout, store::{Store, StoreConfig}};
/// # let mut store = Store::new(StoreConfig::new("doc", 1));
/// # let table = store.create_table_of(0, 0, Layout { parts: true, expires: false });
/// # let owner = Owner::new(table, b"owner");
/// assert!(map::put(&mut store, &owner, b"key", b"value", None)?);
/// assert_eq!(map::get(&store, &owner, b"key", None), Some(&b"value"[..]));
/// assert_eq!(map::get(&store, &owner, b"none", None), None);
/// # Ok::<(), millstream_storage::store::TooLarge>(())
/// ```
#[inline]
pub fn get<'s>(store: &'s Store, owner: &Owner, key: &[u8], life: Option<Life>) -> Option<&'s [u8]> {
    let entry = Home::find(store, owner, key, life)?.entry(store, key)?;
    expiry::sees(life, entry.until).then_some(entry.value)
}

/// The value of a key, to be changed within its length, which prolongs its life.
pub fn get_mut<'s>(
    store: &'s mut Store,
    owner: &Owner,
    key: &[u8],
    life: Option<Life>,
) -> Option<&'s mut [u8]> {
    let home = Home::find(store, owner, key, life)?;
    let entry = home.entry(store, key).filter(|entry| expiry::sees(life, entry.until))?;
    let value = entry.value_range();
    if let Some(life) = life {
        let place = entry.until_range();
        let record = home.part.get_mut(store)?;
        home.shape.bytes_mut(record, place).copy_from_slice(&life.until.to_le_bytes());
        home.shape.live_until(record, life.until);
        prolong(store, owner, Some(life));
    }
    let record = home.part.get_mut(store)?;
    Some(home.shape.bytes_mut(record, value))
}

/// Sets the value of a key. Returns whether it was absent.
///
/// # Errors
/// If the entry has more than [`MAX_ENTRY`](super::MAX_ENTRY) bytes, or its bucket has no room for it: both say so
/// with the length; the map is unchanged then.
pub fn put(
    store: &mut Store,
    owner: &Owner,
    key: &[u8],
    value: &[u8],
    life: Option<Life>,
) -> Result<bool, TooLarge> {
    let new = New { key, value, until: life.map_or(0, |life| life.until) };
    let shape = head_shape(life);
    let len = shape.format.len(new);
    check_entry(len)?;
    let Some(home) = Home::find(store, owner, key, life) else {
        let fields = Fields { buckets: 0, count: 1, bytes: len as u64 };
        let head = shape.build(&fields.encode(), [new].into_iter(), 0);
        return owner.head().put(store, &head).map(|()| true);
    };
    let old = home.entry(store, key);
    let absent = !old.as_ref().is_some_and(|old| expiry::sees(life, old.until));
    match old {
        Some(old) if old.value.len() == value.len() => {
            let (place, until) = (old.value_range(), life.map(|_| old.until_range()));
            overwrite(store, &home, new, place, until);
            prolong(store, owner, life);
        }
        old => {
            let fields = insert(store, &home, new, old.map(|old| old.range), life)?;
            update_head(store, owner, fields, life);
            resize::after_put(store, owner, fields, life)?;
        }
    }
    Ok(absent)
}

/// Writes a value over one of the same length.
fn overwrite(store: &mut Store, home: &Home, new: New<'_>, place: Range<usize>, until: Option<Range<usize>>) {
    let record = home.part.get_mut(store).expect("it was read");
    home.shape.bytes_mut(record, place).copy_from_slice(new.value);
    if let Some(until) = until {
        home.shape.bytes_mut(record, until).copy_from_slice(&new.until.to_le_bytes());
    }
    home.shape.live_until(record, new.until);
}

/// Adds an entry to its record, and takes the old one of its key out. Returns what the head then has to say.
fn insert(
    store: &mut Store,
    home: &Home,
    new: New<'_>,
    old: Option<Range<usize>>,
    life: Option<Life>,
) -> Result<Fields, TooLarge> {
    let Home { part, shape, fields } = home;
    let len = shape.format.len(new);
    let Some(record) = part.get(store) else {
        part.put(store, &shape.build(&[], [new].into_iter(), 0))?;
        return Ok(fields.plus(1, len as i64));
    };
    let used = shape.used(record);
    let freed = old.as_ref().map_or(0, ExactSizeIterator::len);
    if used - freed + len <= shape.room(record) {
        let record = part.get_mut(store).expect("it was read");
        if let Some(old) = old {
            shape.cut(record, old);
        }
        shape.insert(record, used - freed, new);
        return Ok(fields.plus(i64::from(freed == 0), len as i64 - freed as i64));
    }
    let before = shape.entries(record).count();
    let stays = |entry: &Entry<'_>| entry.key != new.key && expiry::sees(life, entry.until);
    let after = shape.grow(store, part, new, stays)? + 1;
    let grown = part.get(store).expect("it was written");
    Ok(fields.plus(after as i64 - before as i64, shape.used(grown) as i64 - used as i64))
}

/// Removes a key. Returns whether it was present.
pub fn remove(store: &mut Store, owner: &Owner, key: &[u8], life: Option<Life>) -> bool {
    let Some(home) = Home::find(store, owner, key, life) else { return false };
    let Some(entry) = home.entry(store, key) else { return false };
    let (range, seen) = (entry.range.clone(), expiry::sees(life, entry.until));
    let fields = home.fields.plus(-1, -(range.len() as i64));
    // Where entries expire the count may be off: records that were dropped come off it late, or twice.
    if fields.count == 0 && iter(store, owner, life).all(|entry| entry.key == key) {
        clear(store, owner, life);
        return seen;
    }
    let record = home.part.get_mut(store).expect("it was read");
    home.shape.cut(record, range);
    if home.shape.used(record) == 0 && fields.buckets > 0 {
        home.part.remove(store);
    }
    update_head(store, owner, fields, life);
    resize::after_remove(store, owner, fields, life);
    seen
}

/// The number of entries: O(1) where nothing expires, or else O(entries).
pub fn len(store: &Store, owner: &Owner, life: Option<Life>) -> u64 {
    match (owner.head().get(store), life) {
        (None, _) => 0,
        (Some(head), None) => u64::from(Fields::read(head_shape(None).fields(head)).count),
        (Some(_), Some(_)) => iter(store, owner, life).count() as u64,
    }
}

/// Removes all entries, at a cost per bucket.
pub fn clear(store: &mut Store, owner: &Owner, life: Option<Life>) {
    let (head, shape) = (owner.head(), head_shape(life));
    let Some(record) = head.get(store) else { return };
    let fields = Fields::read(shape.fields(record));
    head.remove(store);
    (0..fields.buckets).for_each(|bucket| owner.part(bucket).remove(store));
}

/// Until when a key's entry lives, if it has one that is to be seen.
pub fn until(store: &Store, owner: &Owner, key: &[u8], life: Life) -> Option<i64> {
    let entry = Home::find(store, owner, key, Some(life))?.entry(store, key)?;
    life.sees(entry.until).then_some(entry.until)
}

/// Gives a key's entry until then to live, as reading it does where reading prolongs.
pub fn touch(store: &mut Store, owner: &Owner, key: &[u8], life: Life) {
    get_mut(store, owner, key, Some(life));
}

fn update_head(store: &mut Store, owner: &Owner, fields: Fields, life: Option<Life>) {
    let shape = head_shape(life);
    let record = owner.head().get_mut(store);
    shape.fields_mut(record.expect("a map has a head")).copy_from_slice(&fields.encode());
    prolong(store, owner, life);
}

/// Lets the head live as long as what was written, where entries expire.
fn prolong(store: &mut Store, owner: &Owner, life: Option<Life>) {
    let Some(life) = life else { return };
    let head = owner.head();
    if head.get(store).is_some_and(|record| expiry::until(record) < life.until) {
        expiry::set_until(head.get_mut(store).expect("it was read"), life.until);
    }
}
