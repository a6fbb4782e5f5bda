//! The writer's end of one log: a partition, or the log of decisions.

mod retention;

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::disk::{Disk, File, OpenMode, SharedBytes};
use crate::error::{Damage, StoreError};
use crate::planted;

use super::frame::{self, Frame, HEADER, Kind, Meta, Place};
use super::names::{self, Name};
use super::recover::{self, Scanned};

/// A last segment up to this long is copied into the first one of the next writer, so that many short-lived writers
/// do not leave as many files.
const MERGE: u64 = 256 << 10;
/// Files that one flush gives up before it fails.
const ATTEMPTS: u32 = 3;

/// A segment of the log.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) name: Name,
    /// Durable bytes.
    pub(super) bytes: u64,
    /// The greatest timestamp in it, once it is known.
    greatest_time: Option<i64>,
}

/// The segment that is being written.
struct Active {
    file: Rc<dyn File>,
    path: PathBuf,
    generation: u64,
    /// Durable bytes: the next group begins here.
    synced: u64,
    /// What the last mark says.
    marked: u64,
}

/// A log, and what is to be written to it.
pub(super) struct Log {
    disk: Rc<dyn Disk>,
    dir: PathBuf,
    topic: u64,
    partition: u32,
    segment_bytes: u64,
    /// Oldest first; the last one is the active one, if there is an active one.
    pub(super) segments: Vec<Segment>,
    active: Option<Active>,
    next_generation: u64,
    pending: Vec<Frame>,
    next_offset: u64,
    durable_offset: u64,
    /// The last segment is an earlier writer's.
    inherited: bool,
}

/// Why a group was not written.
enum Failure {
    /// It may be tried again in this file.
    Full(StoreError),
    /// Nothing more may be written to this file.
    Broken(StoreError),
}

impl Log {
    /// Finds out what the log in `dir` holds, and gives the frames of its last segment to `each`. Nothing is written
    /// yet: [`settle`](Log::settle) makes durable what was found.
    ///
    /// # Errors
    /// If the disk refuses, or frames that had been durable are damaged or missing. Offsets below `known_end` had
    /// been.
    pub(super) async fn recover(
        disk: Rc<dyn Disk>,
        dir: PathBuf,
        (topic, partition): (u64, u32),
        segment_bytes: u64,
        known_end: u64,
        each: impl FnMut(&Meta, SharedBytes),
    ) -> Result<(Log, Option<Scanned>), StoreError> {
        // What is seen may be unsynced names of a writer that died; what they replace is removed below.
        disk.sync_dir(&dir).await.map_err(StoreError::io("sync the directory", &dir))?;
        let listing = names::list(&*disk, &dir).await?;
        let left_over: Vec<_> =
            listing.replaced.iter().map(|name| name.file()).chain(listing.pending).collect();
        let segments = listing.chain.into_iter();
        let mut log = Log {
            segments: segments.map(|(name, bytes)| Segment { name, bytes, greatest_time: None }).collect(),
            disk,
            dir,
            topic,
            partition,
            segment_bytes,
            active: None,
            next_generation: listing.next_generation.max(1),
            pending: Vec::new(),
            next_offset: 0,
            durable_offset: 0,
            inherited: true,
        };
        let scanned = log.scan_last(each).await?;
        log.check_end(known_end, scanned.as_ref())?;
        for name in left_over {
            // If it cannot be removed, the next writer will.
            drop(log.disk.remove(&log.dir.join(name)).await);
        }
        log.durable_offset = log.next_offset;
        Ok((log, scanned))
    }

    async fn scan_last(
        &mut self,
        each: impl FnMut(&Meta, SharedBytes),
    ) -> Result<Option<Scanned>, StoreError> {
        let Some(last) = self.segments.last() else { return Ok(None) };
        let (name, path) = (last.name, self.dir.join(last.name.file()));
        let scanned = recover::scan(&*self.disk, &path, self.place(name, 0), name.base, each).await?;
        self.next_offset = scanned.end_offset;
        let last = self.segments.last_mut().expect("just seen");
        (last.bytes, last.greatest_time) = (scanned.end, Some(scanned.greatest_time));
        Ok(Some(scanned))
    }

    /// Whether the segments begin where they may: before them everything was removed on purpose.
    pub(super) fn check_start(&self, start: u64) -> Result<(), StoreError> {
        match self.segments.first() {
            Some(first) if first.name.base > start => {
                let what = format!("the segment with offset {start} is missing");
                Err(StoreError::damaged(&self.dir, 0, Damage::Malformed(what)))
            }
            _ => Ok(()),
        }
    }

