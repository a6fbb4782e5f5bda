//! A restore that leaves most of a state where it is: of files with an index only that is read, and a record when it is
//! needed first.
//!
//! What is read then must be what the index has told. The owner may have values looked at, too, before they are used.

use std::path::Path;
use std::rc::Rc;

use super::files::Span;
use super::load::Loader;
use super::restore::{adopt_blocks, refused};
use super::{Scan, Store, StoreConfig, TableId};
use crate::delta::DeltaReader;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::file_index::check::Rules;
use crate::file_index::digest;
use crate::file_index::read::{Group, IndexReader};
use crate::log::absent::Absent;
use crate::planted;
use crate::read::Reader;
use crate::snapshot::{DeltaFile, FileIndex, StoreSnapshot};
use crate::writer::yield_once;

/// The share of the memory that is filled by a restore, with the newest files: they are folded into the next ones, and
/// what was changed last is likely to be needed first.
const FILLED: u64 = 4;

/// Which files of a part are left where they are.
pub(super) struct Plan {
    /// Of the older files, so many, as far as they have an index.
    older: usize,
    seed: u64,
    pub(super) rules: Rc<Rules>,
}

impl Plan {
    /// The plan for a part that does not fit into the memory; nothing if no file can be left.
    pub(super) fn of(config: &StoreConfig, part: &StoreSnapshot) -> Option<Plan> {
        let filled = config.budget? / FILLED;
        let mut newest = 0;
        let newer = part.files.iter().rev().take_while(|file| {
            newest += file.bytes;
            newest <= filled
        });
        let older = part.files.len() - newer.count();
        let seed = seed_of(part)?;
        Some(Plan { older, seed, rules: Rc::new(Rules::new(seed, &part.tables)) })
    }

    /// The index of the file of this number, if it is to be left.
    pub(super) fn index_of(&self, number: usize, file: &DeltaFile) -> Option<FileIndex> {
        let known = |index: &FileIndex| index.seed == self.seed || planted!(index_seed_not_kept);
        file.index.filter(|index| number < self.older && known(index))
    }
}

/// The seed of a part's indexes: that of the newest.
pub(super) fn seed_of(part: &StoreSnapshot) -> Option<u64> {
    part.files.iter().rev().find_map(|file| file.index).map(|index| index.seed)
}

/// Enters the records of a file by its index. Where the index is damaged, the rest of the file is read as a whole.
pub(super) async fn adopt_listed<F: Fn(u32, &[u8]) -> bool>(
    loader: &mut Loader<'_, F>,
    (disk, dir): (&dyn Disk, &Path),
    part: &StoreSnapshot,
    file: &DeltaFile,
    (mut index, rules): (IndexReader, &Rc<Rules>),
) -> Result<(), StoreError> {
    loader.store.files.begin(file.clone());
    let file = loader.store.files.leave_newest().expect("it was just begun");
    let mut told = (0, 0);
    loop {
        match index.next().await {
            Ok(None) => break,
            Ok(Some(groups)) => adopt_groups(loader, part, &file, rules, (&mut told, &groups))?,
            Err(damage) => {
                loader.store.damaged_indexes.push(damage);
                loader.store.log.leave_absent();
                let mut rest = DeltaReader::open_rest(disk, dir, &file, told).await?;
                let adopted = adopt_blocks(loader, part, &mut rest, told.1).await?;
                debug_assert!(adopted, "all of it is owned");
                break;
            }
        }
        yield_once().await;
    }
    loader.store.files.end();
    loader.store.drop_dead_files();
    Ok(())
}

