//! From a checkpoint back to a store.

use std::path::{Component, Path};
use std::rc::Rc;

use super::files::Span;
use super::operate::{append, check_size};
use super::{Scan, ScanStep, Store, StoreConfig, TableId, TooLarge};
use crate::delta::{self, DeltaReader};
use crate::disk::Disk;
use crate::error::{Damage, StoreError};
use crate::hash::stable_hash;
use crate::index::Index;
use crate::log::{Address, record};
use crate::planted;
use crate::read::Reader;
use crate::snapshot::{self, DeltaFile, StoreSnapshot};

/// Of the budget, what one of two stores may take while the keys of one are copied to the other.
const HALF: u64 = 2;
/// Keys that are copied before the copy is kept within its budget, at most.
const STEP: usize = 256;
/// Bits of a second hash that hold the size of its record, in units of eight bytes.
const SIZE_BITS: u32 = 20;

impl Store {
    /// The state of `parts` as far as `owns` says so of a state and a key. The files lie in `dir`.
    ///
    /// One part that is owned as a whole is adopted: its files stay part of the next snapshots, and only what
    /// changes is written again. Otherwise the keys are copied into a new log, tables of equal state and namespace
    /// become one, and the next checkpoint writes everything. [`Store::meta`] is kept of a single part only:
    /// how several go together is the owner's knowledge.
    ///
    /// A state larger than the budget is evicted while it is read; copies of it are written ahead into `dir`.
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # use millstream_storage::disk::{StdDisk, block_on};
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// let config = StoreConfig::new("counts", 1);
    /// let mut store = Store::new(config.clone());
    /// let table = store.create_table(0, 0);
    /// for key in [b"JFK", b"LAX"] {
    ///     store.put(table, stable_hash(key), key, b"1")?;
    /// }
    /// let snapshot = block_on(store.seal(1).write(Rc::new(StdDisk), dir.to_owned()))?;
    ///
    /// let of_j = block_on(Store::restore(Rc::new(StdDisk), dir, config, &[snapshot], |_, key| key[0] == b'J'))?;
    /// let table = of_j.table(0, 0).expect("it was in the snapshot");
    /// assert_eq!(of_j.len(table), 1);
    /// assert_eq!(of_j.get(table, stable_hash(b"JFK"), b"JFK"), Some(&b"1"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If a byte of any file is not as it was written, or a part is of another format. Nothing is used then.
    pub async fn restore(
        disk: Rc<dyn Disk>,
        dir: &Path,
        config: StoreConfig,
        parts: &[StoreSnapshot],
        owns: impl Fn(u32, &[u8]) -> bool,
    ) -> Result<Store, StoreError> {
        let reader = Reader::new(disk.clone(), dir.to_owned());
        let epoch = parts.iter().map(|part| part.epoch).max().max(config.after_epoch);
        let half = StoreConfig { budget: config.budget.map(|budget| budget / HALF), ..config.clone() };
        let mut merged = Store::new(half.clone());
        merged.last_epoch = epoch;
        for part in parts {
            let only = parts.len() == 1;
            let of_part = if only { config.clone() } else { half.clone() };
            // Nothing may be appended between what is read.
            let config = StoreConfig { pinned_from: None, ..of_part };
            let loader = Loader { store: Store::new(config), skipped: false, checks: None, owns: &owns };
            let (mut store, whole) = loader.load(&*disk, dir, part).await?;
            store.last_epoch = store.last_epoch.max(epoch);
            if whole && only {
                store.pin(half.pinned_from, &reader, &disk, dir).await?;
                return Ok(store);
            }
            store.set_budget(half.budget);
            merged.absorb(&mut store, &reader, &disk, dir).await?;
        }
        if let [part] = parts {
            merged.meta = part.meta.clone();
        }
        merged.set_budget(config.budget);
        merged.appended_bytes = 0;
        Ok(merged)
    }