    /// Whether everything is there that had been durable.
    fn check_end(&self, known_end: u64, scanned: Option<&Scanned>) -> Result<(), StoreError> {
        if self.next_offset >= known_end {
            return Ok(());
        }
        let (path, at) = match (self.segments.last(), scanned) {
            (Some(last), Some(scanned)) => (self.dir.join(last.name.file()), scanned.end),
            _ => (self.dir.clone(), 0),
        };
        let damage = scanned.and_then(|scanned| scanned.tail.clone()).unwrap_or_else(|| {
            let found = self.next_offset;
            Damage::Malformed(format!("its records end at offset {found}, but went up to {known_end}"))
        });
        Err(StoreError::damaged(&path, at, damage))
    }

    /// Makes durable what recovery found beyond what was known to be: nobody can sync the old file again, as a sync
    /// of it may have failed unseen.
    pub(super) async fn settle(&mut self, scanned: Option<Scanned>) -> Result<(), StoreError> {
        let Some(Scanned { synced, end, .. }) = scanned.filter(|scanned| scanned.synced < scanned.end) else {
            return Ok(());
        };
        let from = if end <= MERGE { 0 } else { synced };
        let carried = self.read_last(from, end).await?;
        self.new_segment(carried).await
    }

    async fn read_last(&self, from: u64, to: u64) -> Result<Vec<Frame>, StoreError> {
        let last = self.segments.last().expect("what was scanned is there");
        let path = self.dir.join(last.name.file());
        recover::frames(&*self.disk, &path, self.place(last.name, 0), from, to).await
    }

    fn place(&self, name: Name, position: u64) -> Place {
        let (topic, partition, generation) = (self.topic, self.partition, name.generation);
        Place { topic, partition, generation, position }
    }

    /// The offset of the next record that is appended.
    pub(super) fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Offsets below this are durable.
    pub(super) fn durable_offset(&self) -> u64 {
        self.durable_offset
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether readers may not know of all that is durable: the last mark was refused.
    pub(super) fn is_untold(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.marked < active.synced)
    }

    /// Durable bytes of the segment that is being written; nothing if there is none.
    pub(super) fn active_bytes(&self) -> Option<u64> {
        self.active.as_ref().map(|active| active.synced)
    }

    /// Adds a frame that begins at [`next_offset`](Log::next_offset) to the next group.
    pub(super) fn push(&mut self, frame: Frame) {
        self.next_offset = frame.meta.end_offset();
        self.pending.push(frame);
    }

