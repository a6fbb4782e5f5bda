//! A frame: the unit of a log. It is checked as a whole, and knows where it belongs.

use crate::disk::SharedBytes;
use crate::error::Damage;
use crate::planted;

use super::error::TopicError;

/// Bytes of a frame's header.
pub(super) const HEADER: usize = 96;
/// The first eight bytes of every frame: the format's name and version.
const FORMAT: u64 = u64::from_le_bytes(*b"MStop\x00\x001");
/// The most bytes of a payload, padding included. Bounds what is read by a length before its checksum is known.
pub(super) const MOST_PAYLOAD: usize = 64 << 20;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A batch of records.
    Records = 1,
    /// Nothing: it only says how much is durable. The next group is written over it.
    Mark = 2,
    /// A decision about transactions, in JSON.
    Decision = 3,
}

/// Where a frame belongs: what a misdirected or a stale write gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic: u64,
    pub(super) partition: u32,
    /// Of the file, unique within the partition.
    pub(super) generation: u64,
    /// In the file, in bytes.
    pub(super) position: u64,
}

/// What a frame says besides its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) kind: Kind,
    /// Bytes of the payload, a multiple of 8.
    pub(super) len: u32,
    pub(super) payload_checksum: u32,
    /// Records in it.
    pub(super) count: u32,
    /// Of its first record.
    pub(super) offset: u64,
    /// The transaction that it belongs to, or 0.
    pub(super) transaction: u64,
    pub(super) first_time: i64,
    pub(super) greatest_time: i64,
}

impl Meta {
    /// A frame without records.
    pub(super) fn plain(kind: Kind, offset: u64, payload: &[u8]) -> Meta {
        Meta {
            kind,
            len: payload.len() as u32,
            payload_checksum: crc32fast::hash(payload),
            count: 0,
            offset,
            transaction: 0,
            first_time: 0,
            greatest_time: i64::MIN,
        }
    }

    /// The offset behind its last record.
    pub(super) fn end_offset(&self) -> u64 {
        self.offset + u64::from(self.count)
    }

    /// Bytes of the whole frame.
    pub(super) fn bytes(&self) -> u64 {
        HEADER as u64 + u64::from(self.len)
    }
}

/// A frame that is to be written.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) meta: Meta,
    pub(super) payload: SharedBytes,
}

impl Frame {
    /// Appends the frame to a group that begins where `synced` bytes of its file are durable.
    pub(super) fn encode(&self, place: Place, synced: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&header(&self.meta, place, synced));
        out.extend_from_slice(&self.payload);
    }
}

/// The header of a frame.
pub(super) fn header(meta: &Meta, place: Place, synced: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &FORMAT.to_le_bytes());
    put(12, &meta.payload_checksum.to_le_bytes());
    put(16, &meta.len.to_le_bytes());
    put(20, &meta.count.to_le_bytes());
    put(24, &place.topic.to_le_bytes());
    put(32, &place.partition.to_le_bytes());
    put(36, &(meta.kind as u32).to_le_bytes());
    put(40, &place.generation.to_le_bytes());
    put(48, &place.position.to_le_bytes());
    put(56, &meta.offset.to_le_bytes());
    put(64, &meta.transaction.to_le_bytes());
    put(72, &synced.to_le_bytes());
    put(80, &meta.first_time.to_le_bytes());
    put(88, &meta.greatest_time.to_le_bytes());
    let checksum = checksum(&bytes);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// CRC-32 of a header but for its own four bytes.
fn checksum(header: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..8]);
    hasher.update(&header[12..]);
    hasher.finalize()
}

/// Reads a header, and how many bytes of the file were durable when it was written.
pub(super) fn parse(bytes: &[u8; HEADER], place: Place) -> Result<(Meta, u64), Damage> {
    let half = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    if word(0) != FORMAT {
        return Err(Damage::Format { found: word(0), expected: FORMAT });
    }
    let (found, computed) = (half(8), checksum(bytes));
    if found != computed {
        return Err(Damage::Checksum { found, computed });
    }
    let fields = [
        ("topic", word(24), place.topic),
        ("partition", u64::from(half(32)), u64::from(place.partition)),
        ("generation", word(40), place.generation),
        ("position", word(48), place.position),
    ];
    if let Some((field, found, expected)) = fields.into_iter().find(|(_, found, expected)| found != expected)
    {
        return Err(Damage::Misplaced { field, found, expected });
    }
    let kind = match half(36) {
        1 => Kind::Records,
        2 => Kind::Mark,
        3 => Kind::Decision,
        other => return Err(Damage::Malformed(format!("frames of kind {other} are not known"))),
    };
    let meta = Meta {
        kind,
        len: half(16),
        payload_checksum: half(12),
        count: half(20),
        offset: word(56),
        transaction: word(64),
        first_time: word(80) as i64,
        greatest_time: word(88) as i64,
    };
    if meta.len as usize > MOST_PAYLOAD || !meta.len.is_multiple_of(8) {
        return Err(Damage::Malformed(format!("a payload cannot have {} bytes", meta.len)));
    }
    if meta.offset.checked_add(u64::from(meta.count)).is_none() {
        let (offset, count) = (meta.offset, meta.count);
        return Err(Damage::Malformed(format!("{count} records cannot begin with offset {offset}")));
    }
    Ok((meta, word(72)))
}

/// Whether a payload is what its header says.
pub(super) fn verify(meta: &Meta, payload: &[u8]) -> Result<(), Damage> {
    let (found, computed) = (meta.payload_checksum, crc32fast::hash(payload));
    if found == computed || planted!(torn_tail_accepted) {
        return Ok(());
    }
    Err(Damage::Checksum { found, computed })
}

/// Refuses a payload that no frame can hold.
pub(super) fn check_size(bytes: usize) -> Result<(), TopicError> {
    if bytes > MOST_PAYLOAD { Err(TopicError::TooLarge { bytes, most: MOST_PAYLOAD }) } else { Ok(()) }
}
