//! Where the partitions are gone on with.

use std::path::Path;

use millstream_storage::topic::TopicReader;
use serde::{Deserialize, Serialize};

use super::{Options, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::source::SourceContext;

/// The position of a partition as checkpoints keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// The offset of the next record.
    pub offset: u64,
    /// Where the partition ends for this job; nothing if the job follows it.
    pub end: Option<u64>,
}

/// The name of a partition as a split.
pub(super) fn name(partition: u32) -> String {
    format!("partition-{partition:05}")
}

/// The partitions of this shard, and where to go on in each. The end of a partition is decided when the job first
/// starts: a restored checkpoint brings its own along.
pub(super) async fn positions(
    reader: &mut TopicReader,
    dir: &Path,
    options: Options,
    cx: &SourceContext,
) -> Result<Vec<(u32, Position)>> {
    let known = |split: &&String| (0..reader.partitions()).any(|partition| name(partition) == **split);
    if let Some(split) = cx.restored.keys().find(|split| !known(split)) {
        let message = format!(
            "topic {}: the checkpoint has a position of {split}, but the topic has {} partitions: it is another \
             topic; put back the one that was read, or start without the checkpoint",
            dir.display(),
            reader.partitions()
        );
        return Err(Error::new(ErrorKind::Restore, message));
    }
    let mut positions = Vec::new();
    for partition in (0..reader.partitions()).filter(|partition| cx.owns(*partition as usize)) {
        let range = reader.range(partition).await.map_err(failed)?;
        let mut position = Position { offset: range.start, end: Some(range.end) };
        if let Some(json) = cx.restored.get(&name(partition)) {
            position = serde_json::from_value(json.clone()).map_err(|error| {
                let message =
                    format!("{}: its position in the checkpoint is not one: {json}", name(partition));
                Error::new(ErrorKind::Restore, message).caused_by(error)
            })?;
        }
        if options.follow {
            position.end = None;
        } else {
            position.end.get_or_insert(range.end);
        }
        positions.push((partition, position));
    }
    Ok(positions)
}
