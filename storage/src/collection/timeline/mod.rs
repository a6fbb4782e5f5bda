//! Timelines: entries ordered by time, those of equal times by insertion, in a B+tree of records.
//!
//! A small timeline lies in its head. A larger one has leaves of about 1 KiB of entries, and inner nodes whose
//! entries are the numbers of their children under the earliest time that was ever inserted there; times before that
//! go to the first child. Nodes are not merged when they are sparse but dropped when they are empty (Johnson and
//! Shasha, JCSS 1993: free-at-empty), which suits what is removed here: everything up to some time.
//!
//! ```
//! # use millstream_storage::{collection::{Owner, timeline}, snapshot::Layout, store::{Store, StoreConfig}};
//! # let mut store = Store::new(StoreConfig::new("doc", 1));
//! use millstream_storage::collection::timeline::{Range, TimelineEntry};
//!
//! let table = store.create_table_of(0, 0, Layout { parts: true, expires: false });
//! let owner = Owner::new(table, b"owner");
//! for time in [30, 10, 20] {
//!     timeline::insert(&mut store, &owner, time, b"tick")?;
//! }
//! assert_eq!(timeline::first(&store, &owner), Some(TimelineEntry { time: 10, value: b"tick" }));
//! assert_eq!(timeline::last(&store, &owner).map(|entry| entry.time), Some(30));
//! let inside: Range<'_> = timeline::range(&store, &owner, 15, 30);
//! assert_eq!(inside.map(|entry| entry.time).collect::<Vec<_>>(), [20, 30]);
//! timeline::clear(&mut store, &owner);
//! assert_eq!(timeline::len(&store, &owner), 0);
//! # Ok::<(), millstream_storage::store::TooLarge>(())
//! ```

mod head;
mod insert;
mod remove;
mod scan;

use super::entry::{Entry, Format, Keys, New};
use super::room::Shape;
use super::{HEAD, Owner, check_entry};
use crate::store::{Store, TooLarge};

use head::{FIELDS, Fields};
pub use scan::{Range, TimelineEntry, first, floor, last, len, range};

/// Bytes of entries that the head holds before there are nodes.
const INLINE: usize = 512;
/// Bytes of entries at which a node is split.
const NODE: usize = 1024;

const HEAD_SHAPE: Shape = Shape { fields: FIELDS, ..NODE_SHAPE };
const NODE_SHAPE: Shape = Shape { format: Format { keys: Keys::Time, expires: false }, fields: 0 };

/// The number of a child in an inner node's entry; that of no node if it is made up.
fn child(entry: &Entry<'_>) -> u32 {
    entry.value.try_into().map_or(HEAD, u32::from_le_bytes)
}

/// The entry of a child in an inner node.
fn child_entry<'a>(time: &'a [u8; 8], number: &'a [u8; 4]) -> New<'a> {
    New { key: time, value: number, until: 0 }
}

/// The number of the root that a head names, and how many levels of nodes there are; nothing if all is in the head.
///
/// ```
/// # use millstream_storage::{collection::{Owner, timeline}, snapshot::Layout, store::{Store, StoreConfig}};
/// # let mut store = Store::new(StoreConfig::new("doc", 1));
/// # let table = store.create_table_of(0, 0, Layout { parts: true, expires: false });
/// let owner = Owner::new(table, b"EUR");
/// for time in 0..500 {
///     timeline::insert(&mut store, &owner, time, b"1.2")?;
/// }
/// let (mut heads, mut leaves) = (Vec::new(), 0);
/// store.for_each(table, |key, record| match key.ends_with(b"\xff\xff\xff\xff") {
///     true => heads.push(timeline::root(record).expect("it is not small")),
///     false => leaves += u32::from(timeline::values_of(key, record).all(|value| value == b"1.2")),
/// });
/// let [(root, height)] = heads[..] else { panic!("there is one timeline") };
/// assert!(height == 2 && leaves > 1);
/// store.for_each(table, |key, record| if key.ends_with(&root.to_le_bytes()) {
///     assert_eq!(timeline::children_of(record).count(), leaves as usize);
/// });
/// # Ok::<(), millstream_storage::store::TooLarge>(())
/// ```
pub fn root(head: &[u8]) -> Option<(u32, u32)> {
    let fields = Fields::read(HEAD_SHAPE.fields(head));
    (fields.height > 0).then_some((fields.root, fields.height))
}

/// The numbers of an inner node's children. A number of fewer than four bytes, which a checksum has excluded, is none.
pub fn children_of(record: &[u8]) -> impl Iterator<Item = u32> {
    let number = |entry: Entry<'_>| entry.value.try_into().ok().map(u32::from_le_bytes);
    NODE_SHAPE.entries(record).filter_map(number)
}

/// The values of one record, head or leaf: for whoever visits the records of a table.
pub fn values_of<'r>(key: &[u8], record: &'r [u8]) -> impl Iterator<Item = &'r [u8]> + use<'r> {
    let shape = if super::is_head(key) { HEAD_SHAPE } else { NODE_SHAPE };
    shape.entries(record).map(|entry| entry.value)
}

/// Adds an entry, behind those of the same time.
///
/// ```
/// # use millstream_storage::{collection::{Owner, timeline}, snapshot::Layout, store::{Store, StoreConfig}};
/// # let mut store = Store::new(StoreConfig::new("doc", 1));
/// # let table = store.create_table_of(0, 0, Layout { parts: true, expires: false });
/// let owner = Owner::new(table, b"EUR");
/// for (time, rate) in [(20, b"1.2"), (10, b"1.1"), (30, b"1.3")] {
///     timeline::insert(&mut store, &owner, time, rate)?;
/// }
/// assert_eq!(timeline::floor(&store, &owner, 25).unwrap().value, b"1.2");
/// timeline::remove(&mut store, &owner, i64::MIN, 20);
/// assert_eq!(timeline::range(&store, &owner, 0, 100).map(|entry| entry.time).collect::<Vec<_>>(), [30]);
/// # Ok::<(), millstream_storage::store::TooLarge>(())
/// ```
///
/// # Errors
/// If the entry has more than [`MAX_ENTRY`](super::MAX_ENTRY) bytes; the timeline is unchanged then.
pub fn insert(store: &mut Store, owner: &Owner, time: i64, value: &[u8]) -> Result<(), TooLarge> {
    let key = time.to_le_bytes();
    let new = New { key: &key, value, until: 0 };
    check_entry(NODE_SHAPE.format.len(new))?;
    insert::insert(store, owner, new, time)
}

/// Removes the entries with times from `from` to `to`, both included, at a cost per node that holds some. Returns how
/// many there were.
pub fn remove(store: &mut Store, owner: &Owner, from: i64, to: i64) -> u64 {
    remove::remove(store, owner, from, to)
}

/// Removes all entries, at a cost per node.
pub fn clear(store: &mut Store, owner: &Owner) {
    remove::remove(store, owner, i64::MIN, i64::MAX);
}
