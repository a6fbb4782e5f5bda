//! One shard's files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::Disk;
use millstream_storage::planted;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::names::{final_name, pending_name};
use super::spool::{Backlog, PAUSE, Spool};
use super::{Pending, PendingFile, encode, failed};
use crate::error::{ErrorKind, Result};
use crate::host::{Host, LocalFuture};
use crate::sink::{SinkContext, Writer};
use crate::time::Timestamp;

/// Bytes of one write.
const CHUNK_BYTES: usize = 256 << 10;

/// No more batches are taken while this many bytes wait to be written.
const BACKLOG_BYTES: usize = 4 << 20;

/// Writes a file per epoch.
pub(super) struct FileWriter {
    host: Rc<dyn Host>,
    dir: PathBuf,
    shard: usize,
    first_epoch: u64,
    /// Files begun so far.
    seq: u64,
    backlog: Rc<Backlog>,
    /// Encoded, but not on its way to the file yet.
    buffer: Vec<u8>,
    /// The file of the epoch that will end with the next barrier, once there is a chunk of it.
    current: Option<Current>,
    records: u64,
    prepared: Rc<RefCell<BTreeMap<u64, Complete>>>,
}

/// A file that nothing is added to any more, durable or on its way there.
#[derive(Clone)]
struct Complete {
    file: PendingFile,
    spool: Rc<Spool>,
}

/// The file that is being written.
struct Current {
    spool: Rc<Spool>,
    name: String,
    bytes: u64,
}

impl FileWriter {
    pub(super) fn new(cx: SinkContext, dir: PathBuf) -> FileWriter {
        FileWriter {
            host: cx.host,
            dir,
            shard: cx.shard,
            first_epoch: cx.first_epoch,
            seq: 0,
            backlog: Backlog::new(BACKLOG_BYTES, cx.wake),
            buffer: Vec::new(),
            current: None,
            records: 0,
            prepared: Rc::default(),
        }
    }

    /// Sends the buffer on its way to the file, which is created if it is the first of its epoch.
    fn flush(&mut self) {
        let chunk = mem::take(&mut self.buffer);
        if chunk.is_empty() {
            return;
        }
        let current = self.current.get_or_insert_with(|| {
            let name = pending_name(self.first_epoch, self.seq, self.shard);
            self.seq += 1;
            let spool = Spool::create(self.host.clone(), self.dir.join(&name), self.backlog.clone());
            Current { spool, name, bytes: 0 }
        });
        current.bytes += chunk.len() as u64;
        current.spool.push(chunk);
    }

    /// Everything that a restored checkpoint must know how to commit: also the files of earlier epochs, whose
    /// checkpoints may have been aborted or whose commits may not have happened yet.
    fn pending(&self) -> Json {
        let skip = if planted!(aborted_epoch_forgotten) {
            self.prepared.borrow().len().saturating_sub(1)
        } else {
            0
        };
        let files =
            self.prepared.borrow().values().skip(skip).map(|complete| complete.file.clone()).collect();
        json!(Pending { dir: self.dir.display().to_string(), files })
    }
}

impl<T: Serialize> Writer<T> for FileWriter {
    fn write(&mut self, records: &mut Vec<T>, _: &[Timestamp]) -> Result<()> {
        self.backlog.check()?;
        for record in records.drain(..) {
            encode(&record, &mut self.buffer).map_err(|error| error.at(self.dir.display()))?;
            self.records += 1;
            if self.buffer.len() >= CHUNK_BYTES {
                self.flush();
            }
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.backlog.has_room()
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
        self.flush();
        let records = mem::take(&mut self.records);
        if let Some(Current { spool, name: pending, bytes }) = self.current.take() {
            spool.complete();
            let file = PendingFile { name: final_name(epoch, self.shard), pending, bytes, records };
            self.prepared.borrow_mut().insert(epoch, Complete { file, spool });
        }
        let pending = self.pending();
        // Also the files of earlier epochs, which this one vouches for: the disk may have been full for them.
        let spools: Vec<_> = self.prepared.borrow().values().map(|complete| complete.spool.clone()).collect();
        let (disk, dir, backlog) = (self.host.disk(), self.dir.clone(), self.backlog.clone());
        Box::pin(async move {
            backlog.check()?;
            for spool in &spools {
                spool.durable().await?;
            }
            if !spools.is_empty() {
                sync_dir(&*disk, &dir).await?;
            }
            Ok(pending)
        })
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        let (host, dir, prepared) = (self.host.clone(), self.dir.clone(), self.prepared.clone());
        Box::pin(async move {
            let files: Vec<_> = prepared
                .borrow()
                .range(..=epoch)
                .map(|(of, complete)| (*of, complete.file.clone()))
                .collect();
            let disk = host.disk();
            for (_, file) in &files {
                patiently(&*host, async || rename(&*disk, &dir, file).await).await?;
            }
            if !files.is_empty() {
                patiently(&*host, async || sync_dir(&*disk, &dir).await).await?;
            }
            // Only now may a checkpoint leave them out.
            let mut prepared = prepared.borrow_mut();
            files.iter().for_each(|(of, _)| drop(prepared.remove(of)));
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

/// Gives a file its final name.
pub(super) async fn rename(disk: &dyn Disk, dir: &Path, file: &PendingFile) -> Result<()> {
    let (from, to) = (dir.join(&file.pending), dir.join(&file.name));
    let renamed = disk.rename(&from, &to).await;
    renamed.map_err(|error| failed(&format!("rename it to {}", file.name), &from, error))
}

/// Makes the names durable.
pub(super) async fn sync_dir(disk: &dyn Disk, dir: &Path) -> Result<()> {
    disk.sync_dir(dir).await.map_err(|error| failed("sync the directory", dir, error))
}