    /// Copies all keys of another store, none of which it has.
    async fn absorb(
        &mut self,
        other: &mut Store,
        reader: &Reader,
        disk: &Rc<dyn Disk>,
        dir: &Path,
    ) -> Result<(), StoreError> {
        for ((state, namespace), from) in other.by_name.clone() {
            let layout = other.layout(from);
            if let Some(table) = self.table(state, namespace)
                && self.layout(table) != layout
            {
                let reason =
                    format!("its parts differ in the layout of state {state}; they are of different jobs");
                return Err(StoreError::Refused { store: self.config.name.clone(), reason });
            }
            let to = self.create_table_of(state, namespace, layout);
            let mut scan = Scan::default();
            loop {
                let mut result = Ok(());
                let together = STEP.min(self.records_per_segment());
                let step = other.scan(from, &mut scan, together, |key, value| {
                    if result.is_ok() {
                        result = self.enter_new(to, key, value);
                    }
                });
                result?;
                self.make_room(disk, dir).await?;
                match step {
                    ScanStep::Done => break,
                    ScanStep::More => {}
                    ScanStep::Fetch => {
                        other.evict();
                        other.perform_reads(reader).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds a key that is known to be absent.
    fn enter_new(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Result<(), TooLarge> {
        check_size(&self.log, key.len(), value.len())?;
        let Store { tables, log, appended_bytes, .. } = self;
        let table = Store::table_mut(tables, table);
        let new = append(log, appended_bytes, table.id, key, value.len());
        log.value_mut(new).copy_from_slice(value);
        table.enter(log, stable_hash(key), new);
        Ok(())
    }

    /// Writes ahead and evicts until there is room.
    pub(super) async fn make_room(&mut self, disk: &Rc<dyn Disk>, dir: &Path) -> Result<(), StoreError> {
        loop {
            self.evict();
            let Some(spill) = self.spill() else { return Ok(()) };
            let written = spill.write(disk.clone(), dir.to_owned()).await;
            // A name that an earlier run has left is passed over: its number is not used again.
            if self.failed_spills() > 10 {
                return written;
            }
        }
    }
}

/// Reads one part into a store that adopts its files.
struct Loader<'a, F> {
    store: Store,
    /// Whether a record was left out because its key is not owned.
    skipped: bool,
    /// The seed of the second hashes, if records are evicted before it is known which of them are the newest.
    checks: Option<u64>,
    owns: &'a F,
}

impl<F: Fn(u32, &[u8]) -> bool> Loader<'_, F> {
    /// Returns the store, and whether it holds the whole part.
    async fn load(
        mut self,
        disk: &dyn Disk,
        dir: &Path,
        part: &StoreSnapshot,
    ) -> Result<(Store, bool), StoreError> {
        check(part)?;
        let bytes: u64 = part.files.iter().map(|file| file.bytes).sum();
        if self.store.config.budget.is_some_and(|budget| bytes > budget / 2) {
            self.checks = Some(self.store.config.id);
        }
        for table in &part.tables {
            let id = self.store.insert_table(table.id, table.state, table.namespace, table.layout);
            if self.checks.is_some() {
                Store::table_mut(&mut self.store.tables, id).index = Index::checked();
            }
        }
        self.store.next_table = part.next_table;
        self.store.last_epoch = Some(part.epoch);
        self.store.meta = part.meta.clone();
        for file in &part.files {
            self.load_file(disk, dir, part, file).await?;
        }
        self.store.tables.iter_mut().flatten().for_each(|table| table.index.drop_checks());
        self.store.log.seal();
        self.store.drop_dead_files();
        Ok((self.store, !self.skipped))
    }

    async fn load_file(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        part: &StoreSnapshot,
        file: &DeltaFile,
    ) -> Result<(), StoreError> {
        let mut reader = DeltaReader::open(disk, dir, file).await?;
        let path = reader.path().to_owned();
        self.store.files.begin(file.clone());
        let mut index = 0;
        while let Some((offset, block)) = reader.next_block().await? {
            if block.len() > self.store.config.segment_bytes {
                return Err(refused(part, format!("segments must have at least {} bytes", block.len())));
            }
            let (sequence, address) = self.store.log.adopt_block(block);
            let start = self.store.log.offset_of(address);
            let end = start + block.len() as u32;
            self.store.files.extend(Span { sequence, start, end, offset, index });
            self.store.log.count_durable(sequence, block.len() as u32);
            index += 1;
            for record in delta::records(block) {
                let (at, header) = record.map_err(|(at, damage)| damaged(&path, offset, at, damage))?;
                self.enter(address + at as u64, header);
            }
            if self.checks.is_some() {
                self.store.evict();
            }
        }
        self.store.files.end();
        self.store.drop_dead_files();
        Ok(())
    }

    /// Replays one record.
    fn enter(&mut self, address: Address, header: record::Header) {
        let Store { tables, by_id, log, .. } = &mut self.store;
        let table = by_id.get(&header.table).and_then(|slot| tables[*slot as usize].as_mut());
        let Some(table) = table else { return };
        if !(self.owns)(table.state, table.layout.owner(log.key(address))) {
            self.skipped = true;
            return;
        }
        let hash = log.hash(address);
        let check = self.checks.map(|seed| second_hash(seed, log.key(address), header.size()));
        let mut old_size = None;
        // Of an evicted record two hashes are compared, of 92 bits together, one of them with a seed that nobody knows
        // before the run: of a billion keys, two agree in one of 10^9 restores.
        let found =
            table.index.find_alike(hash, |other, known| match (log.is_evicted(other), known, check) {
                (false, ..) => log.key_is(other, log.key(address)),
                (true, Some(known), Some(check)) => {
                    old_size = Some((known as usize & ((1 << SIZE_BITS) - 1)) * 8);
                    known >> SIZE_BITS == check >> SIZE_BITS
                }
                (true, ..) => false,
            });
        let old = found.map(|(found, old)| {
            let size = if log.is_evicted(old) { old_size.unwrap_or(0) } else { log.header(old).size() };
            (found, old, size)
        });
        match (old, header.is_tombstone()) {
            (None, false) => table.enter_checked(log, hash, address, check),
            (Some((found, old, size)), false) => {
                table.index.replace_checked(found, hash, address, check);
                table.supersede_sized(log, old, size, address);
            }
            (found, true) => {
                log.count_tombstone(address, header.size());
                if let Some((found, old, size)) = found.filter(|_| !planted!(tombstones_ignored)) {
                    table.index.remove(found);
                    table.forget_sized(log, old, size);
                }
            }
        }
    }
}

/// A second hash of a key, and the size of its record.
fn second_hash(seed: u64, key: &[u8], size: usize) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(key, seed) << SIZE_BITS | (size as u64 / 8)
}

/// Checks what a snapshot says before any file is opened.
fn check(part: &StoreSnapshot) -> Result<(), StoreError> {
    if part.format != snapshot::FORMAT {
        let (found, known) = (part.format, snapshot::FORMAT);
        let reason = format!(
            "it has format {found}, this version reads format {known}; restore it by the version that wrote it, and take a savepoint"
        );
        return Err(refused(part, reason));
    }
    let plain = |name: &str| {
        let mut components = Path::new(name).components();
        matches!(components.next(), Some(Component::Normal(only)) if only == name)
            && components.next().is_none()
    };
    if let Some(file) = part.files.iter().find(|file| !plain(&file.name)) {
        return Err(refused(
            part,
            format!("{:?} is not the name of a file; the manifest was tampered with", file.name),
        ));
    }
    let in_order = part.files.is_sorted_by(|a, b| (a.epoch, a.part) < (b.epoch, b.part));
    if !in_order || part.files.last().is_some_and(|last| last.epoch > part.epoch) {
        return Err(refused(part, "its files are out of order; the manifest was tampered with".into()));
    }
    let ids =
        part.tables.is_sorted_by(|a, b| a.id < b.id) && part.tables.iter().all(|t| t.id < part.next_table);
    let mut names: Vec<_> = part.tables.iter().map(|table| (table.state, table.namespace)).collect();
    names.sort_unstable();
    if !ids || !names.is_sorted_by(|a, b| a < b) {
        return Err(refused(part, "a table is listed twice; the manifest was tampered with".into()));
    }
    Ok(())
}

fn refused(part: &StoreSnapshot, reason: String) -> StoreError {
    StoreError::Refused { store: part.name.clone(), reason }
}

fn damaged(path: &Path, block: u64, at: usize, damage: Damage) -> StoreError {
    StoreError::damaged(path, block + at as u64, damage)
}
