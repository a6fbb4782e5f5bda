//! Inserting into a timeline: down to a leaf, and up again as far as nodes are split.

use std::ops::Range;

use super::head::Fields;
use super::{HEAD_SHAPE, INLINE, NODE, NODE_SHAPE, child, child_entry};
use crate::collection::Owner;
use crate::collection::entry::{Entry, New};
use crate::collection::room::Shape;
use crate::store::{Store, TooLarge};

/// A node that was split: the earliest time of the new one, and its number.
type Split = Option<(i64, u32)>;

/// An inner node on the way down, and where its child's entry ends in its bytes.
type Step = (u32, usize);

pub(super) fn insert(store: &mut Store, owner: &Owner, new: New<'_>, time: i64) -> Result<(), TooLarge> {
    let head = owner.head();
    let Some(record) = head.get(store) else {
        let fields = Fields { count: 1, ..Fields::EMPTY };
        return head.put(store, &HEAD_SHAPE.build(&fields.encode(), [new].into_iter(), 0));
    };
    let mut fields = Fields::read(HEAD_SHAPE.fields(record));
    if fields.height == 0 {
        let place = place_of(HEAD_SHAPE, record, time);
        if HEAD_SHAPE.used(record) + HEAD_SHAPE.format.len(new) <= INLINE {
            add(store, owner, None, place, new)?;
            fields.count += 1;
            return write_fields(store, owner, fields);
        }
        plant(store, owner, &mut fields)?;
    }
    let (path, leaf) = descend(store, owner, fields, time);
    let mut split = insert_into_leaf(store, owner, &mut fields, leaf, new, time)?;
    for (node, place) in path.into_iter().rev() {
        let Some((from, number)) = split else { break };
        split = insert_child(store, owner, &mut fields, node, place, from, number)?;
    }
    if let Some((from, number)) = split {
        raise(store, owner, &mut fields, from, number)?;
    }
    fields.count += 1;
    write_fields(store, owner, fields)
}

pub(super) fn write_fields(store: &mut Store, owner: &Owner, fields: Fields) -> Result<(), TooLarge> {
    let record = owner.head().get_mut(store).expect("a timeline has a head");
    HEAD_SHAPE.fields_mut(record).copy_from_slice(&fields.encode());
    Ok(())
}

/// Moves the head's entries into a leaf, the first node.
fn plant(store: &mut Store, owner: &Owner, fields: &mut Fields) -> Result<(), TooLarge> {
    let head = owner.head();
    let record = head.get(store).expect("a timeline has a head");
    let leaf = NODE_SHAPE.build(&[], HEAD_SHAPE.entries(record).map(|e| e.renew()), NODE);
    fields.root = fields.new_node(store, owner);
    fields.height = 1;
    owner.part(fields.root).put(store, &leaf)?;
    head.put(store, &HEAD_SHAPE.build(&fields.encode(), std::iter::empty(), 0))
}

/// The inner nodes on the way to the last leaf that may hold `time`, and that leaf.
fn descend(store: &Store, owner: &Owner, fields: Fields, time: i64) -> (Vec<Step>, u32) {
    let mut path = Vec::with_capacity(fields.height as usize);
    let mut node = fields.root;
    for _ in 1..fields.height {
        let record = owner.part(node).get(store).expect("an inner node's children exist");
        let mut children = NODE_SHAPE.entries(record);
        let mut chosen = children.next().expect("an inner node has children");
        for entry in children.take_while(|entry| entry.time() <= time) {
            chosen = entry;
        }
        path.push((node, chosen.range.end));
        node = child(&chosen);
    }
    (path, node)
}

/// Where an entry of this time belongs among a record's bytes: behind all that are not later.
fn place_of(shape: Shape, record: &[u8], time: i64) -> usize {
    let bytes = shape.bytes(record);
    let later = shape.format.entries(bytes).find(|entry| entry.time() > time);
    later.map_or(bytes.len(), |entry| entry.range.start)
}

/// Adds an entry to a node, or to the head, which grows if need be.
fn add(
    store: &mut Store,
    owner: &Owner,
    node: Option<u32>,
    place: usize,
    new: New<'_>,
) -> Result<(), TooLarge> {
    let (part, shape) = match node {
        Some(node) => (owner.part(node), NODE_SHAPE),
        None => (owner.head(), HEAD_SHAPE),
    };
    let record = part.get_mut(store).expect("it was found");
    if shape.insert(record, place, new) {
        return Ok(());
    }
    let entries: Vec<Entry<'_>> = shape.entries(record).collect();
    let (before, after) = entries.split_at(entries.partition_point(|entry| entry.range.start < place));
    let needed = shape.used(record) + shape.format.len(new);
    let all = before.iter().map(|e| e.renew()).chain([new]).chain(after.iter().map(|e| e.renew()));
    let grown = shape.build(shape.fields(record), all, shape.roomy(needed));
    part.put(store, &grown)
}

