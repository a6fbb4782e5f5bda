//! Collections: lists, maps and timelines of a key, kept as records of an ordinary table.
//!
//! Each record's key is the owner's key and, behind it, the number of a part: the head, number 2^32 − 1, tells where everything is, and
//! holds all of a small collection; a larger one has further parts: buckets of a [`map`], chunks of a [`list`], nodes
//! of a [`timeline`]. To the store all of these are plain records, so snapshots, restores on other cores and
//! compaction need to know nothing of collections, but for whose key it is ([`Layout::owner`](crate::snapshot::Layout::owner)).
//!
//! ```
//! use millstream_storage::collection::{MAX_ENTRY, Owner, map, owners};
//! use millstream_storage::snapshot::Layout;
//! use millstream_storage::store::{Store, StoreConfig};
//!
//! let mut store = Store::new(StoreConfig::new("visits", 1));
//! let table = store.create_table_of(0, 0, Layout { parts: true, expires: false });
//! let alice = Owner::new(table, b"alice");
//! map::put(&mut store, &alice, b"home", b"3", None)?;
//! map::put(&mut store, &alice, b"shop", b"1", None)?;
//! assert_eq!(map::get(&store, &alice, b"home", None), Some(&b"3"[..]));
//! assert_eq!(map::iter(&store, &alice, None).count(), 2);
//! assert_eq!(owners(&store, table), [b"alice"]);
//! assert!(map::put(&mut store, &alice, b"all", &[0; MAX_ENTRY], None).is_err());
//! # Ok::<(), millstream_storage::store::TooLarge>(())
//! ```
//!
//! All operations take the [`Life`](crate::expiry::Life) of the table's entries: `None` if they do not expire.
//!
//! In a store with a limit of memory the parts of a collection are evicted like other records. Before a key is worked
//! on, all of its collection must be [in memory](resident_bytes): so that of one key must fit there.

mod entry;
pub mod list;
pub mod map;
mod present;
mod room;
pub mod timeline;

use smallvec::SmallVec;

use crate::hash::stable_hash;
use crate::store::{Store, TableId, TooLarge};

/// The number of the part that tells where the others are.
const HEAD: u32 = u32::MAX;

pub(crate) use present::named_parts;
pub use present::{Kind, resident_bytes};

/// The most bytes of a map's or timeline's entry, so that some fit into any record together.
pub const MAX_ENTRY: usize = 64 << 10;

/// Whose collection: a key in a table.
#[derive(Clone, Debug)]
pub struct Owner {
    table: TableId,
    key: SmallVec<[u8; 64]>,
}

impl Owner {
    /// The collection of `key` in `table`, which must have been made for parts.
    pub fn new(table: TableId, key: &[u8]) -> Owner {
        Owner { table, key: SmallVec::from_slice(key) }
    }

    fn part(&self, number: u32) -> Part {
        let mut key = self.key.clone();
        key.extend_from_slice(&number.to_le_bytes());
        Part { table: self.table, hash: stable_hash(&key), key }
    }

    fn head(&self) -> Part {
        self.part(HEAD)
    }
}

/// The key of one record, ready to be looked up.
struct Part {
    table: TableId,
    hash: u64,
    key: SmallVec<[u8; 64]>,
}

impl Part {
    /// Takes notice that a collection is going to name a part that it did not before: there is none of that number.
    fn is_new(&self, store: &mut Store) {
        store.assume_absent(self.table, self.hash);
    }

    #[inline]
    fn get<'s>(&self, store: &'s Store) -> Option<&'s [u8]> {
        store.get(self.table, self.hash, &self.key)
    }

    #[inline]
    fn get_mut<'s>(&self, store: &'s mut Store) -> Option<&'s mut [u8]> {
        store.get_mut(self.table, self.hash, &self.key)
    }

    fn put(&self, store: &mut Store, value: &[u8]) -> Result<(), TooLarge> {
        store.put(self.table, self.hash, &self.key, value)
    }

    /// Whether the store takes a value of this length.
    fn fits(&self, store: &Store, len: usize) -> Result<(), TooLarge> {
        store.check_size(self.key.len(), len)
    }

    fn remove(&self, store: &mut Store) {
        store.remove(self.table, self.hash, &self.key);
    }
}

/// The keys that own a collection in a table, in an order that depends on nothing but the keys. One whose entries are
/// all expired may be among them.
pub fn owners(store: &Store, table: TableId) -> Vec<Vec<u8>> {
    let mut owners = Vec::new();
    store.for_each(table, |key, _| {
        if is_head(key) {
            owners.push(store.layout(table).owner(key).to_vec());
        }
    });
    owners
}

/// Whether a record's key is that of a collection's head: each key with a collection has one.
///
/// ```
/// # use millstream_storage::collection::is_head;
/// assert!(is_head(b"JFK\xff\xff\xff\xff"));
/// assert!(!is_head(b"JFK\0\0\0\0"));
/// ```
pub fn is_head(key: &[u8]) -> bool {
    key.ends_with(&HEAD.to_le_bytes())
}

/// Refuses an entry that would fill a record alone.
fn check_entry(len: usize) -> Result<(), TooLarge> {
    match len > MAX_ENTRY {
        true => Err(TooLarge { what: "collection's entry", bytes: len, limit: MAX_ENTRY }),
        false => Ok(()),
    }
}
