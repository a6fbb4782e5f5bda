//! From a checkpoint back to a store.

use std::path::{Component, Path};

use super::files::Span;
use super::{Store, StoreConfig};
use crate::delta::{self, DeltaReader};
use crate::disk::Disk;
use crate::error::{Damage, StoreError};
use crate::hash::stable_hash;
use crate::log::{Address, record};
use crate::planted;
use crate::snapshot::{self, DeltaFile, StoreSnapshot};

impl Store {
    /// The state of `parts` as far as `owns` says so of a state and a key. The files lie in `dir`.
    ///
    /// One part that is owned as a whole is adopted: its files stay part of the next snapshots, and only what
    /// changes is written again. Otherwise the keys are copied into a new log, tables of equal state and namespace
    /// become one, and the next checkpoint writes everything. [`Store::meta`] is kept of a single part only:
    /// how several go together is the owner's knowledge.
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
    /// let of_j = block_on(Store::restore(&StdDisk, dir, config, &[snapshot], |_, key| key[0] == b'J'))?;
    /// let table = of_j.table(0, 0).expect("it was in the snapshot");
    /// assert_eq!(of_j.len(table), 1);
    /// assert_eq!(of_j.get(table, stable_hash(b"JFK"), b"JFK"), Some(&b"1"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If a byte of any file is not as it was written, or a part is of another format. Nothing is used then.
    pub async fn restore(
        disk: &dyn Disk,
        dir: &Path,
        config: StoreConfig,
        parts: &[StoreSnapshot],
        owns: impl Fn(u32, &[u8]) -> bool,
    ) -> Result<Store, StoreError> {
        let mut merged = Store::new(config.clone());
        for part in parts {
            let loader = Loader { store: Store::new(config.clone()), skipped: false, owns: &owns };
            let (store, whole) = loader.load(disk, dir, part).await?;
            if whole && parts.len() == 1 {
                return Ok(store);
            }
            merged.absorb(&store)?;
        }
        if let [part] = parts {
            merged.meta = part.meta.clone();
        }
        merged.last_epoch = parts.iter().map(|part| part.epoch).max();
        merged.appended_bytes = 0;
        Ok(merged)
    }

    /// Copies all keys of another store.
    fn absorb(&mut self, other: &Store) -> Result<(), StoreError> {
        for (&(state, namespace), &from) in &other.by_name {
            let to = self.create_table(state, namespace);
            let mut result = Ok(());
            other.for_each(from, |key, value| {
                if result.is_ok() {
                    result = self.put(to, stable_hash(key), key, value);
                }
            });
            result?;
        }
        Ok(())
    }
}

/// Reads one part into a store that adopts its files.
struct Loader<'a, F> {
    store: Store,
    /// Whether a record was left out because its key is not owned.
    skipped: bool,
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
        for table in &part.tables {
            self.store.insert_table(table.id, table.state, table.namespace);
        }
        self.store.next_table = part.next_table;
        self.store.last_epoch = Some(part.epoch);
        self.store.meta = part.meta.clone();
        for file in &part.files {
            self.load_file(disk, dir, part, file).await?;
        }
        self.store.log.seal();
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
        let mut spans: Vec<Span> = Vec::new();
        while let Some((offset, block)) = reader.next_block().await? {
            if block.len() > self.store.config.segment_bytes {
                return Err(refused(part, format!("segments must have at least {} bytes", block.len())));
            }
            let (sequence, address) = self.store.log.adopt_block(block);
            let start = self.store.log.offset_of(address);
            add_block(&mut spans, sequence, start, block.len());
            for record in delta::records(block) {
                let (at, header) = record.map_err(|(at, damage)| damaged(&path, offset, at, damage))?;
                self.enter(address + at as u64, header);
            }
        }
        self.store.add_file(file.clone(), spans);
        Ok(())
    }

    /// Replays one record.
    fn enter(&mut self, address: Address, header: record::Header) {
        let Store { tables, by_id, log, .. } = &mut self.store;
        let table = by_id.get(&header.table).and_then(|slot| tables[*slot as usize].as_mut());
        let Some(table) = table else { return };
        if !(self.owns)(table.state, log.key(address)) {
            self.skipped = true;
            return;
        }
        let hash = log.hash(address);
        let found = table.index.find(hash, |other| log.key_is(other, log.key(address)));
        match (found, header.is_tombstone()) {
            (None, false) => table.enter(log, hash, address),
            (Some((found, old)), false) => {
                table.index.replace(found, hash, address);
                table.supersede(log, old, address);
            }
            (found, true) => {
                log.count_tombstone(address, header.size());
                if let Some((found, old)) = found.filter(|_| !planted!(tombstones_ignored)) {
                    table.index.remove(found);
                    table.forget(log, old);
                }
            }
        }
    }
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
    let in_order = part.files.is_sorted_by(|a, b| a.epoch < b.epoch);
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

/// Adds a block behind the last span, or begins another.
fn add_block(spans: &mut Vec<Span>, sequence: u64, start: u32, len: usize) {
    let end = start + len as u32;
    match spans.last_mut() {
        Some(last) if last.sequence == sequence && last.end == start => last.end = end,
        _ => spans.push(Span { sequence, start, end }),
    }
}

fn refused(part: &StoreSnapshot, reason: String) -> StoreError {
    StoreError::Refused { store: part.name.clone(), reason }
}

fn damaged(path: &Path, block: u64, at: usize, damage: Damage) -> StoreError {
    StoreError::damaged(path, block + at as u64, damage)
}
