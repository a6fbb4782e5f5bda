//! What a checkpoint's manifest says of one store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Damage;
use crate::expiry::UNTIL;

/// The version of [`StoreSnapshot`] and of the files that it names.
pub const FORMAT: u32 = 1;

/// Bytes of a part's number behind its owner's key.
pub(crate) const PART_NUMBER: usize = size_of::<u32>();

/// One store at one epoch: which files hold it, and which tables in them are alive.
///
/// ```
/// # use std::rc::Rc;
/// # use millstream_storage::disk::{StdDisk, block_on};
/// use millstream_storage::snapshot::{DeltaFile, FORMAT, Layout, StoreSnapshot, TableEntry, file_name};
/// # use millstream_storage::hash::stable_hash;
/// # use millstream_storage::store::{Store, StoreConfig};
/// # let dir = tempfile::tempdir()?;
///
/// let mut store = Store::new(StoreConfig::new("counts", 1));
/// let table = store.create_table(3, 0);
/// store.put(table, stable_hash(b"JFK"), b"JFK", b"1")?;
/// let snapshot: StoreSnapshot = block_on(store.seal(7).write(Rc::new(StdDisk), dir.path().to_owned()))?;
///
/// assert_eq!((snapshot.format, snapshot.epoch), (FORMAT, 7));
/// assert_eq!(snapshot.tables, [TableEntry { id: 0, state: 3, namespace: 0, layout: Layout::PLAIN, keys: 1 }]);
/// let DeltaFile { name, bytes, .. } = &snapshot.files[0];
/// assert_eq!(*name, file_name("counts", 7, 0));
/// assert_eq!(dir.path().join(name).metadata()?.len(), *bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSnapshot {
    /// [`FORMAT`] when it was written.
    pub format: u32,
    /// The store's name.
    pub name: String,
    /// The store's id.
    pub store_id: u64,
    /// The epoch of the seal.
    pub epoch: u64,
    /// The delta files that hold the state, oldest first.
    pub files: Vec<DeltaFile>,
    /// The live tables, by id. Records of others are dead.
    pub tables: Vec<TableEntry>,
    /// The number that the next new table gets.
    pub next_table: u32,
    /// What the owner keeps with the state.
    pub meta: BTreeMap<String, String>,
}

/// A delta file: the blocks that one store sealed in one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeltaFile {
    /// Its name in the checkpoints' directory.
    pub name: String,
    /// The epoch that it was written for.
    pub epoch: u64,
    /// The length of its blocks.
    pub bytes: u64,
    /// How many blocks it has.
    pub blocks: u32,
    /// The id of the store that wrote it: not always that of the store which names it now.
    pub store_id: u64,
    /// 0 for the file of the epoch's checkpoint; those that were written between it and the next one are numbered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub part: u32,
    /// What lies behind the blocks, if there is an index of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<FileIndex>,
}

impl DeltaFile {
    /// Its length on disk: that of its blocks, and of its index.
    pub fn file_bytes(&self) -> u64 {
        self.bytes.saturating_add(self.index.map_or(0, |index| index.bytes))
    }
}

/// The index of a [`DeltaFile`]: by it a state larger than memory is restored without reading its records.
///
/// ```
/// # use std::rc::Rc;
/// # use millstream_storage::disk::{StdDisk, block_on};
/// use millstream_storage::snapshot::{DeltaFile, FileIndex};
/// # use millstream_storage::hash::stable_hash;
/// # use millstream_storage::store::{Store, StoreConfig};
/// # let dir = tempfile::tempdir()?;
///
/// let mut store = Store::new(StoreConfig { budget: Some(64 << 20), ..StoreConfig::new("counts", 1) });
/// let table = store.create_table(0, 0);
/// for n in 0..100_u32 {
///     store.put(table, stable_hash(&n.to_le_bytes()), &n.to_le_bytes(), &[0; 1000])?;
/// }
/// let snapshot = block_on(store.seal(7).write(Rc::new(StdDisk), dir.path().to_owned()))?;
/// let file: &DeltaFile = &snapshot.files[0];
/// let index: FileIndex = file.index.expect("stores with a limit of memory write one, where it is worth its bytes");
/// assert!(index.bytes * 8 <= file.bytes);
/// assert_eq!(dir.path().join(&file.name).metadata()?.len(), file.file_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileIndex {
    /// Its length: it lies behind the blocks of the file, up to the file's end.
    pub bytes: u64,
    /// The seed of its second hashes. Indexes of different seeds say nothing about each other's keys.
    pub seed: u64,
    /// Whether a restore has found it damaged: it is not read again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

fn is_zero(part: &u32) -> bool {
    *part == 0
}

fn is_none(keys: &u64) -> bool {
    *keys == 0
}

/// A live table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableEntry {
    /// Its number in the records.
    pub id: u32,
    /// The state that it belongs to.
    pub state: u32,
    /// The window slice, or 0.
    pub namespace: i64,
    /// How its records are laid out. Plain ones need no mention.
    #[serde(default, skip_serializing_if = "Layout::is_plain")]
    pub layout: Layout,
    /// How many keys it has: how large an index a restore makes. A wrong number costs time or memory, nothing else.
    #[serde(default, skip_serializing_if = "is_none")]
    pub keys: u64,
}

/// What a table's records are, as far as those must know who do not read the values: restore and compaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Each key is an owner's with the number of a part behind it: the records of a
    /// collection.
    pub parts: bool,
    /// Each value begins with the time from which on it is dead; see [`expiry`](crate::expiry).
    pub expires: bool,
}

impl Layout {
    /// A record per key, alive until it is removed.
    ///
    /// ```
    /// use millstream_storage::snapshot::Layout;
    /// let parts = Layout { parts: true, ..Layout::PLAIN };
    /// assert!(Layout::PLAIN.is_plain() && !parts.is_plain());
    /// assert_eq!((parts.owner(b"key\x07\0\0\0"), Layout::PLAIN.owner(b"key")), (&b"key"[..], &b"key"[..]));
    /// ```
    pub const PLAIN: Layout = Layout { parts: false, expires: false };

    /// Whether this is [`Layout::PLAIN`].
    pub fn is_plain(&self) -> bool {
        *self == Layout::PLAIN
    }

    /// Whether a record of these lengths can be one of this layout. Checksums do not say who has written it.
    pub(crate) fn check(&self, key: usize, value: Option<usize>) -> Result<(), Damage> {
        if self.parts && key < PART_NUMBER {
            return Err(Damage::Malformed(format!(
                "a key of {key} bytes has no room for the number of a part"
            )));
        }
        match value.filter(|value| self.expires && *value < UNTIL) {
            Some(value) => {
                Err(Damage::Malformed(format!("a value of {value} bytes has no room for its end")))
            }
            None => Ok(()),
        }
    }

    /// The owner's key in a record's key: what decides where the record belongs.
    pub fn owner<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        match self.parts {
            true => &key[..key.len().saturating_sub(PART_NUMBER)],
            false => key,
        }
    }
}

/// The name of the file that a store writes for an epoch, or of one that it writes after that epoch's.
///
/// ```
/// # use millstream_storage::snapshot::file_name;
/// assert_eq!(file_name("counts", 7, 0), "counts-0000000007.log");
/// ```
pub fn file_name(store: &str, epoch: u64, part: u32) -> String {
    match part {
        0 => format!("{store}-{epoch:010}.log"),
        _ => format!("{store}-s{part:04}-{epoch:010}.log"),
    }
}
