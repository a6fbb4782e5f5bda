//! A block: the unit of durability. It is checked as a whole, and knows where it belongs.

use crate::disk::SECTOR;

/// Bytes of a block's header: one cache line, so that 32-byte records never straddle two.
pub(crate) const HEADER: usize = 64;
/// The first eight bytes of every block: the format's name and version.
pub(crate) const FORMAT: u64 = u64::from_le_bytes(*b"MSlog\x00\x001");

/// Where a block belongs: what a misdirected or a stale write gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The store that wrote it.
    pub(crate) store: u64,
    /// The epoch of the file that it lies in.
    pub(crate) epoch: u64,
    /// Its position in that file, in bytes.
    pub(crate) offset: u64,
    /// How many blocks lie before it in that file.
    pub(crate) index: u32,
    /// Which of the epoch's files it is: 0 is its checkpoint's, others were written after it.
    pub(crate) part: u32,
}

/// The header of a block. `FORMAT.md` draws it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) format: u64,
    pub(crate) checksum: u32,
    /// Bytes of the block, a multiple of [`SECTOR`].
    pub(crate) len: u32,
    /// Bytes of header and records; zeros follow up to `len`.
    pub(crate) used: u32,
    pub(crate) identity: Identity,
}

impl Header {
    /// A header as it lies in memory before the block's place on disk is known.
    pub(crate) fn unplaced(len: usize, used: usize) -> Header {
        let identity = Identity { store: 0, epoch: 0, offset: 0, index: 0, part: 0 };
        Header { format: FORMAT, checksum: 0, len: len as u32, used: used as u32, identity }
    }

    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &self.format.to_le_bytes());
        put(8, &self.checksum.to_le_bytes());
        put(12, &self.len.to_le_bytes());
        put(16, &self.used.to_le_bytes());
        put(20, &self.identity.index.to_le_bytes());
        put(24, &self.identity.store.to_le_bytes());
        put(32, &self.identity.epoch.to_le_bytes());
        put(40, &self.identity.offset.to_le_bytes());
        put(48, &self.identity.part.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER]) -> Header {
        let half = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let (store, epoch, offset) = (word(24), word(32), word(40));
        let identity = Identity { store, epoch, offset, index: half(20), part: half(48) };
        Header { format: word(0), checksum: half(8), len: half(12), used: half(16), identity }
    }

    /// Whether the lengths can be those of a block: checked before any byte is read by them.
    pub(crate) fn lengths_fit(&self) -> bool {
        let (len, used) = (self.len as usize, self.used as usize);
        len > 0 && len.is_multiple_of(SECTOR) && (HEADER..=len).contains(&used) && used.is_multiple_of(8)
    }
}

/// The checksum of a block: CRC-32 of all its bytes but the checksum's own four.
pub(crate) fn checksum(block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block[..8]);
    hasher.update(&block[12..]);
    hasher.finalize()
}
