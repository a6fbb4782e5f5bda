//! What a map's head says: how many buckets there are, and how much is in them.

/// `buckets` and `count` (4 bytes each), `bytes` (8 bytes).
pub(super) const FIELDS: usize = 16;

/// The head's fields. Where entries expire, `count` and `bytes` are of those that are still there, expired or not, and may
/// be too high.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    /// None as long as the entries are in the head.
    pub(super) buckets: u32,
    /// Entries.
    pub(super) count: u32,
    /// Bytes of the entries.
    pub(super) bytes: u64,
}

impl Fields {
    pub(super) fn read(bytes: &[u8]) -> Fields {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let total = u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes"));
        Fields { buckets: number(0), count: number(4), bytes: total }
    }

    pub(super) fn encode(self) -> [u8; FIELDS] {
        let mut bytes = [0; FIELDS];
        bytes[..4].copy_from_slice(&self.buckets.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8..].copy_from_slice(&self.bytes.to_le_bytes());
        bytes
    }

    /// The same with so many entries and bytes more, or fewer.
    pub(super) fn plus(self, count: i64, bytes: i64) -> Fields {
        let count = i64::from(self.count) + count;
        Fields {
            count: u32::try_from(count.max(0)).expect("a map has fewer than 2^32 entries"),
            bytes: self.bytes.saturating_add_signed(bytes),
            ..self
        }
    }
}
