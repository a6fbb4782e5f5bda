//! Sealing: what a checkpoint of the store is, and what becomes of it.

use std::rc::Rc;

use super::Store;
use super::files::{Span, counted, spans};
use crate::log::pending::Ranges;
use crate::planted;
use crate::sealed::Sealed;
use crate::snapshot::{self, DeltaFile, StoreSnapshot, TableEntry};
use crate::spill::Ticket;
use crate::table::Table;

/// A seal whose outcome is not known yet.
pub(super) struct InFlight {
    epoch: u64,
    ranges: Rc<Ranges>,
    /// Ranges from here on are durable nowhere else; those before are of files that are being folded.
    own_from: (u64, u32),
    /// The first file that the new one replaces, with all after it, by its epoch and part.
    folded_from: (u64, u32),
    /// What was being written ahead when the line was drawn: if that failed, it is in this file too.
    ahead: Option<Ticket>,
}

/// Before which all files lie.
const NONE_FOLDED: (u64, u32) = (u64::MAX, u32::MAX);

impl Store {
    /// Draws the line of a checkpoint: what was done before is in it, what is done after is not.
    ///
    /// It costs the same at any size of the state, but for listing tables and files. The bytes that are not
    /// durable yet are written by [`Sealed::write`] while the store goes on; then [`Store::flushed`] or
    /// [`Store::flush_failed`] must tell the store. If neither did before the next seal, the write counts as
    /// failed, and its bytes are written again.
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # use millstream_storage::disk::{StdDisk, block_on};
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// let mut store = Store::new(StoreConfig::new("counts", 1));
    /// let table = store.create_table(0, 0);
    /// let hash = stable_hash(b"JFK");
    /// store.put(table, hash, b"JFK", b"before")?;
    /// let sealed = store.seal(1);
    /// store.put(table, hash, b"JFK", b"after")?;
    /// let snapshot = block_on(sealed.write(Rc::new(StdDisk), dir.to_owned()))?;
    /// store.flushed(1, &snapshot);
    ///
    /// let config = StoreConfig::new("counts", 1);
    /// let restored = block_on(Store::restore(Rc::new(StdDisk), dir, config, &[snapshot], |_, _| true))?;
    /// assert_eq!(restored.get(table, hash, b"JFK"), Some(&b"before"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// If the epoch is not above that of every earlier seal, failed ones and the restored one included: the order
    /// of epochs is the order of the log.
    pub fn seal(&mut self, epoch: u64) -> Sealed {
        let last = self.last_epoch.replace(epoch);
        assert!(last < Some(epoch), "epoch {epoch} was sealed after epoch {last:?}; epochs must rise");
        if let Some(unfinished) = self.in_flight.take() {
            self.put_back(&unfinished);
        }
        self.settle_spill();
        // Of one that is dead meanwhile the tombstones may be dropped already: naming it would bring back what they hid.
        let ahead = self.spilling.clone().filter(|ahead| self.is_alive(ahead) || planted!(dead_spill_named));
        self.part = 0;
        self.log.seal();
        self.drop_dead_files();
        let mut ranges = self.log.pending.take();
        let own_from = ranges.first_key_value().map_or((0, 0), |(at, _)| *at);
        // What is being written ahead comes before this file: nothing older may be repeated in it.
        let folded_from = if ahead.is_some() { NONE_FOLDED } else { self.fold(&mut ranges) };
        let snapshot = self.snapshot(epoch, folded_from);
        let ranges = Rc::new(ranges);
        let seed = self.config.budget.map(|_| self.seed);
        let sealed = Sealed::new(snapshot, ranges.clone(), ahead.clone(), seed);
        self.in_flight = Some(InFlight { epoch, ranges, own_from, folded_from, ahead });
        sealed
    }

    /// Whether a segment that is being written ahead holds anything yet.
    fn is_alive(&self, ahead: &Ticket) -> bool {
        ahead.ranges.keys().any(|at| self.log.is_alive(at.0))
    }

