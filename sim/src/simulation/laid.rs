//! Topics and files of the simulated disk: laid before a job starts, and read to judge it.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use millstream::host::CoreMain;
use millstream_storage::disk::block_on;
use millstream_storage::topic::{BatchBuilder, Isolation, TopicConfig, TopicError, TopicReader, TopicWriter};
use serde::de::DeserializeOwned;

use crate::disk::{DiskView, ReadOnly};
use crate::outside;
use crate::random::Random;
use crate::scenario::Finding;
use crate::world::{World, WorldConfig};

/// What records lie in.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Topic,
    Files,
}

const WHOLE: &str = "visible output is whole";

/// Lays encoded records, split by split.
pub(super) fn lay(
    kind: Kind,
    path: &Path,
    splits: Vec<Vec<Vec<u8>>>,
    random: &mut Random,
    disk: &DiskView,
) -> Result<(), Finding> {
    let files = match kind {
        Kind::Topic => topic(path, splits, random),
        Kind::Files => files(path, splits),
    };
    for (path, bytes) in files {
        let place = path.display().to_string();
        disk.install(path, bytes).map_err(|error| {
            Finding::new(
                super::JUDGED,
                format!("a feed cannot be laid at {place}: {error}; choose another path"),
            )
        })?;
    }
    Ok(())
}

type Files = Vec<(std::path::PathBuf, Vec<u8>)>;

fn files(dir: &Path, splits: Vec<Vec<Vec<u8>>>) -> Files {
    let lines = |records: Vec<Vec<u8>>| records.into_iter().flat_map(|record| [record, b"\n".to_vec()]);
    let file = |(at, records)| (dir.join(format!("{at:03}.ndjson")), lines(records).flatten().collect());
    splits.into_iter().enumerate().map(file).collect()
}

/// The files of a topic, written by the shipped code in a world of its own, so that nothing of it counts as a part of the
/// run that is judged.
fn topic(dir: &Path, splits: Vec<Vec<Vec<u8>>>, random: &mut Random) -> Files {
    let config = TopicConfig::new(random.next())
        .partitions(splits.len() as u32)
        .segment_bytes(200 + random.magnitude(100_000));
    let (dir, batch) = (dir.to_owned(), random.magnitude(100) as usize);
    let seed = random.next();
    let main: CoreMain = Box::new(move |host| {
        Box::pin(async move {
            let append = async {
                let mut writer = TopicWriter::open_or_create(host.disk(), &dir, config).await?;
                for (partition, records) in (0..).zip(&splits) {
                    for records in records.chunks(batch) {
                        let mut batch = BatchBuilder::new();
                        records.iter().for_each(|record| batch.push(0, None, record, &[]));
                        writer.append(partition, batch.finish())?;
                        writer.flush().await?;
                    }
                }
                writer.close().await
            };
            append.await.expect("nothing goes wrong in a world without faults");
        })
    });
    outside::aside(|| {
        let mut world = World::new(seed, WorldConfig::default());
        world.run(vec![main]);
        world.disk().tree()
    })
}

/// What a reader of committed records finds in a topic.
pub(super) fn committed<T: DeserializeOwned>(disk: &DiskView, dir: &Path) -> Result<Vec<T>, Finding> {
    let read = async {
        let mut records = Vec::new();
        let mut reader = TopicReader::open(Rc::new(ReadOnly::new(disk)), dir, Isolation::Committed).await?;
        for partition in 0..reader.partitions() {
            let mut cursor = reader.seek(partition, 0).await?;
            while let Some(batch) = reader.next(&mut cursor).await? {
                records.extend(batch.iter().map(|record| serde_json::from_slice(record.value)));
            }
        }
        Ok(records)
    };
    let finding = |seen: String| Finding::new(WHOLE, format!("{}: {seen}", dir.display()));
    match block_on(read) {
        // It is made by the first process that gets so far.
        Err(TopicError::NoTopic { .. }) => Ok(Vec::new()),
        Err(error) => Err(finding(error.to_string())),
        Ok(records) => {
            records.into_iter().collect::<Result<_, _>>().map_err(|error| finding(error.to_string()))
        }
    }
}

/// The records in the files of a directory that have their final names, a line of JSON for each. Once the job is `done`,
/// there must be no others.
pub(super) fn visible<T: DeserializeOwned>(
    disk: &DiskView,
    dir: &Path,
    done: bool,
) -> Result<Vec<T>, Finding> {
    let mut records = Vec::new();
    for entry in disk.list(dir).unwrap_or_default() {
        let path = dir.join(&entry.name);
        if entry.name.starts_with('.') {
            if done {
                let seen = path.display().to_string();
                return Err(Finding::new("nothing pending is left at the end", seen));
            }
            continue;
        }
        let Ok(bytes) = disk.read(&path) else { continue };
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            let record = serde_json::from_slice(line).map_err(|error| {
                let line = String::from_utf8_lossy(line);
                Finding::new(WHOLE, format!("{}: {line:?}: {error}", path.display()))
            })?;
            records.push(record);
        }
    }
    Ok(records)
}

/// As long as an operation of a system outside takes at most.
pub(super) fn outside(random: &mut Random) -> Duration {
    Duration::from_micros(random.magnitude(10_000))
}
