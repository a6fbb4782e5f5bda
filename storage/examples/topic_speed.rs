//! How fast a topic takes and gives records of 100 bytes: `cargo run --release --example topic_speed -- DIRECTORY`.
//!
//! Appends are durable: each group is written and synced before it counts.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::topic::{BatchBuilder, Isolation, TopicConfig, TopicError, TopicReader, TopicWriter};

const VALUE: [u8; 100] = [b'x'; 100];

fn main() -> Result<(), TopicError> {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    for (records, group) in [(20_000_u64, 1), (200_000, 100), (4_000_000, 10_000), (20_000_000, 200_000)] {
        let dir = dir.join(format!("topic-speed-{}", std::process::id()));
        let (append, sync) = block_on(append(&dir, records, group))?;
        let read = block_on(read(&dir, records))?;
        println!(
            "groups of {group:>7}: append {:>9.0} records/s ({sync:.0} µs a group), read {:>9.0} records/s",
            records as f64 / append,
            records as f64 / read
        );
        std::fs::remove_dir_all(&dir).expect("it was made here");
    }
    Ok(())
}

/// Seconds for all, and microseconds for a group.
async fn append(dir: &std::path::Path, records: u64, group: u64) -> Result<(f64, f64), TopicError> {
    let mut writer = TopicWriter::open_or_create(Rc::new(StdDisk), dir, TopicConfig::new(1)).await?;
    let started = Instant::now();
    for first in (0..records).step_by(group as usize) {
        let mut batch = BatchBuilder::new();
        for at in first..first + group {
            batch.push(at as i64, None, &VALUE, &[]);
            if batch.bytes() > 1 << 20 {
                writer.append(0, batch.finish())?;
            }
        }
        writer.append(0, batch.finish())?;
        writer.flush().await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    writer.close().await?;
    Ok((seconds, seconds * 1e6 / (records / group) as f64))
}

/// Seconds to decode all of them.
async fn read(dir: &std::path::Path, records: u64) -> Result<f64, TopicError> {
    let mut reader = TopicReader::open(Rc::new(StdDisk), dir, Isolation::Committed).await?;
    let started = Instant::now();
    let (mut cursor, mut bytes, mut count) = (reader.seek(0, 0).await?, 0, 0);
    while let Some(batch) = reader.next(&mut cursor).await? {
        for record in &batch {
            bytes += record.value.len();
            count += 1;
        }
    }
    assert_eq!((count, bytes), (records, records as usize * VALUE.len()));
    Ok(started.elapsed().as_secs_f64())
}
