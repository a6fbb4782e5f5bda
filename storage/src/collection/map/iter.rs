//! Visiting a map: bucket by bucket, in the order of their keys.

use super::head::Fields;
use super::{bucket_shape, head_shape, order};
use crate::collection::Owner;
use crate::collection::entry::Entry;
use crate::collection::room::Shape;
use crate::expiry::{self, Life};
use crate::store::Store;

/// One entry of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapEntry<'s> {
    /// The key.
    pub key: &'s [u8],
    /// The value.
    pub value: &'s [u8],
    /// Until when it lives; for ever where nothing expires.
    pub until: i64,
}

/// The entries, by ascending [`order`] of their keys, at a cost per entry.
pub fn iter<'s>(
    store: &'s Store,
    owner: &Owner,
    life: Option<Life>,
) -> impl Iterator<Item = MapEntry<'s>> + use<'s> {
    let owner = owner.clone();
    let shape = head_shape(life);
    let head = owner.head().get(store);
    let buckets = head.map_or(0, |head| Fields::read(shape.fields(head)).buckets);
    let inline = head.filter(|_| buckets == 0).map(|head| sorted(shape, head, life));
    let all = in_order(buckets).filter_map(move |bucket| {
        let record = owner.part(bucket).get(store)?;
        Some(sorted(bucket_shape(life), record, life))
    });
    inline.into_iter().chain(all).flatten()
}

/// The entries of a record that are to be seen, in order.
fn sorted(shape: Shape, record: &[u8], life: Option<Life>) -> impl Iterator<Item = MapEntry<'_>> {
    let seen = shape.entries(record).filter(|entry: &Entry<'_>| expiry::sees(life, entry.until));
    let mut entries: Vec<(u64, MapEntry<'_>)> = seen
        .map(|entry| (order(entry.key), MapEntry { key: entry.key, value: entry.value, until: entry.until }))
        .collect();
    entries.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.key.cmp(y.key)));
    entries.into_iter().map(|(_, entry)| entry)
}

/// The numbers of `buckets` buckets, by ascending order of what is in them: by their bits, lowest first.
fn in_order(buckets: u32) -> impl Iterator<Item = u32> {
    let bits = buckets.checked_ilog2().unwrap_or(0);
    let least = if buckets == 0 { 0 } else { 1 << bits };
    (0..least).flat_map(move |i: u32| {
        let bucket = if bits == 0 { 0 } else { i.reverse_bits() >> (32 - bits) };
        let split = bucket + least;
        [Some(bucket), (split < buckets).then_some(split)].into_iter().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::in_order;

    #[test]
    fn each_bucket_is_visited_once_by_its_lowest_bits_first() {
        assert_eq!(in_order(0).count(), 0);
        assert_eq!(in_order(1).collect::<Vec<_>>(), [0]);
        assert_eq!(in_order(6).collect::<Vec<_>>(), [0, 4, 2, 1, 5, 3]);
    }
}
