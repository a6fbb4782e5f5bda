//! Batches in the order that sorted engines like.

use millstream_bench::store::engine::{add, composite};

/// The keys of a batch in ascending order, each with how often it occurs.
#[derive(Default)]
pub(crate) struct Runs {
    sorted: Vec<u64>,
}

impl Runs {
    /// The runs of a batch.
    pub(crate) fn of(&mut self, keys: &[u64]) -> impl Iterator<Item = (u64, usize)> {
        self.sorted.clear();
        self.sorted.extend_from_slice(keys);
        self.sorted.sort_unstable();
        self.sorted.chunk_by(|a, b| a == b).map(|run| (run[0], run.len()))
    }
}

/// The value of a key after so many updates, put into `value`.
pub(crate) fn updated(value: &mut Vec<u8>, old: Option<&[u8]>, len: usize, key: u64, times: usize) {
    value.clear();
    match old {
        Some(old) => value.extend_from_slice(old),
        None => value.resize(len, 0),
    }
    (0..times).for_each(|_| add(value, key));
}

/// Elements as keys of their own, in ascending order: the key that they belong to, and their number.
pub(crate) fn elements(keys: &[u64], from: u64) -> Vec<([u8; 16], [u8; 8])> {
    let numbered = keys.iter().zip(from..);
    let mut elements: Vec<_> =
        numbered.map(|(&key, number)| (composite(key, number), number.to_le_bytes())).collect();
    elements.sort_unstable();
    elements
}
