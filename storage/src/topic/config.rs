//! What a topic is made with, and its manifest.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::error::StoreError;
use crate::manifest::{read_verified, write_atomically};

use super::error::TopicError;
use super::{decisions_dir, partition_dir};

/// The file that makes a directory a topic.
const MANIFEST: &str = "manifest";
/// The version of the manifest and of all that it stands for.
const FORMAT: u32 = 1;
/// The most partitions of a topic.
const MOST_PARTITIONS: u32 = 4096;

/// How a topic is made. What is not said here cannot be changed later, but for retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    pub(super) format: u32,
    pub(super) id: u64,
    pub(super) partitions: u32,
    pub(super) segment_bytes: u64,
    pub(super) retention: Retention,
}

/// What may be removed: whole segments, oldest first, never the one that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Segments all of whose records are older than this, in milliseconds of the records' own timestamps.
    pub max_age_millis: Option<u64>,
    /// The oldest segments of a partition while it is larger than this, in bytes.
    pub max_bytes: Option<u64>,
}

impl TopicConfig {
    /// One partition, segments of 64 MiB, nothing is ever removed. The `id` stands in every block, so that a file of
    /// another topic is recognised: draw it at random.
    pub fn new(id: u64) -> TopicConfig {
        TopicConfig {
            format: FORMAT,
            id,
            partitions: 1,
            segment_bytes: 64 << 20,
            retention: Retention::default(),
        }
    }

    /// How many partitions it has, from 1 to 4096.
    pub fn partitions(mut self, partitions: u32) -> TopicConfig {
        self.partitions = partitions;
        self
    }

    /// A segment that has reached this many bytes is followed by a new one.
    pub fn segment_bytes(mut self, bytes: u64) -> TopicConfig {
        self.segment_bytes = bytes;
        self
    }

    /// What may be removed.
    pub fn retention(mut self, retention: Retention) -> TopicConfig {
        self.retention = retention;
        self
    }

    fn check(&self, dir: &Path) -> Result<(), TopicError> {
        let refuse = |reason: String| Err(TopicError::Refused { dir: dir.to_owned(), reason });
        if self.format != FORMAT {
            let reason = format!("it is of format {}, this version reads format {FORMAT}", self.format);
            return refuse(reason);
        }
        if !(1..=MOST_PARTITIONS).contains(&self.partitions) {
            return refuse(format!("{} partitions; 1 to {MOST_PARTITIONS} are possible", self.partitions));
        }
        Ok(())
    }
}

/// Makes an empty topic. Its manifest comes last: before it is durable there is no topic.
pub(super) async fn create(disk: &dyn Disk, dir: &Path, config: TopicConfig) -> Result<(), TopicError> {
    config.check(dir)?;
    let dirs = (0..config.partitions).map(|partition| partition_dir(dir, partition));
    for path in dirs.chain([decisions_dir(dir)]) {
        disk.create_dir_all(&path).await.map_err(StoreError::io("create the directory", &path))?;
    }
    let bytes = serde_json::to_vec_pretty(&config).expect("a configuration is plain data");
    Ok(write_atomically(disk, dir, MANIFEST, &bytes).await?)
}

/// Reads the manifest of a topic.
pub(super) async fn load(disk: &dyn Disk, dir: &Path) -> Result<TopicConfig, TopicError> {
    let bytes = match read_verified(disk, &dir.join(MANIFEST)).await {
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(TopicError::NoTopic { dir: dir.to_owned() });
        }
        read => read?,
    };
    let config: TopicConfig = serde_json::from_slice(&bytes).map_err(|error| {
        let reason = format!("its manifest cannot be read by this version: {error}");
        TopicError::Refused { dir: dir.to_owned(), reason }
    })?;
    config.check(dir)?;
    Ok(config)
}
