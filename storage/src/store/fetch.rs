//! Keys whose records are on disk: which reads they need, and what becomes of the answers.
//!
//! A record that is needed again is copied to the tail, where it may change; a scan and compaction hold blocks for a
//! moment instead. An absent key is told from an evicted one by 48 bits of its hash.

use std::collections::BTreeMap;

use super::{Store, TableId};
use crate::error::StoreError;
use crate::log::record::{self, Header};
use crate::log::{Address, block};
use crate::planted;
use crate::read::{Fetched, Read};

/// Reads under way take a sixteenth of the budget, or up to an eighth if that is less than this many bytes.
const LEAST_READS: u64 = 64 << 10;
/// Without a budget as many, in bytes.
const READS: u64 = 16 << 20;

/// A segment's sequence number, and a byte in it.
pub(super) type At = (u64, u32);

/// A record that waits for its block: its table, hash and address.
type LookedUp = (TableId, u64, Address);

/// What is on its way from disk.
#[derive(Default)]
pub(super) struct Fetch {
    /// The records that wait for a block, by its place: table, hash and address.
    looked_up: BTreeMap<At, (u32, Vec<LookedUp>)>,
    /// Blocks for a scan or compaction, by the place of the first: nothing while under way.
    pub(super) held: BTreeMap<At, (u32, Option<Vec<u8>>)>,
    /// Reads that the owner has not taken yet.
    new: Vec<Read>,
    /// Memory of all of them.
    pub(super) reserved: u64,
    /// Keys that their owner says are absent, though evicted records agree with them in 48 bits of the hash.
    absent: Vec<(TableId, u64)>,
    requested: u64,
}

/// Whether the records of keys are in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// So many keys were looked up, the first ones: the others are to be asked for again once reads have come back.
    pub covered: usize,
    /// Whether all of those are in memory, or absent.
    pub complete: bool,
}

impl Fetch {
    pub(super) fn bytes(&self) -> u64 {
        self.reserved
    }

    pub(super) fn requested(&self) -> u64 {
        self.requested
    }

    fn request(&mut self, read: Read) {
        self.reserved += u64::from(read.len);
        self.requested += u64::from(read.len);
        self.new.push(read);
    }

    /// The held blocks that contain a byte, and where they start.
    pub(super) fn held_at(&self, at: At) -> Option<(u32, Option<&[u8]>)> {
        let ((sequence, start), (len, bytes)) = self.held.range(..=at).next_back()?;
        let contains = *sequence == at.0 && at.1 < start + len;
        contains.then_some((*start, bytes.as_deref()))
    }

    /// Takes held blocks out for a moment.
    pub(super) fn take_held(&mut self, at: At) -> Vec<u8> {
        self.held.get_mut(&at).and_then(|(_, bytes)| bytes.take()).expect("they were found a moment ago")
    }

    /// Puts them back, unless they were let go of meanwhile.
    pub(super) fn put_held(&mut self, at: At, bytes: Vec<u8>) {
        match self.held.get_mut(&at) {
            Some((_, held)) => *held = Some(bytes),
            None => self.reserved -= bytes.len() as u64,
        }
    }

    /// Forgets what was said to be absent: whoever asks for it from now on asks for what looks like it, too.
    pub(super) fn forget_absent(&mut self) {
        self.absent.clear();
    }

    /// Lets go of the held blocks before a place.
    pub(super) fn release_before(&mut self, at: At) {
        while let Some(first) = self.held.first_entry().filter(|first| {
            let ((sequence, start), (len, _)) = (*first.key(), first.get());
            (sequence, start + len) <= at
        }) {
            let (len, bytes) = first.remove();
            // What is still under way is let go of when it comes.
            self.reserved -= if bytes.is_some() { u64::from(len) } else { 0 };
        }
    }
}

impl Store {
    /// Whether every record is in memory, so that no key needs to be asked for.
    #[inline]
    pub fn is_resident(&self) -> bool {
        self.log.evicted() == 0
    }

