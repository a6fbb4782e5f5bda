//! One shard's files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem;
use std::rc::Rc;

use millstream_storage::planted;
use serde_json::{Value as Json, json};

use super::backlog::Backlog;
use super::format::Format;
use super::names::{Names, epoch_of};
use super::open::{Awaited, Filling, Full, Maker};
use super::partition::{self, Partition};
use super::publish::{make_dirs, partition_of, rename, rounds, sync_dir, touched};
use super::spool::PAUSE;
use super::{FileSink, Pending, PendingFile};
use crate::error::{Error, ErrorKind, Result};
use crate::host::{Host, LocalFuture};
use crate::sink::{SinkContext, Writer};
use crate::time::Timestamp;

/// Bytes of one write; of partitioned output, where many files have a buffer.
const CHUNK_BYTES: usize = 256 << 10;
const SMALL_CHUNK_BYTES: usize = 32 << 10;

/// No more batches are taken while this many bytes wait to be written.
const BACKLOG_BYTES: usize = 4 << 20;

/// Records that are not encoded yet may take this many bytes, over all files of the shard.
const HELD_BYTES: usize = 64 << 20;

/// Writes files, one after the other or one per partition.
pub(super) struct FileWriter<T, F: Format<T>, P> {
    sink: FileSink<F, P>,
    chunk_bytes: usize,
    maker: Maker,
    /// The file of the record before, and those of other partitions.
    current: Option<Filling<F::Encoder>>,
    others: BTreeMap<String, Filling<F::Encoder>>,
    /// How often the partition changed.
    changes: u64,
    /// Held back by the other files.
    others_held: usize,
    /// Those that were filled since the last barrier.
    full: Vec<Full>,
    prepared: Prepared,
    /// No more records will come.
    drained: bool,
}

/// The files of epochs that are not known to be committed.
type Prepared = Rc<RefCell<BTreeMap<u64, Vec<(PendingFile, Awaited)>>>>;

impl<T, F: Format<T>, P: Partition<T>> FileWriter<T, F, P> {
    /// # Errors
    /// If the format cannot be of such records, or settings contradict each other.
    pub(super) fn new(cx: SinkContext, sink: FileSink<F, P>) -> Result<FileWriter<T, F, P>> {
        sink.format.begin().map_err(|error| error.at(sink.dir.display()))?;
        if sink.across && !sink.rolls() {
            let message =
                "files that go on across checkpoints would never end; give them a size or an age to end at";
            return Err(Error::new(ErrorKind::Config, message).at(sink.dir.display()));
        }
        let names = Names {
            first_epoch: cx.first_epoch,
            shard: cx.shard,
            extension: sink.format.extension().to_owned(),
            numbered: P::SPLITS || sink.rolls(),
        };
        if epoch_of(&names.of_final("", 1, 0)).is_none() {
            let message = format!(
                "files with the extension `{}` would not be known again after a crash; it may have letters, digits and \
                 dots between them",
                names.extension
            );
            return Err(Error::new(ErrorKind::Config, message).at(sink.dir.display()));
        }
        let backlog = Backlog::new(BACKLOG_BYTES, sink.open_files, cx.wake);
        let maker = Maker { host: cx.host, dir: sink.dir.clone(), backlog, names, seq: 0 };
        Ok(FileWriter {
            chunk_bytes: if P::SPLITS { SMALL_CHUNK_BYTES } else { CHUNK_BYTES },
            sink,
            maker,
            current: None,
            others: BTreeMap::new(),
            changes: 0,
            others_held: 0,
            full: Vec::new(),
            prepared: Rc::default(),
            drained: false,
        })
    }

    fn add(&mut self, record: &T) -> Result<()> {
        let partition = self.sink.partition.of(record);
        if self.current.as_ref().is_none_or(|current| current.partition != partition) {
            self.turn_to(partition)?;
        }
        let current = self.current.as_mut().expect("it was turned to");
        current.write(record)?;
        if current.size() >= self.sink.roll_at {
            return self.roll();
        }
        if current.held() + self.others_held > HELD_BYTES {
            self.release()?;
        }
        let current = self.current.as_mut().expect("it was written to");
        if current.buffered() >= self.chunk_bytes {
            current.flush(&mut self.maker);
            if self.sink.is_old(current.began, self.maker.host.monotonic()) {
                return self.roll();
            }
        }
        Ok(())
    }

    /// Makes the file of a partition the current one.
    fn turn_to(&mut self, partition: String) -> Result<()> {
        self.changes += 1;
        if let Some(mut current) = self.current.take() {
            current.used = self.changes;
            self.others_held += current.held();
            self.others.insert(current.partition.clone(), current);
        }
        if let Some(file) = self.others.remove(&partition) {
            self.others_held -= file.held();
            self.current = Some(file);
            return Ok(());
        }
        if P::SPLITS {
            partition::check(&partition).map_err(|wrong| {
                let message = format!(
                    "no directory can be called {partition:?}, which a record is to go into: {wrong}"
                );
                Error::new(ErrorKind::Sink, message)
            })?;
        }
        if self.others.len() >= self.sink.open_files {
            self.finish_oldest()?;
        }
        let began = self.maker.host.monotonic();
        self.current = Some(Filling::new(partition, self.sink.format.begin()?, began));
        Ok(())
    }

    /// Ends the file that has not got a record for the longest time.
    fn finish_oldest(&mut self) -> Result<()> {
        let oldest = self.others.values().min_by_key(|file| file.used).map(|file| file.partition.clone());
        if let Some(file) = oldest.and_then(|partition| self.others.remove(&partition)) {
            self.others_held -= file.held();
            self.full.extend(file.finish(&mut self.maker)?);
        }
        Ok(())
    }