    /// Adds the blocks of the newest files when there are many small ones. Returns the epoch of the first of them.
    fn fold(&self, ranges: &mut Ranges) -> (u64, u32) {
        let bytes = ranges.iter().map(|(at, range)| u64::from(range.end - at.1)).sum();
        let folded = self.files.to_fold(bytes);
        for span in folded.iter().flat_map(|file| &file.spans) {
            ranges.insert((span.sequence, span.start), self.log.range(span.sequence, span.end));
        }
        folded.first().map_or(NONE_FOLDED, |file| (file.file.epoch, file.file.part))
    }

    /// Tells the store that the checkpoint of `epoch` is durable, and what [`Sealed::write`] returned for it.
    /// Ignored if that seal was given up meanwhile.
    pub fn flushed(&mut self, epoch: u64, snapshot: &StoreSnapshot) {
        let Some(flight) = self.in_flight.take_if(|flight| flight.epoch == epoch) else { return };
        // What was being written ahead has come to its end: the file waited for that.
        self.settle_spill();
        let failed = flight.ahead.as_ref().and_then(Ticket::failed);
        let Some(file) = snapshot.files.last().filter(|file| (file.epoch, file.part) == (epoch, 0)) else {
            return;
        };
        self.files.remove_from(flight.folded_from);
        let none = Ranges::new();
        let repeated = failed.as_deref().unwrap_or(&none);
        for (at, range) in repeated.iter().chain(flight.ranges.range(flight.own_from..)) {
            self.log.pending.remove(*at);
            self.log.count_durable(at.0, range.end - at.1);
        }
        self.written_bytes += file.file_bytes();
        let spans = spans(counted(repeated).chain(counted(&flight.ranges)));
        self.add_file(file.clone(), spans);
    }

    /// Enters a durable file that holds these parts of the log, in its order.
    pub(super) fn add_file(&mut self, file: DeltaFile, mut spans: Vec<Span>) {
        self.drop_dead_files();
        spans.retain(|span| self.log.is_alive(span.sequence));
        self.files.add(file, spans);
    }

    /// Tells the store that the write of `epoch` failed or was given up: its bytes go into the next checkpoint.
    /// Ignored if that seal was given up already.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// store.put(table, stable_hash(b"JFK"), b"JFK", b"1")?;
    /// let first = store.seal(1).bytes();
    /// store.flush_failed(1);
    /// assert!(store.seal(2).bytes() >= first);
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    pub fn flush_failed(&mut self, epoch: u64) {
        if let Some(failed) = self.in_flight.take_if(|flight| flight.epoch == epoch) {
            self.put_back(&failed);
        }
    }

    fn put_back(&mut self, failed: &InFlight) {
        if planted!(failed_flush_forgotten) {
            return;
        }
        for (at, range) in failed.ranges.range(failed.own_from..) {
            if self.log.is_alive(at.0) {
                self.log.pending.put_back(*at, range.clone());
            }
        }
    }

    pub(super) fn drop_dead_files(&mut self) {
        let freed = self.log.take_freed();
        if !freed.is_empty() {
            self.files.forget_segments(freed);
        }
    }

    /// The snapshot of a seal, without the file that it is going to write and those that this one replaces.
    fn snapshot(&self, epoch: u64, folded_from: (u64, u32)) -> StoreSnapshot {
        let tables = self.by_id.iter().filter_map(|(&id, &slot)| {
            let table = self.tables[slot as usize].as_ref()?;
            let &Table { state, namespace, layout, ref index, .. } = table;
            Some(TableEntry { id, state, namespace, layout, keys: index.len() as u64 })
        });
        StoreSnapshot {
            format: snapshot::FORMAT,
            name: self.config.name.clone(),
            store_id: self.config.id,
            epoch,
            files: self.files.before(folded_from).cloned().collect(),
            tables: tables.collect(),
            next_table: self.next_table,
            meta: self.meta.clone(),
        }
    }
}