    /// Asks for keys of a table before they are worked on. Those whose records were evicted are read: the reads wait in
    /// [`Store::take_reads`], and after [`Store::admit`] of their answers the caller asks again, until all are in
    /// memory. Each read serves all keys in its block.
    ///
    /// Memory for reads is bounded: `covered` tells how far it went. What is in memory may be evicted again by
    /// [`Store::maintain`], not by anything else.
    pub fn missing(&mut self, table: TableId, hashes: impl IntoIterator<Item = u64>) -> Presence {
        let mut presence = Presence { covered: 0, complete: true };
        // Of memory nothing changes meanwhile but what is reserved.
        let (reserved, may_reserve) = (self.fetch.reserved, self.may_reserve());
        for hash in hashes {
            if !self.fetch.looked_up.is_empty() && self.fetch.reserved - reserved >= may_reserve {
                break;
            }
            presence.complete &= self.is_present(table, hash);
            presence.covered += 1;
        }
        presence
    }

    /// As [`Store::missing`], for one key. To be asked for whatever a key's first records turn out to need: a record
    /// that has come may name others.
    pub fn is_present(&mut self, table: TableId, hash: u64) -> bool {
        if self.is_resident() {
            return true;
        }
        let mut present = true;
        // More than one evicted record may agree in 48 bits of the hash: each becomes present, and cannot be found again.
        let mut seen = Vec::new();
        while let Some((_, address)) = self
            .table_ref(table)
            .index
            .find_alike(hash, |address, _| self.log.is_evicted(address) && !seen.contains(&address))
        {
            seen.push(address);
            self.look_up_evicted(table, hash, address);
            present = false;
        }
        present
    }

    /// Takes the caller's word that a key is absent: it may be looked up and entered without having been asked for, until
    /// something is evicted. For keys that are made up, as those of a collection's new parts: an evicted record that agrees
    /// with one in 48 bits of the hash is another's.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// let hash = stable_hash(b"new");
    /// store.assume_absent(table, hash);
    /// assert_eq!(store.get(table, hash, b"new"), None);
    /// ```
    pub fn assume_absent(&mut self, table: TableId, hash: u64) {
        if self.may_be_evicted(table, hash) {
            self.fetch.absent.push((table, hash));
        }
    }

    /// Whether an evicted record agrees with a key as far as that is known: it was not asked for, or has not come yet.
    pub(crate) fn may_be_evicted(&self, table: TableId, hash: u64) -> bool {
        let evicted = |address, _| self.log.is_evicted(address);
        !self.is_resident() && self.table_ref(table).index.find_alike(hash, evicted).is_some()
    }

    /// How often something was evicted: what was in memory is so as long as this does not change.
    ///
    /// ```
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// let store = Store::new(StoreConfig::new("counts", 1));
    /// assert_eq!((store.evictions(), store.fetched_bytes()), (0, 0));
    /// ```
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Bytes of records that were brought back, since the store was made.
    pub fn fetched_bytes(&self) -> u64 {
        self.fetched_bytes
    }

    /// Whether memory for reads is left.
    pub fn may_ask(&self) -> bool {
        !self.reserved_out()
    }

    /// One read for keys may always be under way, or else nothing would ever come.
    fn reserved_out(&self) -> bool {
        !self.fetch.looked_up.is_empty() && self.is_read_enough()
    }

    /// Each read takes as much of the tail when it comes as it has reserved: more are not asked for than fit.
    fn is_read_enough(&self) -> bool {
        self.may_reserve() == 0
    }

    /// Bytes that further reads may take.
    fn may_reserve(&self) -> u64 {
        let of_reads = self.most_reads().saturating_sub(self.fetch.reserved);
        let free = |budget: u64| budget.saturating_sub(self.memory_bytes());
        self.config.budget.map_or(of_reads, |budget| of_reads.min(free(budget)))
    }

