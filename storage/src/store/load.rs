//! Replaying the records of delta files into a store, block by block.
//!
//! What a record costs is mostly the memory of the index: of a block all keys are hashed first, and the lines of the
//! index are asked for some records ahead of their use. Of what is adopted and stays in memory the records are only
//! gathered, and entered at the end, one part of the index after the other.

use super::listed::Listed;
use super::{Store, TableId, operate};
use crate::delta;
use crate::error::Damage;
use crate::file_index::{SIZE_BITS, second_hash, size_in};
use crate::hash::stable_hash;
use crate::index::bulk::{Bulk, Gathered, Part};
use crate::index::{Found, Index};
use crate::log::{Address, record};
use crate::planted;
use crate::table::Table;

/// How many records ahead the lines of the index are asked for, and half as many the records that they name.
pub(super) const AHEAD: usize = 32;

/// Replays the records of a part.
pub(super) struct Loader<'a, F> {
    pub(super) store: Store,
    /// Where the part's tables are, by their number in it.
    tables: Vec<(u32, TableId)>,
    /// Which of them the last record was in.
    recent: usize,
    /// The seed of the second hashes, if records are evicted before it is known which of them are the newest.
    pub(super) checks: Option<u64>,
    owns: &'a F,
    entries: Vec<Entry>,
    /// Records that an index has told of.
    pub(super) listed: Vec<Listed>,
    /// What is adopted and stays in memory, by the table's slot.
    bulks: Vec<Bulk>,
}

/// A record that is to be replayed.
struct Entry {
    hash: u64,
    header: record::Header,
    /// Where it lies in its block.
    at: u32,
    slot: u32,
}

impl Entry {
    fn key<'b>(&self, block: &'b [u8]) -> &'b [u8] {
        let start = self.at as usize + record::HEADER;
        &block[start..start + self.header.key_len()]
    }

    fn value<'b>(&self, block: &'b [u8]) -> &'b [u8] {
        let start = self.at as usize + record::HEADER + self.header.key_len().next_multiple_of(8);
        &block[start..start + self.header.value_len()]
    }
}

/// The record that an entry replaces, and its size.
type Old = Option<(Found, Address, usize)>;