    /// Ends the current file.
    fn roll(&mut self) -> Result<()> {
        if let Some(current) = self.current.take() {
            self.full.extend(current.finish(&mut self.maker)?);
        }
        Ok(())
    }

    /// Has the file encode what it holds back that holds back most.
    fn release(&mut self) -> Result<()> {
        let files = self.current.iter_mut().chain(self.others.values_mut());
        if let Some(file) = files.max_by_key(|file| file.held()) {
            file.release()?;
            file.flush(&mut self.maker);
        }
        self.others_held = self.others.values().map(Filling::held).sum();
        Ok(())
    }

    /// Ends what ends with this barrier: all files, unless they go on across checkpoints and are neither old nor the
    /// last ones.
    fn finish_at_barrier(&mut self) -> Result<()> {
        let now = self.maker.host.monotonic();
        let mut files = mem::take(&mut self.others);
        files.extend(self.current.take().map(|current| (current.partition.clone(), current)));
        for (partition, file) in files {
            if self.sink.across && !self.drained && !self.sink.is_old(file.began, now) {
                self.others.insert(partition, file);
            } else {
                self.full.extend(file.finish(&mut self.maker)?);
            }
        }
        self.others_held = self.others.values().map(Filling::held).sum();
        Ok(())
    }

    /// Counts what is full as output of an epoch; returns how many files it has now.
    fn assign(&mut self, epoch: u64) -> usize {
        let full = mem::take(&mut self.full);
        let count = full.len();
        if count == 0 {
            return 0;
        }
        let names = &self.maker.names;
        let files = full.into_iter().enumerate().map(|(part, full)| {
            let Full { partition, pending, bytes, records, awaited } = full;
            let name = names.of_final(&partition, epoch, part);
            (PendingFile { name, pending, bytes, records, open: None }, awaited)
        });
        self.prepared.borrow_mut().entry(epoch).or_default().extend(files);
        count
    }

    /// Everything that a restored checkpoint must know how to commit: also the files of earlier epochs, whose
    /// checkpoints may have been aborted or whose commits may not have happened yet.
    fn prepare(&mut self, epoch: u64) -> Vec<(PendingFile, Awaited)> {
        let parts = self.assign(epoch);
        let prepared = self.prepared.borrow();
        let skip = if planted!(aborted_epoch_forgotten) { prepared.len().saturating_sub(1) } else { 0 };
        let mut files: Vec<_> = prepared.values().skip(skip).flatten().cloned().collect();
        drop(prepared);
        for (part, (partition, file)) in (parts..).zip(&mut self.others) {
            let name = self.maker.names.of_final(partition, epoch, part);
            files.extend(file.sync(&mut self.maker, name));
        }
        files
    }
}

impl<T, F: Format<T>, P: Partition<T>> Writer<T> for FileWriter<T, F, P> {
    fn write(&mut self, records: &mut Vec<T>, _: &[Timestamp]) -> Result<()> {
        self.maker.backlog.check()?;
        for record in records.drain(..) {
            self.add(&record).map_err(|error| error.at(self.sink.dir.display()))?;
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.maker.backlog.has_room()
    }

    fn drained(&mut self) {
        self.drained = true;
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
        let finished = self.finish_at_barrier().map_err(|error| error.at(self.sink.dir.display()));
        let files = self.prepare(epoch);
        let Maker { host, dir, backlog, .. } = &self.maker;
        let (disk, dir, backlog) = (host.disk(), dir.clone(), backlog.clone());
        Box::pin(async move {
            finished?;
            backlog.check()?;
            // Also the files of earlier epochs, which this one vouches for: the disk may have been full for them.
            for (_, awaited) in &files {
                awaited.durable().await?;
            }
            if !files.is_empty() {
                // Now, when a full disk only aborts the checkpoint, not when they are committed.
                make_dirs(&*disk, &dir, files.iter().map(|(file, _)| partition_of(&file.name))).await?;
                sync_dir(&*disk, &dir).await?;
            }
            let forgotten = if planted!(partition_forgotten) && files.len() > 1 { 1 } else { 0 };
            let files = files.into_iter().skip(forgotten).map(|(file, _)| file).collect();
            Ok(json!(Pending { dir: dir.display().to_string(), files }))
        })
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        if planted!(rolled_at_once) {
            self.assign(epoch);
        }
        let (host, dir, prepared) = (self.maker.host.clone(), self.sink.dir.clone(), self.prepared.clone());
        Box::pin(async move {
            let files: Vec<PendingFile> = prepared
                .borrow()
                .range(..=epoch)
                .flat_map(|(_, files)| files)
                .map(|file| file.0.clone())
                .collect();
            let disk = host.disk();
            for round in rounds(files, |file| &file.name) {
                for file in &round {
                    patiently(&*host, async || rename(&*disk, &dir, file).await).await?;
                }
                for dir in touched(&dir, round.iter().map(|file| file.name.as_str())) {
                    patiently(&*host, async || sync_dir(&*disk, &dir).await).await?;
                }
            }
            // Only now may a checkpoint leave them out.
            prepared.borrow_mut().retain(|of, _| *of > epoch);
            Ok(())
        })
    }
}

/// Repeats an operation for as long as the machine lacks room for it.
async fn patiently(host: &dyn Host, operation: impl AsyncFn() -> Result<()>) -> Result<()> {
    loop {
        match operation().await {
            Err(error) if error.kind() == ErrorKind::Exhausted => host.sleep(PAUSE).await,
            done => return done,
        }
    }
}