    /// Memory that reads may take together.
    fn most_reads(&self) -> u64 {
        let of = |budget: u64| (budget / 16).max(LEAST_READS.min(budget / 8));
        self.config.budget.map_or(READS, of)
    }

    /// Of it, what is left: nothing is read while all is in memory.
    pub(super) fn unread(&self) -> u64 {
        if self.is_resident() { 0 } else { self.most_reads().saturating_sub(self.fetch.reserved) }
    }

    fn look_up_evicted(&mut self, table: TableId, hash: u64, address: Address) {
        let (slot, offset) = (self.log.slot_of(address), self.log.offset_of(address));
        let sequence = self.log.segment(slot).sequence;
        let waiting = self.fetch.looked_up.range_mut(..=(sequence, offset)).next_back();
        if let Some(((of, start), (len, wanted))) = waiting
            && *of == sequence
            && offset < start + *len
        {
            if !wanted.iter().any(|known| known.2 == address) {
                wanted.push((table, hash, address));
            }
            return;
        }
        // One block: `most` of nothing.
        let extent = self.log.extent(slot, offset, 0);
        let read = Read::of(sequence, extent, false);
        self.fetch.looked_up.insert(read.at, (read.len, vec![(table, hash, address)]));
        self.fetch.request(read);
    }

    /// Asks for a stretch of an evicted segment, to be held until it is released. Returns where it ends; or nothing if
    /// memory for reads is out, and its owner is not lost without it.
    pub(super) fn hold(&mut self, slot: u32, offset: u32, most: usize, needed: bool) -> Option<u32> {
        let sequence = self.log.segment(slot).sequence;
        if let Some((start, _)) = self.fetch.held_at((sequence, offset)) {
            return Some(start + self.fetch.held[&(sequence, start)].0);
        }
        if !needed && self.is_read_enough() {
            return None;
        }
        let extent = self.log.extent(slot, offset, most);
        let read = Read::of(sequence, extent, true);
        let end = read.at.1 + read.len;
        self.fetch.held.insert(read.at, (read.len, None));
        self.fetch.request(read);
        Some(end)
    }

    /// The reads that are needed, to be performed by a [`Reader`](crate::read::Reader), in any order, many at a time.
    pub fn take_reads(&mut self) -> Vec<Read> {
        let mut reads = std::mem::take(&mut self.fetch.new);
        reads.retain(|read| {
            let wanted = self.log.is_alive(read.at.0);
            if !wanted {
                self.forget(read.at, u64::from(read.len), read.held);
            }
            wanted
        });
        reads
    }

    /// Takes notice that a read has failed.
    ///
    /// # Errors
    /// The failure, unless nobody needs those bytes any more: a file may be removed once all of it is dead.
    pub fn refuse(&mut self, read: &Read, error: StoreError) -> Result<(), StoreError> {
        self.forget(read.at, u64::from(read.len), read.held);
        if self.log.is_alive(read.at.0) { Err(error) } else { Ok(()) }
    }

    /// Forgets a read that brings nothing.
    fn forget(&mut self, at: At, len: u64, held: bool) {
        self.fetch.reserved -= len;
        match held {
            true => _ = self.fetch.held.remove(&at),
            false => _ = self.fetch.looked_up.remove(&at),
        }
    }

    /// Takes what was read. Records that were asked for move to the tail.
    ///
    /// # Errors
    /// If a value in it that is alive is not what [`Store::check_when_read`] was told that it must be.
    pub fn admit(&mut self, mut fetched: Fetched) -> Result<(), StoreError> {
        let suspects = std::mem::take(&mut fetched.suspects);
        if let Some((_, error)) = suspects.into_iter().find(|(at, _)| self.is_alive_in(&fetched, *at)) {
            self.forget(fetched.at, fetched.bytes.len() as u64, fetched.held);
            return Err(error);
        }
        self.take(fetched);
        Ok(())
    }