impl<'a, F: Fn(u32, &[u8]) -> bool> Loader<'a, F> {
    /// `checks` is the seed of second hashes, where they are needed.
    pub(super) fn new(store: Store, checks: Option<u64>, owns: &'a F) -> Loader<'a, F> {
        Loader {
            store,
            tables: Vec::new(),
            recent: 0,
            checks,
            owns,
            entries: Vec::new(),
            listed: Vec::new(),
            bulks: Vec::new(),
        }
    }

    /// Tells of the next part's tables, by ascending number.
    pub(super) fn set_tables(&mut self, tables: Vec<(u32, TableId)>) {
        (self.tables, self.recent) = (tables, 0);
    }

    /// Whether records are evicted while they are loaded.
    pub(super) fn evicts(&self) -> bool {
        self.checks.is_some()
    }

    /// An index for so many keys.
    pub(super) fn index(&self, keys: u64) -> Index {
        Index::sized(usize::try_from(keys).unwrap_or(usize::MAX), self.checks.is_some())
    }

    /// Makes the index of a table that is adopted, for so many keys.
    pub(super) fn expect_keys(&mut self, table: TableId, keys: u64) {
        let index = self.index(keys);
        if !self.evicts() {
            debug_assert_eq!(
                self.bulks.len(),
                table.slot as usize,
                "tables of a new store take slot after slot"
            );
            self.bulks.push(Bulk::of(&index, keys as usize));
        }
        Store::table_mut(&mut self.store.tables, table).index = index;
    }

    /// All is loaded.
    pub(super) fn finish(mut self) -> Store {
        for (slot, bulk) in std::mem::take(&mut self.bulks).into_iter().enumerate() {
            bulk.into_parts().for_each(|part| self.enter_part(slot, &part));
        }
        let mut store = self.store;
        store.tables.iter_mut().flatten().for_each(|table| table.index.drop_checks());
        store
    }

    /// Enters the records of a block that lies in the log, at `start`. False if one of them is not owned: then the
    /// store is of no use.
    pub(super) fn adopt(&mut self, block: &[u8], start: Address) -> Result<bool, (usize, Damage)> {
        let whole = self.gather(block)?;
        match self.evicts() {
            true => {
                self.replay(block, |loader, entry| {
                    loader.adopt_record(block, entry, start + u64::from(entry.at))
                });
            }
            false => self.set_aside(start),
        }
        Ok(whole)
    }

    /// Sets the records of a block at `start` aside, to be entered at the end. Until then all count as live, so that
    /// none is freed.
    fn set_aside(&mut self, start: Address) {
        let Loader { store, entries, bulks, .. } = self;
        let Store { tables, log, .. } = store;
        // Counted together as long as the table stays the same.
        let mut run = (u32::MAX, 0);
        let mut count = |slot: u32, bytes: usize| {
            if run.0 != slot {
                let (before, bytes) = std::mem::replace(&mut run, (slot, 0));
                if let Some(Some(table)) = tables.get_mut(before as usize) {
                    table.count_live(log, start, bytes);
                }
            }
            run.1 += bytes;
        };
        for entry in entries {
            count(entry.slot, entry.header.size());
            let (address, removes) = (start + u64::from(entry.at), entry.header.is_tombstone());
            bulks[entry.slot as usize].add(Gathered { hash: entry.hash, address, removes });
        }
        count(u32::MAX, 0);
    }

    /// Enters the records of one part of a table's index.
    fn enter_part(&mut self, slot: usize, part: &Part) {
        let Store { tables, log, .. } = &mut self.store;
        let table = tables[slot].as_mut().expect("live tables are listed");
        let (mut ahead, mut nearer) = (part.records(), part.records().skip(AHEAD));
        // As far again as elsewhere: less is done for each of them.
        ahead.by_ref().take(2 * AHEAD).for_each(|record| table.index.prefetch_both(record.hash));
        for Gathered { hash, address, removes } in part.records() {
            if let Some(later) = ahead.next() {
                table.index.prefetch_both(later.hash);
            }
            // Where there is an older record both keys are compared.
            if let Some(later) = nearer.next()
                && let Some(older) = table.index.candidate(later.hash)
            {
                crate::prefetch::read(log.pointer(older));
                crate::prefetch::read(log.pointer(later.address));
            }
            let found = table.index.find_alike(hash, |other, _| log.key(other) == log.key(address));
            match (found, removes) {
                (None, false) => table.index.insert(hash, address),
                (Some((found, old)), false) => {
                    table.index.replace(found, hash, address);
                    table.forget(log, old);
                }
                (found, true) => {
                    if let Some((found, old)) = found.filter(|_| !planted!(tombstones_ignored)) {
                        table.index.remove(found);
                        table.forget(log, old);
                    }
                    log.count_tombstone(address, log.header(address).size());
                    table.forget(log, address);
                }
            }
        }
    }

    /// Copies the records of a block that are owned.
    pub(super) fn copy(&mut self, block: &[u8]) -> Result<(), (usize, Damage)> {
        self.gather(block)?;
        self.replay(block, |loader, entry| loader.copy_record(block, entry));
        Ok(())
    }

    /// Gathers the records of a block in live tables. Returns whether all of these are owned.
    fn gather(&mut self, block: &[u8]) -> Result<bool, (usize, Damage)> {
        self.entries.clear();
        let mut whole = true;
        for record in delta::records(block) {
            let (at, header) = record?;
            let Some(slot) = self.slot_of(header.table) else { continue };
            let mut entry = Entry { hash: 0, header, at: at as u32, slot };
            let key = entry.key(block);
            let table = self.store.tables[slot as usize].as_ref().expect("live tables are listed");
            let value = (!header.is_tombstone()).then_some(header.value_len());
            table.layout.check(header.key_len(), value).map_err(|damage| (at, damage))?;
            if (self.owns)(table.state, table.layout.owner(key)) {
                entry.hash = stable_hash(key);
                self.entries.push(entry);
            } else {
                whole = false;
            }
        }
        Ok(whole)
    }

    /// Where the table of this number is, unless it is dead.
    #[inline]
    pub(super) fn slot_of(&mut self, number: u32) -> Option<u32> {
        if self.tables.get(self.recent).is_none_or(|recent| recent.0 != number) {
            self.recent = self.tables.binary_search_by_key(&number, |table| table.0).ok()?;
        }
        Some(self.tables[self.recent].1.slot)
    }

    fn replay(&mut self, block: &[u8], one: impl Fn(&mut Self, &Entry)) {
        debug_assert!(!block.is_empty(), "a block has a header at least");
        let entries = std::mem::take(&mut self.entries);
        entries.iter().take(AHEAD).for_each(|entry| self.prefetch_index(entry));
        for (i, entry) in entries.iter().enumerate() {
            if let Some(later) = entries.get(i + AHEAD) {
                self.prefetch_index(later);
            }
            if let Some(later) = entries.get(i + AHEAD / 2) {
                self.prefetch_record(later);
            }
            one(self, entry);
        }
        self.entries = entries;
    }

    #[inline]
    pub(super) fn table(&self, slot: u32) -> &Table {
        self.store.tables[slot as usize].as_ref().expect("live tables are listed")
    }

    #[inline]
    fn prefetch_index(&self, entry: &Entry) {
        self.table(entry.slot).index.prefetch_both(entry.hash);
    }

    #[inline]
    fn prefetch_record(&self, entry: &Entry) {
        if let Some(old) = self.table(entry.slot).index.candidate(entry.hash) {
            crate::prefetch::read(self.store.log.pointer(old));
        }
    }

    /// The record that an entry replaces, and the second hash to be kept of the entry.
    #[inline]
    fn find(&self, block: &[u8], entry: &Entry) -> (Old, Option<u64>) {
        let (log, index) = (&self.store.log, &self.table(entry.slot).index);
        let key = entry.key(block);
        let check = self.checks.map(|seed| second_hash(seed, key, entry.header.size()));
        let mut old_size = 0;
        // Of an evicted record two hashes are compared.
        let found = index.find_alike(entry.hash, |other, known| {
            if !log.is_evicted(other) {
                old_size = log.header(other).size();
                return log.key(other) == key;
            }
            let (Some(known), Some(check)) = (known, check) else { return false };
            old_size = size_in(known);
            known >> SIZE_BITS == check >> SIZE_BITS
        });
        (found.map(|(found, old)| (found, old, old_size)), check)
    }

    /// Replays a record that lies in the log, with what is durable.
    #[inline]
    fn adopt_record(&mut self, block: &[u8], entry: &Entry, address: Address) {
        let (old, check) = self.find(block, entry);
        let Store { tables, log, .. } = &mut self.store;
        let table = tables[entry.slot as usize].as_mut().expect("live tables are listed");
        match (old, entry.header.is_tombstone()) {
            (None, false) => table.enter_checked(log, entry.hash, address, check),
            (Some((found, old, size)), false) => {
                table.index.replace_checked(found, entry.hash, address, check);
                table.supersede_sized(log, old, size, address);
            }
            (found, true) => {
                log.count_tombstone(address, entry.header.size());
                if let Some((found, old, size)) = found.filter(|_| !planted!(tombstones_ignored)) {
                    table.index.remove(found);
                    table.forget_sized(log, old, size);
                }
            }
        }
    }

    /// Replays a record as the operation that it was.
    #[inline]
    fn copy_record(&mut self, block: &[u8], entry: &Entry) {
        let (old, check) = self.find(block, entry);
        let Store { tables, log, appended_bytes, .. } = &mut self.store;
        let table = tables[entry.slot as usize].as_mut().expect("live tables are listed");
        let (key, value) = (entry.key(block), entry.value(block));
        if entry.header.is_tombstone() {
            let Some((found, old, size)) = old.filter(|_| !planted!(tombstones_ignored)) else { return };
            table.index.remove(found);
            match !log.is_evicted(old) && log.is_mutable(old) {
                true => {
                    log.bury_in_place(old);
                    log.count_tombstone(old, size);
                }
                false => {
                    let tombstone = log.append_tombstone(table.id, key);
                    let size = log.header(tombstone).size();
                    log.count_tombstone(tombstone, size);
                }
            }
            return table.forget_sized(log, old, size);
        }
        if let Some((_, old, size)) = old
            && size == entry.header.size()
            && !log.is_evicted(old)
            && log.is_mutable(old)
            && log.header(old).value_len() == value.len()
        {
            return log.value_mut(old).copy_from_slice(value);
        }
        let new = operate::append(log, appended_bytes, table.id, key, value.len());
        log.value_mut(new).copy_from_slice(value);
        match old {
            Some((found, old, size)) => {
                table.index.replace_checked(found, entry.hash, new, check);
                table.supersede_sized(log, old, size, new);
            }
            None => table.enter_checked(log, entry.hash, new, check),
        }
    }
}
