//! Readers of a topic: any number of them, in any process.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::disk::Disk;
use crate::error::{Damage, StoreError};
use crate::planted;

use super::batch::Records;
use super::config::{self, TopicConfig};
use super::cursor::{Ahead, Cursor, Segment};
use super::decisions::Fate;
use super::error::TopicError;
use super::follow::Follow;
use super::frame::{Meta, Place};
use super::names::{self, Listing, Name};
use super::partition_dir;
use super::window::Window;

/// How often a segment may vanish between its listing and its opening.
const RACES: u32 = 8;

/// Which records a reader sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Durable ones, of no transaction or of committed ones, in the order of their offsets: the first record of a
    /// transaction that is still open holds back all behind it.
    #[default]
    Committed,
    /// All that are whole, also those of open and aborted transactions, and those that a power failure could still
    /// take back.
    Uncommitted,
}

/// Reads a topic.
///
/// ```
/// # use std::rc::Rc;
/// # use millstream_storage::disk::{StdDisk, block_on};
/// # use millstream_storage::topic::TopicError;
/// use millstream_storage::topic::{BatchBuilder, Isolation, TopicConfig, TopicReader, TopicWriter};
///
/// # let temporary = tempfile::tempdir().expect("there is a temporary directory");
/// # let (dir, disk) = (temporary.path(), Rc::new(StdDisk));
/// # block_on(async {
/// let mut writer = TopicWriter::open_or_create(disk.clone(), dir, TopicConfig::new(7)).await?;
/// let producer = writer.fence("letters", 1)?;
/// let transaction = writer.begin(&producer)?;
/// let mut batch = BatchBuilder::new();
/// batch.push(1_700_000_000_000, None, b"a letter", &[]);
/// writer.append_in(transaction, 0, batch.finish())?;
/// writer.flush().await?;
///
/// let mut reader = TopicReader::open(disk, dir, Isolation::Committed).await?;
/// let mut cursor = reader.seek(0, 0).await?;
/// assert!(reader.next(&mut cursor).await?.is_none(), "it is not committed yet");
/// assert!(!reader.is_settled().await?);
///
/// writer.commit(transaction)?;
/// writer.flush().await?;
/// assert!(reader.is_settled().await?);
/// let records = reader.next(&mut cursor).await?.expect("it is committed");
/// assert_eq!(records.iter().count(), 1);
/// # Ok::<_, TopicError>(())
/// # })?;
/// # Ok::<_, TopicError>(())
/// ```
pub struct TopicReader {
    disk: Rc<dyn Disk>,
    dir: PathBuf,
    config: TopicConfig,
    isolation: Isolation,
    pub(super) decisions: Follow,
    /// By partition and generation: where in a file some offsets lie. It is rebuilt from the headers as far as it is
    /// needed, so it cannot contradict them.
    index: BTreeMap<(u32, u64), Vec<(u64, u64)>>,
}

impl TopicReader {
    /// Opens the topic in `dir`.
    ///
    /// # Errors
    /// If there is none, or the disk refuses.
    pub async fn open(
        disk: Rc<dyn Disk>,
        dir: &Path,
        isolation: Isolation,
    ) -> Result<TopicReader, TopicError> {
        let config = config::load(&*disk, dir).await?;
        let mut decisions = Follow::new(disk.clone(), dir, config);
        decisions.refresh().await?;
        let dir = dir.to_owned();
        Ok(TopicReader { disk, dir, config, isolation, decisions, index: BTreeMap::new() })
    }

    /// How many partitions the topic has.
    pub fn partitions(&self) -> u32 {
        self.config.partitions
    }

    /// The first offset that is left in a partition, and the one behind the last record that is durable, or with
    /// [`Isolation::Uncommitted`] whole.
    ///
    /// # Errors
    /// If there is no such partition, or the disk refuses.
    pub async fn range(&mut self, partition: u32) -> Result<Range<u64>, TopicError> {
        self.check(partition)?;
        let mut doubted = false;
        for _ in 0..RACES {
            let known = self.known_end(partition);
            let listing = self.list(partition).await?;
            self.decisions.refresh().await?;
            match self.measure(partition, &listing, known).await {
                Ok(None) => {}
                // Perhaps it was listed while a segment was made, as if that were not there.
                Err(TopicError::Store(StoreError::Damaged { .. })) if !doubted => doubted = true,
                measured => return Ok(measured?.expect("the other case is above")),
            }
        }
        Err(self.busy(partition))
    }