    /// Whether a record in what was read is the newest of its key.
    fn is_alive_in(&self, fetched: &Fetched, at: usize) -> bool {
        let Some(slot) = self.log.slot_at(fetched.at.0) else { return false };
        let (header, key, _) = parse(&fetched.bytes, at);
        let address = self.log.address(slot, fetched.at.1 + at as u32);
        let table = self.by_id.get(&header.table).and_then(|slot| self.tables[*slot as usize].as_ref());
        let hash = crate::hash::stable_hash(key);
        table.is_some_and(|table| table.index.find(hash, |known| known == address).is_some())
    }

    fn take(&mut self, fetched: Fetched) {
        let len = fetched.bytes.len() as u64;
        if fetched.held {
            match self.fetch.held.get_mut(&fetched.at) {
                Some((_, bytes)) if bytes.is_none() => *bytes = Some(fetched.bytes),
                _ => self.fetch.reserved -= len,
            }
            return;
        }
        self.fetch.reserved -= len;
        let Some((_, wanted)) = self.fetch.looked_up.remove(&fetched.at) else { return };
        for (table, hash, address) in wanted {
            let offset = self.log.offset_of(address);
            self.admit_record(
                table,
                hash,
                address,
                &fetched.bytes[(offset - fetched.at.1) as usize..],
                fetched.at.0,
            );
        }
    }

    /// Moves a record to the tail, unless it was superseded, dropped or freed meanwhile.
    fn admit_record(&mut self, table: TableId, hash: u64, address: Address, bytes: &[u8], sequence: u64) {
        let alive = self.log.slot_at(sequence) == Some(self.log.slot_of(address));
        let table_alive = self.by_id.get(&table.id) == Some(&table.slot);
        // While a table is scanned its records stay where they are, or one would be visited twice.
        if !alive || !table_alive || self.scanning == Some(table) || !self.log.is_evicted(address) {
            return;
        }
        let Store { tables, log, fetched_bytes, .. } = self;
        let table = Store::table_mut(tables, table);
        let stale = planted!(stale_fetch);
        let found = table.index.find_alike(hash, |known, _| known == address || stale);
        let Some((found, old)) = found else { return };
        let size = record_size(bytes);
        let new = log.append_bytes(&bytes[..size]);
        *fetched_bytes += size as u64;
        table.index.replace(found, hash, new);
        if old == address {
            table.moved(log, old, new, size);
        }
    }

    /// Panics if a key that was just not found may be one that was evicted: its owner did not ask for it.
    #[inline]
    pub(super) fn must_be_absent(&self, table: TableId, hash: u64) {
        if !self.is_resident() {
            self.check_absent(table, hash);
        }
    }

    #[cold]
    #[inline(never)]
    fn check_absent(&self, table: TableId, hash: u64) {
        assert!(
            !self.may_be_evicted(table, hash) || self.fetch.absent.contains(&(table, hash)),
            "a key of state {} is not in memory: `missing` must be asked before keys are worked on",
            self.table_ref(table).state
        );
    }
}

/// The size of the record that verified bytes begin with.
pub(super) fn record_size(bytes: &[u8]) -> usize {
    let word =
        u64::from_ne_bytes(bytes[..record::HEADER].try_into().expect("records begin inside their block"));
    Header::from_word(word).size()
}

/// Header, key and value of the record at an offset of a block.
pub(super) fn parse(bytes: &[u8], at: usize) -> (Header, &[u8], &[u8]) {
    let word = bytes[at..at + record::HEADER].try_into().expect("records begin inside their block");
    let header = Header::from_word(u64::from_ne_bytes(word));
    let key = at + record::HEADER;
    let value = key + header.key_len().next_multiple_of(8);
    (header, &bytes[key..key + header.key_len()], &bytes[value..value + header.value_len()])
}

/// Where the records of the block at an offset end, and the next block starts.
pub(super) fn block_ends(bytes: &[u8], at: usize) -> (usize, usize) {
    let header = bytes[at..].first_chunk().map(block::Header::decode);
    let header = header.expect("fetched blocks are whole");
    (at + header.used as usize, at + header.len as usize)
}
