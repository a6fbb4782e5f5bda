//! Entering records by what the index of their file tells of them.

use super::Store;
use super::load::{AHEAD, Loader};
use crate::file_index::read::Group;
use crate::file_index::{self, SIZE_BITS, second_hash, size_in};
use crate::log::{Address, block};
use crate::planted;

/// A record that an index has told of, which lies at an address without being in memory.
pub(super) struct Listed {
    entry: file_index::Entry,
    slot: u32,
    address: Address,
}

impl<F: Fn(u32, &[u8]) -> bool> Loader<'_, F> {
    /// Gathers the records of a block that stays on disk, and was given a place in the log at `start`.
    pub(super) fn list(&mut self, group: &Group<'_>, start: Address) {
        let mut at = block::HEADER;
        for entry in group.entries() {
            let address = start + at as u64;
            at += entry.size();
            if let Some(slot) = self.slot_of(entry.table) {
                self.listed.push(Listed { entry, slot, address });
            }
        }
    }

    /// Enters what was gathered.
    pub(super) fn enter_listed(&mut self) {
        let mut listed = std::mem::take(&mut self.listed);
        let prefetch =
            |loader: &Self, one: &Listed| loader.table(one.slot).index.prefetch_both(one.entry.hash);
        listed.iter().take(AHEAD).for_each(|one| prefetch(self, one));
        for (i, one) in listed.iter().enumerate() {
            if let Some(later) = listed.get(i + AHEAD) {
                prefetch(self, later);
            }
            self.enter(one);
        }
        listed.clear();
        self.listed = listed;
    }

    /// Enters a record that stays on disk.
    fn enter(&mut self, one: &Listed) {
        let &Listed { entry, slot, address } = one;
        let seed = self.checks.expect("records are left on disk where second hashes are kept");
        let Store { tables, log, .. } = &mut self.store;
        let table = tables[slot as usize].as_mut().expect("live tables are listed");
        let mut old_size = 0;
        let found = table.index.find_alike(entry.hash, |other, known| {
            let known = match log.is_evicted(other) {
                true => known.expect("second hashes are kept"),
                false => second_hash(seed, log.key(other), log.header(other).size()),
            };
            old_size = size_in(known);
            known >> SIZE_BITS == entry.second >> SIZE_BITS
        });
        let size = entry.size();
        match (found, entry.removes()) {
            (None, false) => {
                table.count_live(log, address, size);
                table.index.insert_checked(entry.hash, address, Some(entry.second));
            }
            (Some((found, old)), false) => {
                table.index.replace_checked(found, entry.hash, address, Some(entry.second));
                table.replaced(log, (old, old_size), (address, size));
            }
            (found, true) => {
                log.count_tombstone(address, size);
                if let Some((found, old)) = found.filter(|_| !planted!(tombstones_ignored)) {
                    table.index.remove(found);
                    table.forget_sized(log, old, old_size);
                }
            }
        }
    }
}