    /// The range of a partition that was listed like this; nothing if a segment was removed meanwhile. What had been
    /// `known` to be durable before it was listed must be there.
    async fn measure(
        &mut self,
        partition: u32,
        listing: &Listing,
        known: u64,
    ) -> Result<Option<Range<u64>>, TopicError> {
        let start = self.start(partition, listing, known)?;
        let Some(&(name, _)) = listing.chain.last() else { return Ok(Some(0..0)) };
        let Some(mut segment) = self.enter(partition, name, None).await? else { return Ok(None) };
        self.hop(partition, &mut segment, u64::MAX).await?;
        // Once more from the last entry of the index, to tell what is durable.
        let (from, position) = self.indexed(partition, name, u64::MAX);
        segment.place.position = position;
        let end = segment.end(from, self.isolation == Isolation::Committed, known).await?;
        if end < known {
            self.hop(partition, &mut segment, u64::MAX).await?;
            return Err(segment.missing(end).into());
        }
        Ok(Some(start..end.max(start)))
    }

    /// Offsets below this are known to be durable by what was decided. To be asked before a partition is listed or
    /// read, so that it is at least as new.
    fn known_end(&self, partition: u32) -> u64 {
        self.decisions.state.ends[partition as usize]
    }

    /// Whether a writer that opened the topic now would find nothing to tell or to decide about transactions. If not,
    /// a transaction that seems to be open may be decided: a power failure takes what told readers so, and nobody has
    /// aborted yet what a writer that died left open.
    ///
    /// # Errors
    /// If the disk refuses, or what was decided is damaged.
    pub async fn is_settled(&mut self) -> Result<bool, TopicError> {
        self.decisions.refresh().await?;
        let is_prepared = self.decisions.state.open.values().all(|open| open.prepared.is_some());
        Ok(is_prepared && !self.decisions.untold)
    }

    /// A cursor at an offset: the start of the partition, its end, or one between them.
    ///
    /// # Errors
    /// [`TopicError::OutOfRange`] with the valid range if the offset was removed or is not there yet; if there is no
    /// such partition; or if the disk refuses.
    pub async fn seek(&mut self, partition: u32, offset: u64) -> Result<Cursor, TopicError> {
        self.check(partition)?;
        let mut cursor = Cursor { partition, offset, segment: None };
        if !self.locate(&mut cursor).await? && offset > 0 {
            return Err(self.out_of_range(partition, offset, 0..0));
        }
        Ok(cursor)
    }

