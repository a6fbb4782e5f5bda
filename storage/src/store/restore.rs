//! From a checkpoint back to a store.

use std::path::{Component, Path};
use std::rc::Rc;

use super::files::Span;
use super::lazy::{self, Plan, adopt_listed};
use super::load::Loader;
use super::{Store, StoreConfig, TableId};
use crate::delta::{self, DeltaReader};
use crate::disk::Disk;
use crate::error::{Damage, StoreError};
use crate::file_index::read::IndexReader;
use crate::log::record;
use crate::planted;
use crate::read::Reader;
use crate::snapshot::{self, DeltaFile, StoreSnapshot, TableEntry};

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
        Store::restore_parts(disk, dir, config, parts, (owns, false)).await
    }

    /// As [`Store::restore`]; or, if it is known that all is owned, as [`Store::restore_whole`].
    pub(super) async fn restore_parts(
        disk: Rc<dyn Disk>,
        dir: &Path,
        config: StoreConfig,
        parts: &[StoreSnapshot],
        (owns, whole): (impl Fn(u32, &[u8]) -> bool, bool),
    ) -> Result<Store, StoreError> {
        parts.iter().try_for_each(check)?;
        let epoch = parts.iter().map(|part| part.epoch).max().max(config.after_epoch);
        let (reader, pinned_from) = (Reader::new(disk.clone(), dir.to_owned()), config.pinned_from);
        // Nothing may be appended between what is read.
        let config = StoreConfig { pinned_from: None, ..config };
        if let [part] = parts
            && let Some(mut store) = adopt(&*disk, dir, &config, part, (&owns, whole)).await?
        {
            store.last_epoch = store.last_epoch.max(epoch);
            store.pin(pinned_from, &reader, &disk, dir).await?;
            return Ok(store);
        }
        let mut store = Store::new(config);
        store.last_epoch = epoch;
        let checks = checks(&store, parts);
        let mut loader = Loader::new(store, checks, &owns);
        for part in parts {
            let tables = part.tables.iter().map(|table| Ok((table.id, loader.table_like(table)?)));
            let tables = tables.collect::<Result<_, StoreError>>()?;
            loader.set_tables(tables);
            copy(&disk, dir, &mut loader, part).await?;
        }
        let mut store = loader.finish().await;
        store.pin(pinned_from, &reader, &disk, dir).await?;
        if let [part] = parts {
            store.meta = part.meta.clone();
        }
        store.appended_bytes = 0;
        Ok(store)
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

/// Bytes of memory that a key takes besides its record while it is loaded: in the index, and gathered to be entered.
const ENTERED: u64 = 32;

/// The seed of second hashes, if not all of the parts is sure to stay in memory until it is loaded.
fn checks(store: &Store, parts: &[StoreSnapshot]) -> Option<u64> {
    let bytes: u64 = parts.iter().flat_map(|part| &part.files).map(|file| file.bytes).sum();
    let keys = parts.iter().flat_map(|part| &part.tables).map(|table| table.keys);
    let entered = keys.fold(0_u64, |sum, keys| sum.saturating_add(keys.saturating_mul(ENTERED)));
    let budget = store.config.budget?;
    (bytes.saturating_add(entered) > budget / 2).then_some(store.seed)
}

/// The store of a part, with its files; nothing if not all of it is owned.
async fn adopt(
    disk: &dyn Disk,
    dir: &Path,
    config: &StoreConfig,
    part: &StoreSnapshot,
    (owns, whole): (&impl Fn(u32, &[u8]) -> bool, bool),
) -> Result<Option<Store>, StoreError> {
    // The indexes are as large as the files say, so these are to be that long.
    for file in &part.files {
        delta::open(disk, dir, file).await?;
    }
    let mut store = Store::new(config.clone());
    if let Some(seed) = lazy::seed_of(part).filter(|_| !planted!(index_seed_not_kept)) {
        store.seed = seed;
    }
    let checks = checks(&store, std::slice::from_ref(part));
    let plan = checks.filter(|_| whole).and_then(|_| Plan::of(config, part));
    store.rules = plan.as_ref().map(|plan| plan.rules.clone());
    let mut loader = Loader::new(store, checks, owns);
    let (mut tables, mut most_keys) = (Vec::with_capacity(part.tables.len()), most_keys(part));
    for table in &part.tables {
        let id = loader.store.insert_table(table.id, table.state, table.namespace, table.layout);
        let keys = table.keys.min(most_keys);
        most_keys -= keys;
        loader.expect_keys(id, keys);
        tables.push((table.id, id));
    }
    loader.set_tables(tables);
    loader.store.next_table = part.next_table;
    loader.store.last_epoch = Some(part.epoch);
    loader.store.meta = part.meta.clone();
    let mut files = Files::new(disk, dir, part, plan.as_ref()).await?;
    while let Some(file) = files.next().await? {
        let whole = match file {
            Opened::Blocks(mut reader) => adopt_file(&mut loader, part, &mut reader).await?,
            Opened::Index(file, index) => {
                let rules = loader.store.rules.clone().expect("files are left by a plan");
                adopt_listed(&mut loader, (disk, dir), part, file, (index, &rules)).await?;
                true
            }
        };
        if !whole {
            return Ok(None);
        }
    }
    loader.store.log.leave_absent();
    let mut store = loader.finish().await;
    store.log.seal();
    store.drop_dead_files();
    Ok(Some(store))
}

/// False if something is not owned.
async fn adopt_file<F: Fn(u32, &[u8]) -> bool>(
    loader: &mut Loader<'_, F>,
    part: &StoreSnapshot,
    reader: &mut DeltaReader,
) -> Result<bool, StoreError> {
    loader.store.log.leave_absent();
    loader.store.files.begin(reader.file().clone());
    if !adopt_blocks(loader, part, reader, 0).await? {
        return Ok(false);
    }
    loader.store.files.end();
    loader.store.drop_dead_files();
    Ok(true)
}

/// Enters the blocks of a file from the one of this number on. False if something is not owned.
pub(super) async fn adopt_blocks<F: Fn(u32, &[u8]) -> bool>(
    loader: &mut Loader<'_, F>,
    part: &StoreSnapshot,
    reader: &mut DeltaReader,
    mut index: u32,
) -> Result<bool, StoreError> {
    let path = reader.path().to_owned();
    while let Some((offset, block)) = reader.next_block().await? {
        if block.len() > loader.store.config.segment_bytes {
            return Err(refused(part, format!("segments must have at least {} bytes", block.len())));
        }
        let store = &mut loader.store;
        let (sequence, address) = store.log.adopt_block(block);
        let start = store.log.offset_of(address);
        let end = start + block.len() as u32;
        store.files.extend(Span { sequence, start, end, offset, index });
        store.log.count_durable(sequence, block.len() as u32);
        index += 1;
        let adopted = loader.adopt(block, address);
        if !adopted.map_err(|(at, damage)| damaged(&path, offset, at, damage))? {
            return Ok(false);
        }
        if loader.evicts() {
            loader.store.evict();
        }
    }
    Ok(true)
}

/// Copies what is owned of a part.
async fn copy<F: Fn(u32, &[u8]) -> bool>(
    disk: &Rc<dyn Disk>,
    dir: &Path,
    loader: &mut Loader<'_, F>,
    part: &StoreSnapshot,
) -> Result<(), StoreError> {
    let mut files = Files::new(&**disk, dir, part, None).await?;
    while let Some(file) = files.next().await? {
        let Opened::Blocks(mut reader) = file else { unreachable!("without a plan no file is left") };
        let path = reader.path().to_owned();
        while let Some((offset, block)) = reader.next_block().await? {
            if block.len() > loader.store.config.segment_bytes {
                return Err(refused(part, format!("segments must have at least {} bytes", block.len())));
            }
            loader.copy(block).map_err(|(at, damage)| damaged(&path, offset, at, damage))?;
            if loader.evicts() {
                loader.store.make_room(disk, dir).await?;
            }
        }
    }
    Ok(())
}

impl<F: Fn(u32, &[u8]) -> bool> Loader<'_, F> {
    /// The table that takes the records of one of a part.
    fn table_like(&mut self, table: &TableEntry) -> Result<TableId, StoreError> {
        let store = &mut self.store;
        let known = store.table(table.state, table.namespace);
        if known.is_some_and(|known| store.layout(known) != table.layout) {
            let state = table.state;
            let reason =
                format!("its parts differ in the layout of state {state}; they are of different jobs");
            return Err(StoreError::Refused { store: store.config.name.clone(), reason });
        }
        let made = store.create_table_of(table.state, table.namespace, table.layout);
        if known.is_none() {
            let index = self.index(0);
            Store::table_mut(&mut self.store.tables, made).index = index;
        }
        Ok(made)
    }
}

