//! Removing a span of time from a timeline: leaves that lie in it are dropped whole.

use std::ops::Range;

use super::head::Fields;
use super::insert::{cut, write_fields};
use super::{HEAD_SHAPE, INLINE, NODE_SHAPE, child};
use crate::collection::Owner;
use crate::collection::room::Shape;
use crate::store::Store;

pub(super) fn remove(store: &mut Store, owner: &Owner, from: i64, to: i64) -> u64 {
    let head = owner.head();
    let Some(record) = head.get(store).filter(|_| from <= to) else { return 0 };
    let mut fields = Fields::read(HEAD_SHAPE.fields(record));
    let removed = match fields.height {
        0 => {
            let (range, removed) = span(HEAD_SHAPE, record, from, to);
            if removed > 0 {
                HEAD_SHAPE.cut(head.get_mut(store).expect("it was read"), range);
            }
            removed
        }
        height => prune(store, owner, fields.root, height, (from, to)).removed,
    };
    if removed == 0 {
        return 0;
    }
    fields.count -= removed;
    if fields.count == 0 {
        head.remove(store);
        return removed;
    }
    lower(store, owner, &mut fields);
    write_fields(store, owner, fields).expect("the head keeps its length");
    removed
}

/// The entries of a record with times in a span: their bytes, and how many they are.
fn span(shape: Shape, record: &[u8], from: i64, to: i64) -> (Range<usize>, u64) {
    let (mut range, mut count) = (0..0, 0);
    let inside = |time: i64| from <= time && time <= to;
    for entry in shape.entries(record).filter(|entry| inside(entry.time())) {
        if count == 0 {
            range.start = entry.range.start;
        }
        range.end = entry.range.end;
        count += 1;
    }
    (range, count)
}

/// What became of a node.
struct Pruned {
    removed: u64,
    /// It was dropped.
    empty: bool,
}

fn prune(store: &mut Store, owner: &Owner, node: u32, level: u32, (from, to): (i64, i64)) -> Pruned {
    if level == 1 {
        return prune_leaf(store, owner, node, from, to);
    }
    let record = owner.part(node).get(store).expect("an inner node's children exist");
    let children: Vec<_> =
        NODE_SHAPE.entries(record).map(|entry| (entry.time(), child(&entry), entry.range)).collect();
    let mut removed = 0;
    let mut emptied = Vec::new();
    for (i, (earliest, number, range)) in children.iter().enumerate() {
        // The first child also holds what is earlier; a child's latest may equal the next one's earliest.
        let begins_after = i > 0 && *earliest > to;
        let ends_before = children.get(i + 1).is_some_and(|next| next.0 < from);
        if begins_after || ends_before {
            continue;
        }
        let pruned = prune(store, owner, *number, level - 1, (from, to));
        removed += pruned.removed;
        if pruned.empty {
            emptied.push(range.clone());
        }
    }
    let empty = emptied.len() == children.len();
    match (empty, emptied.as_slice()) {
        (_, []) => {}
        (true, _) => owner.part(node).remove(store),
        // Times are in order, so the emptied children lie side by side.
        (false, [first, ..]) => {
            let end = emptied.last().map_or(first.end, |last| last.end);
            cut(store, owner, node, first.start..end);
        }
    }
    Pruned { removed, empty }
}

fn prune_leaf(store: &mut Store, owner: &Owner, leaf: u32, from: i64, to: i64) -> Pruned {
    let part = owner.part(leaf);
    let record = part.get(store).expect("an inner node's children exist");
    let (range, removed) = span(NODE_SHAPE, record, from, to);
    let empty = range.len() == NODE_SHAPE.used(record);
    if empty {
        part.remove(store);
    } else if removed > 0 {
        cut(store, owner, leaf, range);
    }
    Pruned { removed, empty }
}

/// Takes levels away that have become pointless.
fn lower(store: &mut Store, owner: &Owner, fields: &mut Fields) {
    while fields.height > 1 {
        let part = owner.part(fields.root);
        let mut children = NODE_SHAPE.entries(part.get(store).expect("a timeline with entries has a root"));
        let (Some(only), None) = (children.next(), children.next()) else { return };
        fields.root = child(&only);
        fields.height -= 1;
        part.remove(store);
    }
    if fields.height == 1 {
        let part = owner.part(fields.root);
        let record = part.get(store).expect("a timeline with entries has a root");
        if NODE_SHAPE.used(record) > INLINE / 2 {
            return;
        }
        fields.height = 0;
        let entries = NODE_SHAPE.entries(record).map(|entry| entry.renew());
        let inline = HEAD_SHAPE.build(&fields.encode(), entries, INLINE);
        // A store whose records are so small that this does not fit keeps the leaf.
        match owner.head().put(store, &inline) {
            Ok(()) => part.remove(store),
            Err(_) => fields.height = 1,
        }
    }
}
