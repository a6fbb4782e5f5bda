//! Visiting a table in the order of the log, whether its records are in memory or not.
//!
//! Each block is read once, in long reads ahead of the visit; in the order of the keys' hashes every record would need
//! a read of its own.

use super::fetch::{block_ends, parse};
use super::{Store, TableId};
use crate::error::StoreError;
use crate::hash::stable_hash;
use crate::log::block;
use crate::read::Reader;

/// Bytes of a read.
pub(super) const STRETCH: usize = 256 << 10;
/// Reads ahead of the visit.
const AHEAD: usize = 4;

/// How far a visit is.
///
/// ```
/// use millstream_storage::{read::Reader, store::{Scan, ScanStep}};
/// # use std::rc::Rc;
/// # use millstream_storage::disk::{StdDisk, block_on};
/// # use millstream_storage::hash::stable_hash;
/// # use millstream_storage::store::{Store, StoreConfig};
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path().to_owned();
/// # let disk = Rc::new(StdDisk);
/// # let small = StoreConfig { segment_bytes: 16 << 10, block_bytes: 4 << 10, ..StoreConfig::new("counts", 1) };
/// # let mut store = Store::new(StoreConfig { budget: Some(1 << 20), ..small });
/// # let table = store.create_table(0, 0);
/// # for n in 0..20_000_u32 {
/// #     let key = n.to_le_bytes();
/// #     store.put(table, stable_hash(&key), &key, &[0; 100])?;
/// #     while n % 100 == 0 && (store.maintain(64 << 10) > 0 || !store.has_room()) {
/// #         if let Some(spill) = store.spill() {
/// #             block_on(spill.write(disk.clone(), dir.clone()))?;
/// #         }
/// #     }
/// # }
///
/// let reader = Reader::new(disk, dir);
/// let (mut scan, mut visited) = (Scan::default(), 0);
/// loop {
///     match store.scan(table, &mut scan, 1_000, |_, _| visited += 1) {
///         ScanStep::Done => break,
///         ScanStep::More => {} // Other work may be done here.
///         ScanStep::Fetch => {
///             for read in store.take_reads() {
///                 store.admit(block_on(reader.perform(&read))?)?;
///             }
///         }
///     }
/// }
/// assert_eq!(visited, 20_000);
///
/// // The same, where nothing else is to be done meanwhile.
/// block_on(store.visit_all(&reader, table, |_, _| visited -= 1))?;
/// assert_eq!(visited, 0);
///
/// // One that is given up.
/// store.scan(table, &mut Scan::default(), 1, |_, _| {});
/// store.end_scan();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Scan {
    sequence: u64,
    block: u32,
    /// The next record, in bytes from the segment's start; 0 before the first of the block.
    record: u32,
    /// Whether segments are passed over that a restore has left on disk.
    passes_over: bool,
}

impl Scan {
    /// Of what was read since the restore.
    pub(super) fn of_what_was_read() -> Scan {
        Scan { passes_over: true, ..Scan::default() }
    }

    /// On to the beginning of a segment.
    fn go_to(&mut self, sequence: u64) {
        *self = Scan { sequence, block: 0, record: 0, ..*self };
    }
}

/// What a step of a scan has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanStep {
    /// Everything was visited.
    Done,
    /// The limit was reached: go on with the same scan.
    More,
    /// The next records are on disk: go on once the reads of [`Store::take_reads`] were admitted.
    Fetch,
}