/// Enters the records of blocks that lie one behind the other, from a place in the file on: its byte, and how many blocks
/// lie before it.
fn adopt_groups<F: Fn(u32, &[u8]) -> bool>(
    loader: &mut Loader<'_, F>,
    part: &StoreSnapshot,
    file: &Rc<DeltaFile>,
    rules: &Rc<Rules>,
    ((offset, index), groups): (&mut (u64, u32), &[Group<'_>]),
) -> Result<(), StoreError> {
    if let Some(long) = groups.iter().find(|group| group.len as usize > loader.store.config.segment_bytes) {
        return Err(refused(part, format!("segments must have at least {} bytes", long.len)));
    }
    for group in groups {
        // A segment must not seem to be dead when it is left.
        if !loader.store.log.has_absent_room(group.len) {
            loader.enter_listed();
        }
        let promised = digest(group.bytes);
        let block = Absent { len: group.len, file, offset: *offset, index: *index, promised };
        let (sequence, address) = loader.store.log.adopt_absent(&block, rules);
        let start = loader.store.log.offset_of(address);
        let span = Span { sequence, start, end: start + group.len, offset: *offset, index: *index };
        loader.store.files.extend(span);
        loader.list(group, address);
        *offset += u64::from(group.len);
        *index += 1;
    }
    loader.enter_listed();
    Ok(())
}

impl Store {
    /// As [`Store::restore`], of one part that is owned as a whole: its files stay part of the next snapshots, and nobody is
    /// asked about keys.
    ///
    /// With a limit of memory, of a part that is larger, only the indexes of files are read, as far as there are any, and
    /// the newest files, up to a quarter of the memory. The other records are read, and verified, when they are needed
    /// first. Where an index is damaged the file is read as a whole; [`Store::damaged_indexes`] tells.
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # use millstream_storage::disk::{StdDisk, block_on};
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::read::Reader;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// # let disk = Rc::new(StdDisk);
    /// # let small = StoreConfig { segment_bytes: 64 << 10, block_bytes: 4 << 10, ..StoreConfig::new("counts", 1) };
    /// let mut store = Store::new(StoreConfig { budget: Some(16 << 20), ..small.clone() });
    /// let table = store.create_table(0, 0);
    /// for n in 0..8_000_u32 {
    ///     store.put(table, stable_hash(&n.to_le_bytes()), &n.to_le_bytes(), &[7; 1000])?;
    /// }
    /// let snapshot = block_on(store.seal(1).write(disk.clone(), dir.to_owned()))?;
    ///
    /// let config = StoreConfig { budget: Some(1 << 20), after_epoch: Some(1), ..small };
    /// let mut restored = block_on(Store::restore_whole(disk.clone(), dir, config, &snapshot))?;
    /// let table = restored.table(0, 0).expect("it was in the snapshot");
    /// assert!(restored.len(table) == 8_000 && restored.memory_bytes() < 1 << 20);
    /// assert!(restored.leaves_unread() && restored.damaged_indexes().is_empty());
    ///
    /// let reader = Reader::new(disk, dir.to_owned());
    /// let hash = stable_hash(&9_u32.to_le_bytes());
    /// while !restored.is_present(table, hash) {
    ///     for read in restored.take_reads() {
    ///         restored.admit(block_on(reader.perform(&read))?)?;
    ///     }
    /// }
    /// assert_eq!(restored.get(table, hash, &9_u32.to_le_bytes()), Some(&[7; 1000][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::restore`]. Damage to what was left on disk shows when it is read.
    pub async fn restore_whole(
        disk: Rc<dyn Disk>,
        dir: &Path,
        config: StoreConfig,
        part: &StoreSnapshot,
    ) -> Result<Store, StoreError> {
        Store::restore_parts(disk, dir, config, std::slice::from_ref(part), (|_, _| true, true)).await
    }

    /// What was wrong with the indexes of files that were restored. Nothing was lost by it but time.
    pub fn damaged_indexes(&self) -> &[StoreError] {
        &self.damaged_indexes
    }

    /// Whether records were left on disk by a restore, so that nobody has looked at them yet.
    pub fn leaves_unread(&self) -> bool {
        self.rules.is_some()
    }

    /// Has values of a table looked at that a restore has left on disk, whenever they are read. A read that brings one of
    /// which `check` says that something is wrong fails, and names the place.
    ///
    /// ```
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// store.check_when_read(table, |_, value| match value.len() {
    ///     8 => Ok(()),
    ///     other => Err(format!("a count has eight bytes, not {other}")),
    /// });
    /// assert!(!store.leaves_unread(), "nothing was restored");
    /// ```
    pub fn check_when_read(
        &mut self,
        table: TableId,
        check: impl Fn(&[u8], &[u8]) -> Result<(), String> + 'static,
    ) {
        if let Some(rules) = &self.rules {
            rules.add_check(table.id, Rc::new(check));
        }
    }

    /// As [`Store::visit_all`], without the records that a restore has left on disk.
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # use millstream_storage::disk::{StdDisk, block_on};
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::read::Reader;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// # let reader = Reader::new(Rc::new(StdDisk), "/nowhere".into());
    /// store.put(table, stable_hash(b"JFK"), b"JFK", b"1")?;
    /// let mut keys = 0;
    /// block_on(store.visit_read(&reader, table, |_, _| keys += 1))?;
    /// assert_eq!(keys, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As there.
    pub async fn visit_read(
        &mut self,
        reader: &Reader,
        table: TableId,
        visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        self.visit(Scan::of_what_was_read(), reader, table, visit).await
    }
}
