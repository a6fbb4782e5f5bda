//! Reading a timeline.

use super::head::Fields;
use super::{HEAD_SHAPE, NODE_SHAPE, child};
use crate::collection::Owner;
use crate::collection::entry::{Entries, Entry};
use crate::store::Store;

/// One entry of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineEntry<'s> {
    /// When.
    pub time: i64,
    /// What.
    pub value: &'s [u8],
}

impl<'s> TimelineEntry<'s> {
    fn of(entry: &Entry<'s>) -> TimelineEntry<'s> {
        TimelineEntry { time: entry.time(), value: entry.value }
    }
}

/// The number of entries: O(1).
pub fn len(store: &Store, owner: &Owner) -> u64 {
    owner.head().get(store).map_or(0, |head| Fields::read(HEAD_SHAPE.fields(head)).count)
}

/// The earliest entry.
pub fn first<'s>(store: &'s Store, owner: &Owner) -> Option<TimelineEntry<'s>> {
    range(store, owner, i64::MIN, i64::MAX).next()
}

/// The latest entry, the last inserted of those of its time.
pub fn last<'s>(store: &'s Store, owner: &Owner) -> Option<TimelineEntry<'s>> {
    floor(store, owner, i64::MAX)
}

/// The latest entry that is not after `time`, the last inserted of those of its time.
pub fn floor<'s>(store: &'s Store, owner: &Owner, time: i64) -> Option<TimelineEntry<'s>> {
    let head = owner.head().get(store)?;
    let fields = Fields::read(HEAD_SHAPE.fields(head));
    match fields.height {
        0 => newest(HEAD_SHAPE.entries(head), time),
        height => floor_in(store, owner, fields.root, height, time, &mut Visits::of(store, owner)),
    }
}

fn newest(entries: Entries<'_>, time: i64) -> Option<TimelineEntry<'_>> {
    entries.take_while(|entry| entry.time() <= time).last().map(|entry| TimelineEntry::of(&entry))
}

/// How many nodes may still be visited. Each is visited once, so more visits than there are records show that a tree was
/// made up, and bites its tail.
struct Visits(usize);

impl Visits {
    /// More levels than any tree has.
    const LEVELS: u32 = 64;

    fn of(store: &Store, owner: &Owner) -> Visits {
        Visits(store.len(owner.table))
    }

    fn count(&mut self, level: u32) -> Option<()> {
        self.0 = self.0.checked_sub(1).filter(|_| level <= Visits::LEVELS)?;
        Some(())
    }
}

/// Mostly the last child that may hold it; the one before, if the earlier entries of that child were removed.
fn floor_in<'s>(
    store: &'s Store,
    owner: &Owner,
    node: u32,
    level: u32,
    time: i64,
    visits: &mut Visits,
) -> Option<TimelineEntry<'s>> {
    visits.count(level)?;
    let entries = NODE_SHAPE.entries(owner.part(node).get(store)?);
    if level == 1 {
        return newest(entries, time);
    }
    let children: Vec<u32> = entries
        .enumerate()
        .take_while(|(i, entry)| *i == 0 || entry.time() <= time)
        .map(|(_, entry)| child(&entry))
        .collect();
    children.into_iter().rev().find_map(|child| floor_in(store, owner, child, level - 1, time, visits))
}

/// The entries with times from `from` to `to`, both included, in order.
pub fn range<'s>(store: &'s Store, owner: &Owner, from: i64, to: i64) -> Range<'s> {
    let visits = Visits::of(store, owner);
    let mut range = Range { store, owner: owner.clone(), inner: Vec::new(), leaf: None, from, to, visits };
    let Some(head) = owner.head().get(store).filter(|_| from <= to) else { return range };
    let fields = Fields::read(HEAD_SHAPE.fields(head));
    match fields.height {
        0 => range.leaf = Some(HEAD_SHAPE.entries(head)),
        height => range.descend(fields.root, height),
    }
    range
}

/// The entries of a span of time, in order. Made by [`range`].
pub struct Range<'s> {
    store: &'s Store,
    owner: Owner,
    /// What is still to visit of the inner nodes, with their levels.
    inner: Vec<(Entries<'s>, u32)>,
    leaf: Option<Entries<'s>>,
    from: i64,
    to: i64,
    visits: Visits,
}

impl<'s> Range<'s> {
    /// Goes down to the first leaf below `node` that may hold entries of the span.
    fn descend(&mut self, mut node: u32, height: u32) {
        for level in (2..=height).rev() {
            let Some(mut children) = self.entries(node, level) else { return };
            let Some(mut chosen) = children.next() else { return };
            // A child whose successor begins before the span ends before it.
            let mut ahead = children.clone();
            while let Some(next) = ahead.next().filter(|next| next.time() < self.from) {
                chosen = next;
                children = ahead.clone();
            }
            node = child(&chosen);
            self.inner.push((children, level));
        }
        self.leaf = self.entries(node, 1);
    }

    fn entries(&mut self, node: u32, level: u32) -> Option<Entries<'s>> {
        self.visits.count(level)?;
        self.owner.part(node).get(self.store).map(|record| NODE_SHAPE.entries(record))
    }

    /// Goes on to the next leaf.
    fn advance(&mut self) -> bool {
        while let Some((children, level)) = self.inner.last_mut() {
            let level = *level;
            match children.next() {
                Some(next) if next.time() <= self.to => {
                    self.descend(child(&next), level - 1);
                    return true;
                }
                Some(_) => self.inner.clear(),
                None => _ = self.inner.pop(),
            }
        }
        false
    }
}

impl<'s> Iterator for Range<'s> {
    type Item = TimelineEntry<'s>;

    fn next(&mut self) -> Option<TimelineEntry<'s>> {
        loop {
            for entry in self.leaf.as_mut()? {
                match entry.time() {
                    time if time < self.from => {}
                    time if time > self.to => {
                        self.leaf = None;
                        return None;
                    }
                    _ => return Some(TimelineEntry::of(&entry)),
                }
            }
            if !self.advance() {
                self.leaf = None;
            }
        }
    }
}
