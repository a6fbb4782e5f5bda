//! What a replay has done, as a number: two replays with the same one have read and put out the same, in the same order.

use millstream_storage::hash::stable_hash;

/// The rolling hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trace(u64);

impl Trace {
    /// Adds something that consists of these parts.
    pub(super) fn note(&mut self, parts: &[&[u8]]) {
        let mut bytes = self.0.to_le_bytes().to_vec();
        for part in parts {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        self.0 = stable_hash(&bytes);
    }

    pub(super) fn hash(self) -> u64 {
        self.0
    }
}
