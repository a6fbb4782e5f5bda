//! What waits before a step when a barrier overtakes it: records that become part of the checkpoint, in a file of their
//! own, and are worked on before anything else when it is restored.
//!
//! `storage/FORMAT.md` draws the file.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use millstream_storage::disk::Disk;
use millstream_storage::error::StoreError;
use millstream_storage::hash::stable_hash;
use millstream_storage::manifest;
use millstream_storage::planted;
use rkyv::util::AlignedVec;
use serde::{Deserialize, Serialize};

use crate::checkpoint::manifest::{Overtaken, StepManifest};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::codec::{Codec, SharedCodec};
use crate::exchange::cursor::View;
use crate::record::Batch;
use crate::stage::OpenContext;
use crate::time::Timestamp;

/// What the file says of itself, so that no other can take its place.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    file: String,
    of: String,
    records: u64,
}

/// Time, hash and length of a record.
const PREFIX: usize = 20;

/// Records that were overtaken, as bytes.
#[derive(Default)]
pub(crate) struct Waiting {
    of: String,
    bytes: Vec<u8>,
    records: u64,
    scratch: AlignedVec,
}

impl Waiting {
    pub(crate) fn new<T>(codec: &dyn Codec<T>) -> Waiting {
        Waiting { of: codec.of(), ..Waiting::default() }
    }

    /// Adds records, in order.
    pub(crate) fn add<T>(&mut self, codec: &dyn Codec<T>, view: View<'_, T>) {
        let View { records, times, hashes } = view;
        for ((record, time), hash) in records.iter().zip(times).zip(hashes) {
            codec.encode(record, &mut self.scratch);
            let len = u32::try_from(self.scratch.len()).expect("a record is shorter than 4 GiB");
            self.bytes.extend_from_slice(&time.to_le_bytes());
            self.bytes.extend_from_slice(&hash.to_le_bytes());
            self.bytes.extend_from_slice(&len.to_le_bytes());
            self.bytes.extend_from_slice(&self.scratch);
            self.records += 1;
        }
    }

    /// Adds what is left of a batch that nobody has looked at.
    pub(crate) fn add_batch<T>(&mut self, codec: &dyn Codec<T>, batch: &Batch<T>) {
        let Batch { records, times, hashes, .. } = batch;
        self.add(codec, View { records, times, hashes });
    }

    /// How many there are.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Writes the file; its name becomes durable with the checkpoint.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) async fn write(
        self,
        disk: &dyn Disk,
        directory: &Path,
        (step, core, epoch): (&str, usize, u64),
    ) -> Result<Overtaken, StoreError> {
        let file = format!("overtaken-{:016x}-{core:03}-{epoch:010}", stable_hash(step.as_bytes()));
        let header = Header { file: file.clone(), of: self.of, records: self.records };
        let header = serde_json::to_vec(&header).expect("a header has string keys only");
        let mut bytes = Vec::with_capacity(4 + header.len() + self.bytes.len());
        bytes.extend_from_slice(&u32::try_from(header.len()).expect("a header is short").to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&self.bytes);
        manifest::write_atomically(disk, directory, &file, &bytes).await?;
        Ok(Overtaken { file, records: self.records, bytes: bytes.len() as u64 })
    }
}

/// Whether records of any step were overtaken: what was told to those behind is then to be told again.
pub(crate) fn is_in(steps: &BTreeMap<String, StepManifest>) -> bool {
    steps.values().flat_map(|step| &step.parts).any(|part| part.overtaken.is_some())
}

/// The batches that a step goes on with, of those records that are now this core's.
///
/// # Errors
/// If a file cannot be read or is not what the manifest says, or the step does not keep its records any more.
pub(crate) async fn restore<T>(
    cx: &OpenContext,
    step: &str,
    codec: Option<SharedCodec<T>>,
    batch_size: usize,
) -> Result<VecDeque<Box<Batch<T>>>> {
    let mut batches = VecDeque::new();
    let own = cx.own_part(step);
    for part in cx.parts(step).iter().filter(|part| own.is_none_or(|own| part.shard == own)) {
        let Some(overtaken) = part.overtaken.as_ref().filter(|_| !planted!(overtaken_forgotten)) else {
            continue;
        };
        let Some(codec) = &codec else {
            let message = format!(
                "the checkpoint holds {} records that were on their way to it; keep its stream `unaligned()` until a \
                 checkpoint that holds none",
                overtaken.records
            );
            return Err(Error::new(ErrorKind::Restore, message));
        };
        let directory = cx.directory.as_deref().expect("what is restored was kept in a directory");
        let path = directory.join(&overtaken.file);
        let bytes = manifest::read_verified(&*cx.host.disk(), &path).await;
        let bytes = bytes.map_err(|error| Error::new(ErrorKind::Restore, error.to_string()))?;
        let header = Header { file: overtaken.file.clone(), of: codec.of(), records: overtaken.records };
        let records = records(&bytes, &header)
            .map_err(|what| Error::new(ErrorKind::Restore, format!("{}: {what}", path.display())))?;
        let owner = cx.placements.of(step);
        for (time, hash, record) in records {
            if owner.owner(hash) != cx.shard && !planted!(overtaken_unowned) {
                continue;
            }
            let record = codec.decode(record)?;
            push(&mut batches, batch_size, (time, hash, record));
        }
    }
    Ok(batches)
}

fn push<T>(batches: &mut VecDeque<Box<Batch<T>>>, size: usize, (time, hash, record): (Timestamp, u64, T)) {
    if batches.back().is_none_or(|batch| batch.records.len() == size) {
        batches.push_back(Box::new(Batch::with_capacity(size, true)));
    }
    let batch = batches.back_mut().expect("there is one now");
    batch.push(time, record);
    batch.hashes.push(hash);
}

/// The time, hash and bytes of each record of a file.
fn records<'a>(bytes: &'a [u8], expected: &Header) -> Result<Vec<(Timestamp, u64, &'a [u8])>, String> {
    const SHORT: &str = "it ends in the middle of a record";
    let (len, bytes) = bytes.split_first_chunk::<4>().ok_or(SHORT)?;
    let (header, mut bytes) = bytes.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or(SHORT)?;
    let header: Header = serde_json::from_slice(header).map_err(|error| format!("its header: {error}"))?;
    if header != *expected {
        return Err(format!("it holds {header:?}, where {expected:?} is expected"));
    }
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX>().ok_or(SHORT)?;
        let word = |at: usize| <[u8; 8]>::try_from(&prefix[at..at + 8]).expect("eight bytes");
        let len = u32::from_le_bytes(prefix[16..].try_into().expect("four bytes"));
        let (record, rest) = rest.split_at_checked(len as usize).ok_or(SHORT)?;
        records.push((i64::from_le_bytes(word(0)), u64::from_le_bytes(word(8)), record));
        bytes = rest;
    }
    match records.len() as u64 == expected.records {
        true => Ok(records),
        false => Err(format!("it holds {} records, not {}", records.len(), expected.records)),
    }
}