fn insert_into_leaf(
    store: &mut Store,
    owner: &Owner,
    fields: &mut Fields,
    leaf: u32,
    new: New<'_>,
    time: i64,
) -> Result<Split, TooLarge> {
    let record = owner.part(leaf).get(store).expect("an inner node's children exist");
    let (used, place) = (NODE_SHAPE.used(record), place_of(NODE_SHAPE, record, time));
    if used + NODE_SHAPE.format.len(new) <= NODE {
        add(store, owner, Some(leaf), place, new)?;
        return Ok(None);
    }
    if place == used {
        // Time mostly rises: what comes last begins a leaf of its own, and the one before it stays full.
        let number = fields.new_node(store, owner);
        owner.part(number).put(store, &NODE_SHAPE.build(&[], [new].into_iter(), NODE))?;
        return Ok(Some((time, number)));
    }
    let (middle, from, number) = halve(store, owner, fields, leaf)?;
    let (target, place) = if place <= middle { (leaf, place) } else { (number, place - middle) };
    add(store, owner, Some(target), place, new)?;
    Ok(Some((from, number)))
}

/// Moves the second half of a node's entries into a new one. Returns where it was divided, the first time of the new
/// node, and its number.
fn halve(
    store: &mut Store,
    owner: &Owner,
    fields: &mut Fields,
    node: u32,
) -> Result<(usize, i64, u32), TooLarge> {
    let number = fields.new_node(store, owner);
    let part = owner.part(node);
    let record = part.get(store).expect("it was found");
    let used = NODE_SHAPE.used(record);
    let entries: Vec<Entry<'_>> = NODE_SHAPE.entries(record).collect();
    let half = entries.partition_point(|entry| entry.range.end <= used / 2);
    // At least one on each side, if there are two.
    let half = half.clamp(usize::from(entries.len() > 1), entries.len() - 1);
    let (middle, from) = (entries[half].range.start, entries[half].time());
    let right = NODE_SHAPE.build(&[], entries[half..].iter().map(|e| e.renew()), NODE);
    owner.part(number).put(store, &right)?;
    cut(store, owner, node, middle..used);
    Ok((middle, from, number))
}

pub(super) fn cut(store: &mut Store, owner: &Owner, node: u32, range: Range<usize>) {
    let record = owner.part(node).get_mut(store).expect("it was found");
    NODE_SHAPE.cut(record, range);
}

/// Enters a new child behind the one that it was split from.
fn insert_child(
    store: &mut Store,
    owner: &Owner,
    fields: &mut Fields,
    node: u32,
    place: usize,
    from: i64,
    number: u32,
) -> Result<Split, TooLarge> {
    let (time, bytes) = (from.to_le_bytes(), number.to_le_bytes());
    let new = child_entry(&time, &bytes);
    let record = owner.part(node).get(store).expect("it was on the way");
    if NODE_SHAPE.used(record) + NODE_SHAPE.format.len(new) <= NODE {
        add(store, owner, Some(node), place, new)?;
        return Ok(None);
    }
    let (middle, first, right) = halve(store, owner, fields, node)?;
    let (target, place) = if place <= middle { (node, place) } else { (right, place - middle) };
    add(store, owner, Some(target), place, new)?;
    Ok(Some((first, right)))
}

/// A new root above the old one and the node that was split from it.
fn raise(
    store: &mut Store,
    owner: &Owner,
    fields: &mut Fields,
    from: i64,
    number: u32,
) -> Result<(), TooLarge> {
    let root = fields.new_node(store, owner);
    let (least, from) = (i64::MIN.to_le_bytes(), from.to_le_bytes());
    let (old, number) = (fields.root.to_le_bytes(), number.to_le_bytes());
    let children = [child_entry(&least, &old), child_entry(&from, &number)];
    owner.part(root).put(store, &NODE_SHAPE.build(&[], children.into_iter(), NODE))?;
    fields.root = root;
    fields.height += 1;
    Ok(())
}
