//! What a timeline's head says: how many entries there are, and where the tree's root is.

use crate::collection::{HEAD, Owner};
use crate::store::Store;

/// `count` (8 bytes), `root`, `next` and `height` (4 bytes each).
pub(super) const FIELDS: usize = 20;

/// The head's fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    /// Entries.
    pub(super) count: u64,
    /// The number of the root, if there is one.
    pub(super) root: u32,
    /// Where to look for the number of the next new node.
    pub(super) next: u32,
    /// Levels of nodes: 0 as long as the entries are in the head, 1 if the root is a leaf.
    pub(super) height: u32,
}

impl Fields {
    pub(super) const EMPTY: Fields = Fields { count: 0, root: 0, next: 0, height: 0 };

    pub(super) fn read(bytes: &[u8]) -> Fields {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let count = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        Fields { count, root: number(8), next: number(12), height: number(16) }
    }

    pub(super) fn encode(self) -> [u8; FIELDS] {
        let mut bytes = [0; FIELDS];
        bytes[..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.root.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.next.to_le_bytes());
        bytes[16..].copy_from_slice(&self.height.to_le_bytes());
        bytes
    }

    /// A number for a new node. Numbers come round in the end, and those that are taken are passed over: all nodes are in
    /// memory.
    pub(super) fn new_node(&mut self, store: &mut Store, owner: &Owner) -> u32 {
        loop {
            let number = self.next;
            self.next = (number + 1) % HEAD;
            let node = owner.part(number);
            node.is_new(store);
            if node.get(store).is_none() {
                return number;
            }
        }
    }
}
