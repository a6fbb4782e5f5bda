//! Finishes or undoes what an earlier run left in the topic.

use std::path::Path;
use std::time::Duration;

use millstream_storage::topic::{TopicConfig, TopicError, TopicWriter};
use serde::Deserialize;

use super::{Pending, Shape, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::{Prepared, SinkContext};

/// Commits what was prepared, and aborts everything else of this sink. May be repeated, also after a crash half-way.
pub(super) async fn recover(cx: &SinkContext, shape: &Shape, prepared: Vec<Prepared>) -> Result<TopicWriter> {
    let config = TopicConfig::new(cx.host.random())
        .partitions(shape.partitions)
        .segment_bytes(shape.segment_bytes)
        .retention(shape.retention);
    let mut writer = open(cx, shape, config).await.map_err(failed)?;
    for part in &prepared {
        let pending = parse(&shape.dir, part)?;
        for epoch in pending.epochs {
            writer.commit_prepared(&pending.producer, epoch).map_err(missing)?;
        }
    }
    // What was committed counts below, also what has just been.
    writer.flush().await.map_err(failed)?;
    let own = format!("{}/", shape.producer);
    let producers: Vec<String> =
        writer.producers().filter(|name| name.starts_with(&own)).map(str::to_owned).collect();
    for producer in producers {
        if cx.durable {
            refuse_foreign(cx, shape, &writer, &producer)?;
        }
        writer.abort_all(&producer).map_err(failed)?;
    }
    writer.flush().await.map_err(failed)?;
    Ok(writer)
}

/// How often a topic is tried that another holds, and how long to wait in between.
const TRIES: (u32, Duration) = (100, Duration::from_millis(50));

/// A reader that brings in order what an earlier run left holds the topic for a moment.
async fn open(cx: &SinkContext, shape: &Shape, config: TopicConfig) -> Result<TopicWriter, TopicError> {
    for _ in 1..TRIES.0 {
        match TopicWriter::open_or_create(cx.host.disk(), &shape.dir, config).await {
            Err(TopicError::Held { .. }) => cx.host.sleep(TRIES.1).await,
            opened => return opened,
        }
    }
    TopicWriter::open_or_create(cx.host.disk(), &shape.dir, config).await
}

/// Output that this run would write a second time.
fn refuse_foreign(cx: &SinkContext, shape: &Shape, writer: &TopicWriter, producer: &str) -> Result<()> {
    let Some((_, Some(newest))) = writer.producer(producer) else { return Ok(()) };
    let dir = shape.dir.display();
    let message = match cx.restored {
        None => format!(
            "topic {dir}: holds output of producer `{producer}` up to epoch {newest}, but no checkpoint is restored, \
             so its records would be written again; start from the checkpoints of the run that wrote it, or give \
             this sink another name with `producer`"
        ),
        Some(restored) if newest > restored => format!(
            "topic {dir}: holds output of epoch {newest} of producer `{producer}`, but the checkpoint of epoch \
             {restored} is restored, so its records would be written again; restore the checkpoint of epoch {newest} \
             or a later one, or give this sink another name with `producer`"
        ),
        Some(_) => return Ok(()),
    };
    Err(Error::new(ErrorKind::Restore, message))
}

fn missing(error: TopicError) -> Error {
    match error {
        TopicError::Unknown { .. } => {
            let message =
                "output of the restored checkpoint is missing; put the topic back, or restore another one";
            Error::new(ErrorKind::Restore, message).caused_by(error)
        }
        other => failed(other),
    }
}

fn parse(dir: &Path, part: &Prepared) -> Result<Pending> {
    Pending::deserialize(&part.pending).map_err(|error| {
        let (dir, epoch, shard) = (dir.display(), part.epoch, part.shard);
        let message = format!("topic {dir}: cannot read the output of shard {shard} in checkpoint {epoch}");
        Error::new(ErrorKind::Restore, message).caused_by(error)
    })
}
