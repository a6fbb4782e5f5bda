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

use head::FIELDS;
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
