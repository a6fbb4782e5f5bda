//! How a store is set up, and what it tells of itself.

use crate::disk::SECTOR;
use crate::log::Geometry;

/// What a [`Store`](super::Store) is made with.
///
/// ```
/// use millstream_storage::store::{Store, StoreConfig};
///
/// let small = StoreConfig { segment_bytes: 64 << 10, ..StoreConfig::new("counts-0", 17) };
/// let mut store = Store::new(small);
/// assert_eq!(store.seal(1).bytes(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Names its files: letters, digits, `-`, `_` and `.`; unique in its directory.
    pub name: String,
    /// Written into every block, and checked on restore: unique among the stores of a job.
    pub id: u64,
    /// Bytes of a segment, the unit of memory: a power of two from 16 KiB to 16 MiB.
    pub segment_bytes: usize,
    /// Bytes of a normal block, the unit of checking: a multiple of 4 KiB, at most half a segment.
    pub block_bytes: usize,
    /// The most memory that it may take, in bytes; without a limit nothing is ever evicted.
    pub budget: Option<u64>,
    /// States with numbers from this on stay in memory, whatever the limit: what is needed without being asked for.
    pub pinned_from: Option<u32>,
    /// The epoch of the last seal before it was made, if there was one: its own come after that.
    pub after_epoch: Option<u64>,
}

impl StoreConfig {
    /// The usual sizes: segments of 2 MiB, a huge page each, and blocks of 16 KiB. A block is the least that must
    /// be read to check a record, and its header and padding cost half a percent.
    pub fn new(name: impl Into<String>, id: u64) -> StoreConfig {
        StoreConfig {
            name: name.into(),
            id,
            segment_bytes: 2 << 20,
            block_bytes: 16 << 10,
            budget: None,
            pinned_from: None,
            after_epoch: None,
        }
    }

    /// # Panics
    /// If a size is outside its range, or the name cannot be part of a file name.
    pub(super) fn geometry(&self) -> Geometry {
        let StoreConfig { name, segment_bytes, block_bytes, .. } = self;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(!name.is_empty() && name.chars().all(plain), "a store cannot be named {name:?}");
        let segment_fits = segment_bytes.is_power_of_two() && (16 << 10..=16 << 20).contains(segment_bytes);
        assert!(segment_fits, "a segment cannot have {segment_bytes} bytes");
        let block_fits = block_bytes.is_multiple_of(SECTOR) && (1..=segment_bytes / 2).contains(block_bytes);
        assert!(block_fits, "a block of a segment of {segment_bytes} bytes cannot have {block_bytes}");
        Geometry { shift: segment_bytes.trailing_zeros(), block: *block_bytes }
    }
}

/// Sizes and counts of a store. All in bytes, but for `keys`, `tables`, `files` and `damaged_indexes`.
///
/// ```
/// use millstream_storage::store::{Store, StoreConfig, StoreStats};
///
/// let stats: StoreStats = Store::new(StoreConfig::new("counts", 1)).stats();
/// assert_eq!(stats, StoreStats::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Live tables.
    pub tables: u64,
    /// Keys in all tables.
    pub keys: u64,
    /// Memory of segments, indexes, reads, and of what is known of evicted blocks, together.
    pub memory_bytes: u64,
    /// Memory of the indexes.
    pub index_bytes: u64,
    /// Length of the log, in memory and evicted.
    pub log_bytes: u64,
    /// Of it, what was evicted.
    pub evicted_bytes: u64,
    /// Memory of reads that are under way or held.
    pub read_bytes: u64,
    /// Records in the log that are the newest of their key.
    pub live_bytes: u64,
    /// Records appended by operations, since the store was made.
    pub appended_bytes: u64,
    /// Records appended by compaction: `compacted / appended` is what compaction adds to every byte written.
    pub compacted_bytes: u64,
    /// Records appended because they were evicted and needed again.
    pub fetched_bytes: u64,
    /// Bytes written to disk: `written / appended` is the write amplification.
    pub written_bytes: u64,
    /// Bytes asked to be read from disk.
    pub requested_bytes: u64,
    /// Durable delta files that a checkpoint must name.
    pub files: u64,
    /// Indexes of files that were damaged when the store was restored: those files were read as a whole.
    pub damaged_indexes: u64,
}