impl Store {
    /// Visits about `limit` keys of a table with their values, in the order of the log: each key once, if nothing of
    /// the table is written until the scan is done. Until then, or until [`Store::end_scan`], nothing is compacted, and
    /// records of the table that are fetched stay where they are.
    pub fn scan(
        &mut self,
        table: TableId,
        scan: &mut Scan,
        limit: usize,
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> ScanStep {
        self.scanning = Some(table);
        let mut left = limit.max(1);
        loop {
            let Some((sequence, slot)) = self.next_share(table, scan, scan.sequence) else {
                self.end_scan();
                return ScanStep::Done;
            };
            if scan.sequence != sequence {
                scan.go_to(sequence);
                self.fetch.release_before((sequence, 0));
            }
            let step = match self.log.segment(slot).evicted.is_some() {
                true => self.scan_evicted(table, slot, scan, &mut left, &mut visit),
                false => self.scan_resident(table, slot, scan, &mut left, &mut visit),
            };
            match step {
                ScanStep::Done => scan.go_to(sequence + 1),
                other => return other,
            }
        }
    }

    /// Ends a scan, also in the middle.
    pub fn end_scan(&mut self) {
        self.scanning = None;
        self.fetch.release_before((u64::MAX, 0));
    }

    /// The next segment with live records of a table.
    fn next_share(&self, table: TableId, scan: &Scan, from: u64) -> Option<(u64, u32)> {
        let shares = &self.table_ref(table).shares;
        let visited = |slot: u32| !(scan.passes_over && self.log.is_unread(slot));
        self.log.segments_from(from).find(|(_, slot)| shares.of(*slot) > 0 && visited(*slot))
    }

    fn scan_resident(
        &self,
        table: TableId,
        slot: u32,
        scan: &mut Scan,
        left: &mut usize,
        visit: &mut impl FnMut(&[u8], &[u8]),
    ) -> ScanStep {
        while let Some((start, end, next)) = self.log.records_at(slot, scan.block) {
            scan.record = scan.record.max(start);
            while scan.record < end {
                let address = self.log.address(slot, scan.record);
                let header = self.log.header(address);
                scan.record += header.size() as u32;
                if header.table != table.id || header.is_tombstone() {
                    continue;
                }
                if self.is_newest(table, self.log.key(address), address) {
                    visit(self.log.key(address), self.log.value(address));
                    *left -= 1;
                    if *left == 0 {
                        return ScanStep::More;
                    }
                }
            }
            (scan.block, scan.record) = (next, 0);
        }
        ScanStep::Done
    }

    fn scan_evicted(
        &mut self,
        table: TableId,
        slot: u32,
        scan: &mut Scan,
        left: &mut usize,
        visit: &mut impl FnMut(&[u8], &[u8]),
    ) -> ScanStep {
        self.read_ahead(table, slot, scan);
        while scan.block < self.log.segment(slot).end {
            self.fetch.release_before((scan.sequence, scan.block));
            let Some((first, Some(bytes))) = self.fetch.held_at((scan.sequence, scan.block)) else {
                self.read_ahead(table, slot, scan);
                return ScanStep::Fetch;
            };
            let (end, next) = block_ends(bytes, (scan.block - first) as usize);
            scan.record = scan.record.max(scan.block + block::HEADER as u32);
            while ((scan.record - first) as usize) < end {
                let address = self.log.address(slot, scan.record);
                let (header, key, value) = parse(bytes, (scan.record - first) as usize);
                scan.record += header.size() as u32;
                let live = header.table == table.id && !header.is_tombstone();
                if live && self.is_newest(table, key, address) {
                    visit(key, value);
                    *left -= 1;
                    if *left == 0 {
                        return ScanStep::More;
                    }
                }
            }
            (scan.block, scan.record) = (first + next as u32, 0);
        }
        ScanStep::Done
    }

    fn is_newest(&self, table: TableId, key: &[u8], address: u64) -> bool {
        self.table_ref(table).index.find_alike(stable_hash(key), |known, _| known == address).is_some()
    }

    /// Asks for the next stretches that hold records of a table.
    fn read_ahead(&mut self, table: TableId, slot: u32, scan: &Scan) {
        let stretch = self.stretch();
        let (mut slot, mut at, mut sequence) = (slot, scan.block, scan.sequence);
        let mut needed = true;
        for _ in 0..AHEAD {
            if at >= self.log.segment(slot).end || self.log.segment(slot).evicted.is_none() {
                let Some((next, of)) = self.next_share(table, scan, sequence + 1) else { return };
                (sequence, slot, at) = (next, of, 0);
                needed = false;
            }
            if self.log.segment(slot).evicted.is_some() {
                let Some(end) = self.hold(slot, at, stretch, needed) else { return };
                (at, needed) = (end, false);
            }
        }
    }

    /// Bytes of a read for a scan or for compaction.
    pub(super) fn stretch(&self) -> usize {
        let share = self.config.budget.map_or(STRETCH as u64, |budget| budget / 64);
        STRETCH.min(share as usize).max(self.config.block_bytes)
    }

    /// Visits all keys of a table in the order of the log, reading what was evicted: for the time before the store is
    /// worked with.
    ///
    /// # Errors
    /// If the disk refuses, or a byte is not as it was written.
    pub async fn visit_all(
        &mut self,
        reader: &Reader,
        table: TableId,
        visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        self.visit(Scan::default(), reader, table, visit).await
    }

    pub(super) async fn visit(
        &mut self,
        mut scan: Scan,
        reader: &Reader,
        table: TableId,
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        loop {
            match self.scan(table, &mut scan, 4096, &mut visit) {
                ScanStep::Done => return Ok(()),
                ScanStep::More => {}
                ScanStep::Fetch => self.perform_reads(reader).await?,
            }
        }
    }

    /// Performs the reads that wait, many at a time, and admits them.
    pub(super) async fn perform_reads(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let mut result = Ok(());
        for (read, outcome) in reader.perform_all(self.take_reads()).await {
            match outcome {
                Ok(fetched) => result = result.and(self.admit(fetched)),
                Err(error) => result = result.and(self.refuse(&read, error)),
            }
        }
        result
    }
}