/// The files of a part in their order, each opened while the one before it is read.
struct Files<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    files: std::iter::Enumerate<std::slice::Iter<'a, DeltaFile>>,
    plan: Option<&'a Plan>,
    next: Option<Opened<'a>>,
}

/// A file that is about to be read.
enum Opened<'a> {
    Blocks(DeltaReader),
    /// By its index alone.
    Index(&'a DeltaFile, IndexReader),
}

impl<'a> Files<'a> {
    async fn new(
        disk: &'a dyn Disk,
        dir: &'a Path,
        part: &'a StoreSnapshot,
        plan: Option<&'a Plan>,
    ) -> Result<Files<'a>, StoreError> {
        let listed = part.files.iter().enumerate();
        let mut files = Files { disk, dir, files: listed, plan, next: None };
        files.open_next().await?;
        Ok(files)
    }

    async fn next(&mut self) -> Result<Option<Opened<'a>>, StoreError> {
        let reader = self.next.take();
        self.open_next().await?;
        Ok(reader)
    }

    async fn open_next(&mut self) -> Result<(), StoreError> {
        let Some((number, file)) = self.files.next() else { return Ok(()) };
        if let Some(index) = self.plan.and_then(|plan| plan.index_of(number, file)) {
            let opened = IndexReader::open(self.disk, self.dir, file, index).await?;
            self.next = Some(Opened::Index(file, opened));
            return Ok(());
        }
        self.next = Some(Opened::Blocks(DeltaReader::open(self.disk, self.dir, file).await?));
        Ok(())
    }
}

/// More keys than a part can hold, by its length: a manifest may be wrong, and memory is taken for what it says.
fn most_keys(part: &StoreSnapshot) -> u64 {
    part.files.iter().map(|file| file.bytes).sum::<u64>() / record::size(1, 0) as u64
}

/// Checks what a snapshot says before any file is opened.
pub(crate) fn check(part: &StoreSnapshot) -> Result<(), StoreError> {
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
    if part.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.file_bytes())).is_none() {
        return Err(refused(
            part,
            "its files are longer than any disk; the manifest was tampered with".into(),
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

pub(super) fn refused(part: &StoreSnapshot, reason: String) -> StoreError {
    StoreError::Refused { store: part.name.clone(), reason }
}

fn damaged(path: &Path, block: u64, at: usize, damage: Damage) -> StoreError {
    StoreError::damaged(path, block + at as u64, damage)
}