    /// The next batch with records that may be seen; nothing if there is none yet. Then [`Cursor::offset`] is where
    /// it will begin.
    ///
    /// # Errors
    /// If the disk refuses; if something that had been durable is damaged, by the name of the file and the place in
    /// it; or [`TopicError::OutOfRange`] if retention has overtaken the cursor.
    pub async fn next(&mut self, cursor: &mut Cursor) -> Result<Option<Records>, TopicError> {
        let (mut read, mut listed, mut doubted, mut decided) = (false, false, false, false);
        loop {
            if cursor.segment.is_none() && !self.locate(cursor).await? {
                return Ok(None);
            }
            let known = self.known_end(cursor.partition);
            let segment = cursor.segment.as_mut().expect("just located");
            match segment.ahead(cursor.offset, self.isolation == Isolation::Committed, known).await {
                Ok(Ahead::Frame(meta, payload)) => match self.fate(&meta, &mut decided).await? {
                    Fate::Open => return Ok(None),
                    // The segment was removed while it is open here. Of what was trimmed nobody remembers what was
                    // aborted: it would pass for committed.
                    _ if self.is_trimmed(cursor) => cursor.segment = None,
                    fate => {
                        let from = std::mem::replace(&mut cursor.offset, meta.end_offset());
                        let segment = cursor.segment.as_mut().expect("still there");
                        let records = Records::open(&meta, payload, from).map_err(|damage| {
                            StoreError::damaged(&segment.window.path, segment.place.position, damage)
                        })?;
                        segment.pass(&meta);
                        (read, listed, doubted) = (false, false, false);
                        if fate == Fate::Committed {
                            return Ok(Some(records));
                        }
                    }
                },
                Ok(Ahead::Over) => {
                    cursor.segment = None;
                    (read, listed, doubted) = (false, false, false);
                }
                // The chunk may be older than the file.
                Ok(Ahead::Tail) if !read => {
                    read = true;
                    segment.window.refresh();
                }
                // The segment may not be the last any more.
                Ok(Ahead::Tail) if !listed => {
                    listed = true;
                    if !self.renew(cursor).await? {
                        return Ok(None);
                    }
                }
                Ok(Ahead::Tail) => return Ok(None),
                // So may the chunk of what seems damaged; and a directory that changes while it is listed may be
                // shown without a segment that is there.
                Err(StoreError::Damaged { .. }) if !doubted => {
                    doubted = true;
                    self.renew(cursor).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What became of the transaction of a frame. Asks the log of decisions once, if it must.
    async fn fate(&mut self, meta: &Meta, decided: &mut bool) -> Result<Fate, TopicError> {
        if meta.transaction == 0 || self.isolation == Isolation::Uncommitted {
            return Ok(Fate::Committed);
        }
        let mut fate = self.decisions.state.fate(meta.transaction);
        if fate == Fate::Open && !std::mem::replace(decided, true) {
            self.decisions.refresh().await?;
            fate = self.decisions.state.fate(meta.transaction);
        }
        if fate == Fate::Open && planted!(past_stable_offset) {
            return Ok(Fate::Committed);
        }
        Ok(fate)
    }

    /// Whether it is known that the cursor's offset is gone: then locating it says so.
    fn is_trimmed(&self, cursor: &Cursor) -> bool {
        let start = self.decisions.starts[cursor.partition as usize];
        cursor.offset < start && !planted!(trimmed_passes_for_committed)
    }

    /// Lists the segments again. If another one goes on, or the cursor's is gone, this one is to be read anew up to
    /// where it counts; otherwise false.
    async fn renew(&mut self, cursor: &mut Cursor) -> Result<bool, TopicError> {
        let listing = self.list(cursor.partition).await?;
        let Some(segment) = &mut cursor.segment else { return Ok(true) };
        segment.window.refresh();
        match holding(&listing, cursor.offset) {
            Some((name, limit)) if name == segment.name => {
                Ok(std::mem::replace(&mut segment.limit, limit) != limit)
            }
            // Replaced, or removed.
            _ => {
                cursor.segment = None;
                Ok(true)
            }
        }
    }

    /// Finds the segment and the place of the cursor's offset. False if the partition has no segment yet.
    async fn locate(&mut self, cursor: &mut Cursor) -> Result<bool, TopicError> {
        let Cursor { partition, offset, .. } = *cursor;
        let mut doubted = false;
        for _ in 0..RACES {
            // What is missing in the listing because it was removed is known to be trimmed after it.
            let known = self.known_end(partition);
            let listing = self.list(partition).await?;
            self.decisions.refresh().await?;
            let start = match self.start(partition, &listing, known) {
                Err(_) if !std::mem::replace(&mut doubted, true) => continue,
                start => start?,
            };
            if offset < start {
                let range = Box::pin(self.range(partition)).await?;
                return Err(self.out_of_range(partition, offset, range));
            }
            let Some((name, limit)) = holding(&listing, offset) else { return Ok(false) };
            let Some(mut segment) = self.enter(partition, name, limit).await? else { continue };
            if offset > name.base {
                let reached = self.hop(partition, &mut segment, offset).await;
                let is_missing = match &reached {
                    Ok(reached) => *reached < offset && (limit.is_some() || *reached < known),
                    Err(error) => matches!(error, TopicError::Store(StoreError::Damaged { .. })),
                };
                // Perhaps it was listed while a segment was made, as if that were not there.
                if is_missing && !std::mem::replace(&mut doubted, true) {
                    continue;
                }
                let reached = reached?;
                if is_missing {
                    return Err(segment.missing(reached).into());
                }
                if reached < offset {
                    return Err(self.out_of_range(partition, offset, start..reached));
                }
            }
            cursor.segment = Some(segment);
            return Ok(true);
        }
        Err(self.busy(partition))
    }

    /// The first offset that is left. A segment that is not there must have been removed on purpose.
    fn start(&self, partition: u32, listing: &Listing, known: u64) -> Result<u64, StoreError> {
        let start = self.decisions.starts[partition as usize];
        let is_lost = match listing.chain.first() {
            Some((first, _)) => first.base > start,
            None => start.max(known) > 0,
        };
        if !is_lost {
            return Ok(start);
        }
        let what = format!("the segment with offset {start} is missing");
        Err(StoreError::damaged(&partition_dir(&self.dir, partition), 0, Damage::Malformed(what)))
    }

    /// Opens a segment; nothing if it was removed meanwhile.
    async fn enter(
        &self,
        partition: u32,
        name: Name,
        limit: Option<u64>,
    ) -> Result<Option<Segment>, TopicError> {
        let path = partition_dir(&self.dir, partition).join(name.file());
        let place = Place { topic: self.config.id, partition, generation: name.generation, position: 0 };
        match Window::open(&*self.disk, &path).await {
            Ok(window) => Ok(Some(Segment { name, window, place, synced: 0, limit })),
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves a segment to the frame that holds an offset, or to the tail; returns the offset that was reached.
    async fn hop(&mut self, partition: u32, segment: &mut Segment, offset: u64) -> Result<u64, TopicError> {
        let (from, position) = self.indexed(partition, segment.name, offset);
        segment.place.position = position;
        let entries = self.index.entry((partition, segment.name.generation)).or_default();
        let note = |offset, position| {
            if entries.last().is_none_or(|last: &(u64, u64)| last.0 < offset) {
                entries.push((offset, position));
            }
        };
        Ok(segment.seek(from, offset, note).await?)
    }

    /// The last entry of the index at or before an offset: an offset, and where its frame begins.
    fn indexed(&self, partition: u32, name: Name, offset: u64) -> (u64, u64) {
        let entries = self.index.get(&(partition, name.generation)).map_or(&[][..], Vec::as_slice);
        let before = entries.partition_point(|(at, _)| *at <= offset);
        before.checked_sub(1).map_or((name.base, 0), |at| entries[at])
    }

    async fn list(&self, partition: u32) -> Result<Listing, TopicError> {
        Ok(names::list(&*self.disk, &partition_dir(&self.dir, partition)).await?)
    }

    /// The segments of a partition that hold its offsets, with their lengths.
    pub(super) async fn segments(&self, partition: u32) -> Result<Vec<u64>, TopicError> {
        Ok(self.list(partition).await?.chain.into_iter().map(|(_, bytes)| bytes).collect())
    }

    fn check(&self, partition: u32) -> Result<(), TopicError> {
        let partitions = self.config.partitions;
        if partition < partitions {
            return Ok(());
        }
        Err(TopicError::NoPartition { dir: self.dir.clone(), partition, partitions })
    }

    fn out_of_range(&self, partition: u32, offset: u64, Range { start, end }: Range<u64>) -> TopicError {
        TopicError::OutOfRange { dir: self.dir.clone(), partition, offset, start, end }
    }

    fn busy(&self, partition: u32) -> TopicError {
        let reason = format!("the segments of partition {partition} vanish faster than they can be opened");
        TopicError::Refused { dir: self.dir.clone(), reason }
    }
}

/// The segment that holds an offset, and where the next one goes on.
fn holding(listing: &Listing, offset: u64) -> Option<(Name, Option<u64>)> {
    let after = listing.chain.partition_point(|(name, _)| name.base <= offset);
    let (name, _) = listing.chain[after.checked_sub(1)?];
    Some((name, listing.chain.get(after).map(|(next, _)| next.base)))
}
