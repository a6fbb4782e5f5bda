//! The directory of a topic: manifest, log of decisions, partitions; read, recovered, written to, and read again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{Disk, block_on};
use millstream_storage::topic::{
    BatchBuilder, Cursor, Isolation, TopicConfig, TopicError, TopicReader, TopicWriter,
};

use super::disk::MemoryDisk;
use super::heal;

const TOPIC: u64 = 0x0123_4567_89AB_CDEF;
const DECISIONS: u32 = u32::MAX;
const DIR: &str = "topic";
/// Records that are looked at, at most.
const MOST: usize = 10_000;

/// Files, one after the other: a byte that says which, one for its first offset, one for its generation, two for its
/// length, and its bytes. Of the first byte bits 0 to 2 choose the log, and bit 3 says that it is healed. Where the input
/// has no manifest there is one of two partitions.
pub fn topic(data: &[u8]) {
    let disk = MemoryDisk::default();
    let shared: Rc<dyn Disk> = Rc::new(disk.clone());
    let config = TopicConfig::new(TOPIC).partitions(2).segment_bytes(300);
    let opened = block_on(TopicWriter::open_or_create(shared.clone(), Path::new(DIR), config))
        .expect("the disk works");
    drop(opened);
    fill(&disk, data);
    let before = read_all(&shared, Isolation::Uncommitted);
    drop(before);
    let Ok(seen) = read_all(&shared, Isolation::Committed) else { return drop(recover(&shared)) };
    if recover(&shared).is_err() {
        return;
    }
    // A writer does not look into batches that are none of its own, so some may be refused only now.
    let Ok(now) = read_all(&shared, Isolation::Committed) else { return };
    for (at, record) in seen {
        assert_eq!(now.get(&at), Some(&record), "what a reader has seen at {at:?} is gone");
    }
}

/// Writes the files of an input.
fn fill(disk: &MemoryDisk, mut data: &[u8]) {
    while let Some((&[kind, base, generation, a, b], rest)) = data.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([a, b])).min(rest.len());
        let (bytes, after) = rest.split_at(len);
        data = after;
        let (path, partition, generation) = place(kind, base, generation);
        let mut bytes = bytes.to_vec();
        if kind & 8 != 0 {
            match partition {
                Some(partition) => heal::frames(&mut bytes, TOPIC, partition, generation),
                None => bytes = heal::envelope(&bytes),
            }
        }
        disk.put(&path, bytes);
    }
}

/// Where a file lies, of which log it is, and its generation.
fn place(kind: u8, base: u8, generation: u8) -> (PathBuf, Option<u32>, u64) {
    // The greatest of all is a case of its own.
    let wide = |byte: u8| if byte == 255 { u64::MAX } else { u64::from(byte) };
    let (base, generation) = (wide(base), wide(generation));
    let name = format!("{base:020}-{generation:010}.segment");
    let (dir, name, partition) = match kind & 7 {
        0 => (String::new(), "manifest".to_owned(), None),
        1 | 2 => ("decisions".to_owned(), name, Some(DECISIONS)),
        3 | 4 => ("partition-00000".to_owned(), name, Some(0)),
        5 => ("partition-00001".to_owned(), name, Some(1)),
        6 => ("partition-00000".to_owned(), format!("pending-{name}"), Some(0)),
        _ => ("decisions".to_owned(), format!("pending-{name}"), Some(DECISIONS)),
    };
    (Path::new(DIR).join(dir).join(name), partition, generation)
}

type Seen = BTreeMap<(u32, u64), (i64, Option<Vec<u8>>, Vec<u8>)>;

fn read_all(disk: &Rc<dyn Disk>, isolation: Isolation) -> Result<Seen, TopicError> {
    let mut seen = Seen::new();
    block_on(async {
        let mut reader = TopicReader::open(disk.clone(), Path::new(DIR), isolation).await?;
        reader.stat().await?;
        for partition in 0..reader.partitions().min(4) {
            let range = reader.range(partition).await?;
            let mut cursor: Cursor = reader.seek(partition, range.start).await?;
            while let Some(records) = reader.next(&mut cursor).await? {
                for record in records.iter().take(MOST) {
                    record.headers.take(MOST).for_each(drop);
                    let what = (record.timestamp, record.key.map(<[u8]>::to_vec), record.value.to_vec());
                    seen.insert((partition, record.offset), what);
                }
            }
        }
        Ok(seen)
    })
}

/// What a writer does that finds the directory: everything is there when it has opened it, and more can be written.
fn recover(disk: &Rc<dyn Disk>) -> Result<(), TopicError> {
    block_on(async {
        let mut writer = TopicWriter::open(disk.clone(), Path::new(DIR)).await?;
        let mut batch = BatchBuilder::new();
        batch.push(1, None, b"new", &[]);
        for partition in 0..writer.partitions().min(2) {
            writer.append(partition, batch.finish())?;
            batch.push(1, None, b"new", &[]);
        }
        let producer = writer.fence("fuzz", u64::MAX)?;
        let transaction = writer.begin(&producer)?;
        writer.append_in(transaction, 0, batch.finish())?;
        writer.flush().await?;
        writer.commit(transaction)?;
        writer.retain(i64::MAX).await?;
        writer.close().await
    })
}
