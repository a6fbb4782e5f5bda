//! The hybrid log: records in segments of memory, in the order they were written.
//!
//! An address names a segment's slot and a byte in it; slots are recycled, addresses are therefore not ordered,
//! and every segment carries its place in the log as a sequence number. Above the seal line records may change
//! where they lie; below it their bytes are fixed, because a checkpoint may be writing them.
//!
//! All access to segment memory goes through raw pointers, and no reference to a whole segment exists: while the
//! store appends to a block, the blocks before it in the same segment may be on their way to disk.

pub(crate) mod absent;
pub(crate) mod append;
pub(crate) mod block;
pub(crate) mod evict;
pub(crate) mod pending;
pub(crate) mod record;
pub(crate) mod segments;

use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;
use std::slice;

use crate::hash::stable_hash;
use append::Tail;
use pending::Pending;
use record::Header;
use segments::Segment;

/// Bits of an address; the index keeps its tag in the others.
pub(crate) const ADDRESS_BITS: u32 = 48;
/// Bits of a stamp below the generation: an offset in the largest segment, its end included.
const STAMP_BITS: u32 = 25;

/// The stamp of segments in which nothing changes any more, whatever the generation.
const FROZEN: u64 = u64::MAX;

/// Where a record lies: the segment's slot above `shift` bits, its byte offset below.
pub(crate) type Address = u64;

/// What the record path needs of a segment.
#[derive(Clone, Copy)]
struct Place {
    /// Null if the segment's memory was given up.
    base: *mut u8,
    /// The generation in which the segment was last the tail, and its first byte above the seal line then.
    stamp: u64,
}

/// How the log is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    /// Segments have `1 << shift` bytes.
    pub(crate) shift: u32,
    /// Bytes of a normal block.
    pub(crate) block: usize,
}

impl Geometry {
    pub(crate) fn segment(&self) -> usize {
        1 << self.shift
    }

    /// The largest record that fits into a segment, in bytes.
    pub(crate) fn largest_record(&self) -> usize {
        self.segment() - block::HEADER
    }
}

/// The log of one store.
pub(crate) struct Log {
    geometry: Geometry,
    places: Vec<Place>,
    segments: Vec<Option<Segment>>,
    /// Slots of `segments` that are free.
    free: Vec<u32>,
    /// Live segments by sequence number: the order of the log.
    order: BTreeMap<u64, u32>,
    /// The sequence numbers of those that are in memory.
    resident: BTreeSet<u64>,
    /// How many are not.
    evicted: usize,
    /// Bytes of what is known of those.
    evicted_places: usize,
    next_sequence: u64,
    /// The number of seals, in the bits above a stamp's offset.
    generation: u64,
    tail: Tail,
    pub(crate) pending: Pending,
    /// Sequence numbers of the segments freed since they were last asked for.
    freed: Vec<u64>,
    /// Memory of freed segments, kept for the next ones.
    spare: Vec<std::sync::Arc<crate::memory::Pages>>,
    live_bytes: u64,
}

impl Log {
    pub(crate) fn new(geometry: Geometry) -> Log {
        Log {
            geometry,
            places: Vec::new(),
            segments: Vec::new(),
            free: Vec::new(),
            order: BTreeMap::new(),
            resident: BTreeSet::new(),
            evicted: 0,
            evicted_places: 0,
            next_sequence: 0,
            generation: 0,
            tail: Tail::none(),
            pending: Pending::default(),
            freed: Vec::new(),
            spare: Vec::new(),
            live_bytes: 0,
        }
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    #[inline]
    pub(crate) fn slot_of(&self, address: Address) -> u32 {
        (address >> self.geometry.shift) as u32
    }

    #[inline]
    pub(crate) fn offset_of(&self, address: Address) -> u32 {
        address as u32 & ((1 << self.geometry.shift) - 1)
    }

    /// Where a record lies in memory; if it was evicted, an address that must not be used. The index hands out
    /// addresses of records only.
    #[inline]
    pub(crate) fn pointer(&self, address: Address) -> *mut u8 {
        let place = &self.places[self.slot_of(address) as usize];
        place.base.wrapping_add(self.offset_of(address) as usize)
    }

    /// Whether a record lies above the seal line.
    #[inline]
    pub(crate) fn is_mutable(&self, address: Address) -> bool {
        let offset = u64::from(self.offset_of(address));
        let stamp = self.places[self.slot_of(address) as usize].stamp;
        // One comparison for "stamped in this generation, and not above the offset".
        (self.generation | offset).wrapping_sub(stamp) <= offset
    }

    #[inline]
    pub(crate) fn header(&self, address: Address) -> Header {
        // SAFETY: a live address names a record, which starts with its header, 8-byte aligned and initialised.
        Header::from_word(unsafe { self.pointer(address).cast::<u64>().read() })
    }

    #[inline]
    pub(crate) fn key(&self, address: Address) -> &[u8] {
        let key_len = self.header(address).key_len();
        // SAFETY: the key follows the header; keys never change, and segments outlive `&self` borrows because
        // freeing one takes `&mut self`.
        unsafe { slice::from_raw_parts(self.pointer(address).add(record::HEADER), key_len) }
    }

    /// Whether the record at an address is in memory and has this key.
    #[inline]
    pub(crate) fn key_is(&self, address: Address, key: &[u8]) -> bool {
        !self.is_evicted(address) && self.key(address) == key
    }

    /// The value of a record.
    #[inline]
    pub(crate) fn value(&self, address: Address) -> &[u8] {
        let (start, len) = self.value_parts(address);
        // SAFETY: the value lies in the record; changing it takes `&mut self`.
        unsafe { slice::from_raw_parts(start.as_ptr(), len) }
    }

    /// The value of a record above the seal line, to be changed.
    #[inline]
    pub(crate) fn value_mut(&mut self, address: Address) -> &mut [u8] {
        debug_assert!(self.is_mutable(address), "a sealed record was about to be changed");
        let (start, len) = self.value_parts(address);
        // SAFETY: the record lies above the seal line, so no write to disk reads it, and `&mut self` excludes
        // every other borrow of it.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) }
    }

    #[inline]
    fn value_parts(&self, address: Address) -> (NonNull<u8>, usize) {
        let header = self.header(address);
        let skip = record::HEADER + header.key_len().next_multiple_of(8);
        // SAFETY: the value lies behind header and padded key, inside the same segment.
        let start = unsafe { self.pointer(address).add(skip) };
        (NonNull::new(start).expect("segments do not start at address zero"), header.value_len())
    }

    /// The hash of a record's key. It is not stored: computing it costs less than eight more bytes per record.
    #[inline]
    pub(crate) fn hash(&self, address: Address) -> u64 {
        stable_hash(self.key(address))
    }

    /// Turns a record above the seal line into a tombstone.
    pub(crate) fn bury_in_place(&mut self, address: Address) {
        debug_assert!(self.is_mutable(address), "a sealed record was about to be changed");
        let header = self.header(address).into_tombstone();
        // SAFETY: as in `value_mut`.
        unsafe { self.pointer(address).cast::<u64>().write(header.word()) }
    }
}