    /// Makes everything that was pushed durable: by one write and one sync, and a file more now and then.
    ///
    /// # Errors
    /// If the disk refuses. What was pushed is kept, and the next flush tries again.
    pub(super) async fn flush(&mut self) -> Result<(), StoreError> {
        let mut failed = 0;
        while self.has_pending() {
            if self.active.as_ref().is_none_or(|active| active.synced >= self.segment_bytes) {
                self.roll().await?;
            }
            match self.write_group().await {
                Ok(()) => {}
                Err(Failure::Full(error)) => return Err(error),
                Err(Failure::Broken(error)) => {
                    self.active = None;
                    failed += 1;
                    if failed == ATTEMPTS {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// As [`flush`](Log::flush), but fails instead of starting another file.
    pub(super) async fn flush_here(&mut self) -> Result<(), StoreError> {
        if !self.has_pending() {
            return Ok(());
        }
        match self.write_group().await {
            Ok(()) => Ok(()),
            Err(Failure::Full(error)) => Err(error),
            Err(Failure::Broken(error)) => {
                self.active = None;
                Err(error)
            }
        }
    }

    /// Starts another segment, with what a short one of an earlier writer holds.
    async fn roll(&mut self) -> Result<(), StoreError> {
        let short = self.segments.last().map_or(0, |last| last.bytes);
        let merge = std::mem::take(&mut self.inherited) && (1..=MERGE).contains(&short);
        let carried = if merge { self.read_last(0, short).await? } else { Vec::new() };
        self.new_segment(carried).await
    }

    /// Drops what was pushed, and starts a segment that begins with `opening` instead, which stands for all of it.
    pub(super) async fn restart(&mut self, opening: Frame) -> Result<(), StoreError> {
        self.next_offset = opening.meta.end_offset();
        let outcome = self.new_segment(vec![opening]).await;
        if outcome.is_ok() {
            self.pending.clear();
            self.durable_offset = self.next_offset;
        }
        outcome
    }

    /// Starts a segment that begins with these frames, or is empty. It gets its name only when they are durable, as
    /// from then on it stands for what older segments hold of them.
    async fn new_segment(&mut self, carried: Vec<Frame>) -> Result<(), StoreError> {
        let base = carried.first().map_or(self.durable_offset, |frame| frame.meta.offset);
        let name = Name { generation: self.next_generation, base };
        self.next_generation += 1;
        self.inherited = false;
        let path = self.dir.join(name.file());
        let made = if carried.is_empty() {
            self.create_empty(&path).await.map(|file| (file, 0))
        } else {
            self.create_with(name, &path, &carried).await
        };
        let (file, synced) = match made {
            Ok(made) => made,
            Err(error) => {
                drop(self.disk.remove(&path).await);
                return Err(error);
            }
        };
        let times = carried.iter().map(|frame| frame.meta.greatest_time);
        let segment = Segment { name, bytes: synced, greatest_time: Some(times.max().unwrap_or(i64::MIN)) };
        while let Some(replaced) = self.segments.pop_if(|older| older.name.base >= base) {
            drop(self.disk.remove(&self.dir.join(replaced.name.file())).await);
        }
        self.segments.push(segment);
        let generation = name.generation;
        self.active = Some(Active { file, path, generation, synced, marked: 0 });
        Ok(())
    }

    async fn create_empty(&self, path: &Path) -> Result<Rc<dyn File>, StoreError> {
        let file = self.disk.open(path, OpenMode::Create).await.map_err(StoreError::io("create", path))?;
        if !planted!(no_segment_dir_sync) {
            self.sync_dir().await?;
        }
        Ok(file)
    }

    async fn create_with(
        &self,
        name: Name,
        path: &Path,
        frames: &[Frame],
    ) -> Result<(Rc<dyn File>, u64), StoreError> {
        let pending = self.dir.join(name.pending());
        let written = async {
            let opened = self.disk.open(&pending, OpenMode::Create).await;
            let file = opened.map_err(StoreError::io("create", &pending))?;
            let group = self.encode(name.generation, 0, frames);
            let bytes = group.len() as u64;
            file.write_at(0, group.into()).await.map_err(StoreError::io("write", &pending))?;
            file.sync().await.map_err(StoreError::io("sync", &pending))?;
            let renamed = self.disk.rename(&pending, path).await;
            renamed.map_err(StoreError::io("rename to its final name", &pending))?;
            Ok::<_, StoreError>((file, bytes))
        };
        let made = written.await;
        if made.is_err() {
            drop(self.disk.remove(&pending).await);
        }
        let made = made?;
        self.sync_dir().await?;
        Ok(made)
    }

    async fn sync_dir(&self) -> Result<(), StoreError> {
        self.disk.sync_dir(&self.dir).await.map_err(StoreError::io("sync the directory", &self.dir))
    }

    fn encode(&self, generation: u64, synced: u64, frames: &[Frame]) -> Vec<u8> {
        let len = frames.iter().map(|frame| frame.meta.bytes() as usize).sum();
        let mut group = Vec::with_capacity(len);
        for frame in frames {
            let position = synced + group.len() as u64;
            let place = Place { topic: self.topic, partition: self.partition, generation, position };
            frame.encode(place, synced, &mut group);
        }
        group
    }

    /// Writes the next group, and syncs it.
    async fn write_group(&mut self) -> Result<(), Failure> {
        let active = self.active.as_ref().expect("a segment was started");
        let group = self.encode(active.generation, active.synced, &self.pending);
        let bytes = group.len() as u64;
        active.file.write_at(active.synced, group.into()).await.map_err(|error| {
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let error = StoreError::io("write", &active.path)(error);
            if full { Failure::Full(error) } else { Failure::Broken(error) }
        })?;
        if !(planted!(decision_not_synced) && self.partition == super::DECISIONS) {
            let synced = active.file.sync().await;
            synced.map_err(|error| Failure::Broken(StoreError::io("sync", &active.path)(error)))?;
        }
        let active = self.active.as_mut().expect("just written to");
        active.synced += bytes;
        let last = self.segments.last_mut().expect("the active one is listed");
        last.bytes = active.synced;
        for frame in self.pending.drain(..) {
            last.greatest_time = last.greatest_time.max(Some(frame.meta.greatest_time));
            self.durable_offset = frame.meta.end_offset();
        }
        Ok(())
    }

    /// Tells readers, and a writer after a crash, that all of the file so far is durable. It costs no sync.
    ///
    /// # Errors
    /// If the disk refuses: then the next mark, or the next group, tells.
    pub(super) async fn mark(&mut self) -> Result<(), StoreError> {
        let Some(active) = self.active.as_mut().filter(|active| active.marked < active.synced) else {
            return Ok(());
        };
        let meta = Meta::plain(Kind::Mark, self.durable_offset, &[]);
        let (topic, partition, generation) = (self.topic, self.partition, active.generation);
        let place = Place { topic, partition, generation, position: active.synced };
        let mark: [u8; HEADER] = frame::header(&meta, place, active.synced);
        let written = active.file.write_at(active.synced, mark.to_vec().into()).await;
        written.map_err(StoreError::io("write", &active.path))?;
        active.marked = active.synced;
        Ok(())
    }

    /// Makes the last mark durable, at the end of a writer's life.
    pub(super) async fn close(&mut self) -> Result<(), StoreError> {
        self.mark().await?;
        let Some(active) = self.active.take() else { return Ok(()) };
        active.file.sync().await.map_err(StoreError::io("sync", &active.path))
    }
}
