//! A file that is being filled, and one that is full.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crc32fast::Hasher;
use millstream_storage::planted;

use super::PendingFile;
use super::backlog::Backlog;
use super::format::Encoder;
use super::spool::Spool;
use crate::error::Result;
use crate::host::Host;

/// A file that is being filled.
pub(super) struct Filling<E> {
    pub(super) partition: String,
    /// When it was begun, by the host's monotonic clock.
    pub(super) began: Duration,
    /// When a record was last added, as a number that rises.
    pub(super) used: u64,
    encoder: E,
    /// The memory that its records take which are not encoded yet, in bytes.
    held: usize,
    body: Body,
}

/// The bytes of a file, and how far they have come.
#[derive(Default)]
struct Body {
    /// Encoded, but not on their way to the file yet.
    buffer: Vec<u8>,
    /// The file's name and the way to it, once there is a chunk of it.
    file: Option<(String, Rc<Spool>)>,
    /// How many are on their way, or there.
    bytes: u64,
    records: u64,
    /// Of those bytes, a CRC-32.
    sum: Hasher,
}

/// Makes files of pending names.
pub(super) struct Maker {
    pub(super) host: Rc<dyn Host>,
    pub(super) dir: PathBuf,
    pub(super) backlog: Rc<Backlog>,
    pub(super) names: super::names::Names,
    /// Files made so far.
    pub(super) seq: u64,
}

/// A file that nothing is added to any more, durable or on its way there.
pub(super) struct Full {
    pub(super) partition: String,
    pub(super) pending: String,
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) awaited: Awaited,
}

/// So many bytes of a file that must be durable.
#[derive(Clone)]
pub(super) struct Awaited {
    spool: Rc<Spool>,
    bytes: u64,
}

impl Awaited {
    /// # Errors
    /// As [`Spool::durable`].
    pub(super) async fn durable(&self) -> Result<()> {
        self.spool.durable(self.bytes).await
    }
}

impl Maker {
    fn make(&mut self) -> (String, Rc<Spool>) {
        let name = self.names.of_pending(self.seq);
        self.seq += 1;
        let spool = Spool::create(self.host.clone(), self.dir.join(&name), self.backlog.clone());
        (name, spool)
    }
}

impl Body {
    /// Sends the buffer on its way to the file, which is made if this is the first of it.
    fn flush(&mut self, maker: &mut Maker) {
        let chunk = std::mem::take(&mut self.buffer);
        if chunk.is_empty() {
            return;
        }
        let (_, spool) = self.file.get_or_insert_with(|| maker.make());
        self.bytes += chunk.len() as u64;
        self.sum.update(&chunk);
        spool.push(chunk);
    }
}

impl<E> Filling<E> {
    pub(super) fn new(partition: String, encoder: E, began: Duration) -> Filling<E> {
        Filling { partition, began, used: 0, encoder, held: 0, body: Body::default() }
    }

    /// Encodes a record.
    pub(super) fn write<T>(&mut self, record: &T) -> Result<()>
    where
        E: Encoder<T>,
    {
        self.encoder.write(record, &mut self.body.buffer)?;
        self.held = self.encoder.held();
        self.body.records += 1;
        Ok(())
    }

    /// Encodes what is held back.
    pub(super) fn release<T>(&mut self) -> Result<()>
    where
        E: Encoder<T>,
    {
        self.encoder.release(&mut self.body.buffer)?;
        self.held = self.encoder.held();
        Ok(())
    }

    /// Bytes of the file if it were full now, roughly.
    pub(super) fn size(&self) -> u64 {
        self.body.bytes + (self.body.buffer.len() + self.held) as u64
    }

    /// Bytes that are encoded, and not on their way yet.
    pub(super) fn buffered(&self) -> usize {
        self.body.buffer.len()
    }

    /// The memory that its records take which are not encoded yet, in bytes.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Sends what is encoded on its way to the file.
    pub(super) fn flush(&mut self, maker: &mut Maker) {
        self.body.flush(maker);
    }

    /// Makes durable what there is of the file, which stays open and is yet to be given its final `name`; `None` if there
    /// is nothing.
    pub(super) fn sync(&mut self, maker: &mut Maker, name: String) -> Option<(PendingFile, Awaited)> {
        self.body.flush(maker);
        let Body { file, bytes, records, sum, .. } = &self.body;
        let (pending, spool) = file.as_ref()?;
        spool.sync();
        let (pending, open) = (pending.clone(), Some(sum.clone().finalize()));
        let awaited = Awaited { spool: spool.clone(), bytes: *bytes };
        Some((PendingFile { name, pending, bytes: *bytes, records: *records, open }, awaited))
    }

    /// Ends the file; `None` if there is nothing in it.
    pub(super) fn finish<T>(self, maker: &mut Maker) -> Result<Option<Full>>
    where
        E: Encoder<T>,
    {
        let Filling { partition, encoder, mut body, .. } = self;
        body.flush(maker);
        let before_the_footer = body.bytes;
        if planted!(footer_not_awaited)
            && let Some((_, spool)) = &body.file
        {
            spool.sync();
        }
        encoder.finish(&mut body.buffer)?;
        body.flush(maker);
        let Body { file, bytes, records, .. } = body;
        Ok(file.map(|(pending, spool)| {
            spool.complete();
            let until = if planted!(footer_not_awaited) { before_the_footer } else { bytes };
            Full { partition, pending, bytes, records, awaited: Awaited { spool, bytes: until } }
        }))
    }
}
