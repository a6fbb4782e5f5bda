//! One shard's end of the sink.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream::host::{Host, LocalFuture};
use millstream::sink::file::spool::{Backlog, Spool};
use millstream::sink::{SinkContext, Writer};
use millstream::time::Timestamp;
use millstream::{Error, ErrorKind, Result};
use millstream_storage::disk::Disk;
use millstream_storage::planted;
use serde_json::{Value as Json, json};

use crate::commit::Line;
use crate::piece::{Beside, FRAME_BYTES, HEAD, Pending, Piece, failed, file_name, seal};
use crate::recover::Taken;
use crate::sink::Encode;

/// Files that are written at once: one of the epoch that goes on, and those before it that are not written yet.
const OPEN_PIECES: usize = 16;
/// No more batches are taken while this many bytes wait for the disk.
const BACKLOG_BYTES: usize = 4 << 20;
/// While a commit is under way, no more than this is put out for the next: a server that is slower than the job slows it
/// down, instead of being given ever more at once.
const AHEAD_BYTES: u64 = 64 << 20;
/// What the server takes as a row, in bytes.
const ROW_BYTES: usize = 1 << 30;

/// Puts tuples into files, and commits them.
pub(crate) struct RowWriter<T> {
    encode: Encode<T>,
    host: Rc<dyn Host>,
    shard: usize,
    first_epoch: u64,
    /// Files begun so far.
    files: u64,
    /// Records so far.
    number: u64,
    backlog: Rc<Backlog>,
    /// Room for the head of a frame, and tuples.
    frame: Vec<u8>,
    current: Option<Current>,
    /// In the current piece and the frame.
    records: u64,
    shared: Rc<Shared>,
    generation: u64,
}

/// The piece that is being written.
struct Current {
    spool: Rc<Spool>,
    file: String,
    bytes: u64,
}

/// What commits share with the writer.
struct Shared {
    /// The line to the server; a commit takes it while it is under way.
    line: RefCell<Option<Line>>,
    dir: PathBuf,
    /// The path of that in the directory of checkpoints, if they are kept in another place, too.
    beside: Option<PathBuf>,
    sink: String,
    /// Of the tuples.
    shape: u64,
    prepared: RefCell<BTreeMap<u64, Complete>>,
    /// The last epoch that is in the table.
    committed: Cell<u64>,
    /// A commit is under way.
    committing: Cell<bool>,
    wake: std::task::Waker,
}

/// A piece that nothing is added to any more, durable or on its way there.
#[derive(Clone)]
struct Complete {
    piece: Piece,
    spool: Rc<Spool>,
}

impl<T> RowWriter<T> {
    pub(crate) fn new(cx: SinkContext, encode: Encode<T>, line: Line, taken: &Taken) -> RowWriter<T> {
        let committed = taken.committed.get(&(cx.shard as u32)).copied().unwrap_or(0);
        let shared = Shared {
            beside: beside(&cx, &line.dir),
            dir: line.dir.clone(),
            sink: line.target.sink.clone(),
            shape: line.target.shape(),
            line: RefCell::new(Some(line)),
            prepared: RefCell::default(),
            committed: Cell::new(committed),
            committing: Cell::new(false),
            wake: cx.wake.clone(),
        };
        RowWriter {
            encode,
            host: cx.host,
            shard: cx.shard,
            first_epoch: cx.first_epoch,
            files: 0,
            number: 0,
            backlog: Backlog::new(BACKLOG_BYTES, OPEN_PIECES, cx.wake),
            frame: vec![0; HEAD],
            current: None,
            records: 0,
            shared: Rc::new(shared),
            generation: taken.generation,
        }
    }

    fn add(&mut self, record: &T) -> Result<()> {
        let before = self.frame.len();
        let added = (self.encode)(record, self.number, &mut self.frame).and_then(|()| {
            let bytes = self.frame.len() - before;
            if bytes > ROW_BYTES { Err(format!("a row of {bytes} bytes")) } else { Ok(()) }
        });
        added.map_err(|why| {
            self.frame.truncate(before);
            let message = format!("sink `{}`: a record cannot be written: {why}", self.shared.sink);
            Error::new(ErrorKind::Sink, message)
        })?;
        self.number += 1;
        self.records += 1;
        if self.frame.len() >= FRAME_BYTES {
            self.flush();
        }
        Ok(())
    }

    /// Sends the frame on its way to the file, which is created if it is the first of its epoch.
    fn flush(&mut self) {
        if self.frame.len() == HEAD {
            return;
        }
        let mut frame = mem::replace(&mut self.frame, Vec::with_capacity(FRAME_BYTES + 1024));
        self.frame.resize(HEAD, 0);
        let current = self.current.get_or_insert_with(|| {
            let file = file_name(self.first_epoch, self.files, self.shard);
            self.files += 1;
            let path = self.shared.dir.join(&file);
            let spool = Spool::create(self.host.clone(), path, self.backlog.clone());
            Current { spool, file, bytes: 0 }
        });
        seal(&mut frame, &current.file, current.bytes);
        current.bytes += frame.len() as u64;
        current.spool.push(frame);
    }
}

impl<T> Writer<T> for RowWriter<T> {
    fn write(&mut self, records: &mut Vec<T>, _: &[Timestamp]) -> Result<()> {
        self.backlog.check()?;
        records.drain(..).try_for_each(|record| self.add(&record))
    }

    fn has_room(&self) -> bool {
        let ahead = self.current.as_ref().map_or(0, |current| current.bytes);
        self.backlog.has_room() && !(self.shared.committing.get() && ahead > AHEAD_BYTES)
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
        self.flush();
        let records = mem::take(&mut self.records);
        if let Some(Current { spool, file, bytes }) = self.current.take() {
            spool.complete();
            let shape = self.shared.shape;
            let complete = Complete { piece: Piece { epoch, file, bytes, records, shape }, spool };
            self.shared.prepared.borrow_mut().insert(epoch, complete);
        }
        let pending = self.shared.pending();
        // Also the files of earlier epochs, which this one vouches for: the disk may have been full for them.
        let prepared: Vec<Complete> = self.shared.prepared.borrow().values().cloned().collect();
        let (disk, shared, backlog) = (self.host.disk(), self.shared.clone(), self.backlog.clone());
        Box::pin(async move {
            backlog.check()?;
            for complete in prepared.iter().filter(|_| !planted!(piece_not_awaited)) {
                complete.spool.durable(complete.piece.bytes).await?;
            }
            if !prepared.is_empty() {
                sync_dir(&*disk, &shared.dir).await?;
            }
            Ok(json!(pending))
        })
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        let pieces: Vec<Piece> =
            self.shared.prepared.borrow().range(..=epoch).map(|(_, of)| of.piece.clone()).collect();
        if pieces.is_empty() {
            return Box::pin(async { Ok(()) });
        }
        let (shared, disk) = (self.shared.clone(), self.host.disk());
        let (shard, generation) = (self.shard as u32, self.generation);
        Box::pin(async move {
            shared.committing.set(true);
            let done = shared.commit(&*disk, shard, generation, &pieces).await;
            shared.committing.set(false);
            shared.wake.wake_by_ref();
            done
        })
    }
}

/// Where the pieces are in the directory of checkpoints, if those are in an object store, too, and the pieces are there.
fn beside(cx: &SinkContext, dir: &Path) -> Option<PathBuf> {
    let checkpoints = cx.checkpoints.as_ref().filter(|_| cx.generation > 0)?;
    dir.strip_prefix(checkpoints).ok().map(Path::to_owned)
}

impl Shared {
    /// Everything that a restored checkpoint must know how to commit: also the pieces of earlier epochs, whose
    /// checkpoints may have been aborted.
    fn pending(&self) -> Pending {
        let pieces: Vec<Piece> =
            self.prepared.borrow().values().map(|complete| complete.piece.clone()).collect();
        let beside = self.beside.as_ref().map(|dir| {
            let file = |piece: &Piece| Beside {
                path: dir.join(&piece.file).display().to_string(),
                bytes: piece.bytes,
            };
            pieces.iter().map(file).collect()
        });
        let beside = beside.unwrap_or_default();
        Pending { sink: self.sink.clone(), committed: self.committed.get(), pieces, beside }
    }

    async fn commit(&self, disk: &dyn Disk, shard: u32, generation: u64, pieces: &[Piece]) -> Result<()> {
        let line = self.line.borrow_mut().take();
        let mut line = line.expect("one commit follows the other");
        if planted!(piece_removed_early) {
            self.remove(disk, &pieces[..pieces.len() - 1]).await;
        }
        let done = line.commit(shard, (generation, self.committed.get()), pieces).await;
        *self.line.borrow_mut() = Some(line);
        done?;
        let last = pieces.last().expect("there are some").epoch;
        self.committed.set(last);
        // Only now may a checkpoint leave them out.
        self.prepared.borrow_mut().retain(|epoch, _| *epoch > last);
        self.remove(disk, pieces).await;
        Ok(())
    }

    async fn remove(&self, disk: &dyn Disk, pieces: &[Piece]) {
        for piece in pieces {
            // What stays is removed by the next start.
            let _ = disk.remove(&self.dir.join(&piece.file)).await;
        }
    }
}

/// Makes the names of files durable.
async fn sync_dir(disk: &dyn Disk, dir: &Path) -> Result<()> {
    disk.sync_dir(dir).await.map_err(|error| failed("sync the directory", dir, error))
}
