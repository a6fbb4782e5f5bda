//! Finishes what an earlier run has prepared, removes what no checkpoint knows, and keeps others out.

use std::collections::BTreeMap;
use std::path::Path;

use millstream::sink::{Prepared, SinkContext};
use millstream::{Error, ErrorKind, Result};
use millstream_storage::disk::Disk;
use serde::Deserialize;

use crate::commit::Line;
use crate::piece::{Pending, Piece, failed, is_file_name};
use crate::session::Marker;

/// What the shards of a run go by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    /// The number of the run.
    pub(crate) generation: u64,
    /// The last epoch of each shard that is in the table.
    pub(crate) committed: BTreeMap<u32, u64>,
}

/// What a restored checkpoint has of a shard.
struct Share {
    shard: u32,
    pieces: Vec<Piece>,
    /// What was in the table when it was taken.
    committed: u64,
}

/// Takes the sink over, commits what was prepared, and removes all pieces. May be repeated, also after a crash half-way.
pub(crate) async fn recover(cx: &SinkContext, line: &mut Line, prepared: Vec<Prepared>) -> Result<Taken> {
    let shares = prepared.iter().map(|part| share(line, part)).collect::<Result<Vec<_>>>()?;
    let disk = cx.host.disk();
    let created = disk.create_dir_all(&line.dir).await;
    created.map_err(|error| failed("create the directory", &line.dir, error))?;
    let shards = shares.iter().map(|share| share.shard as usize + 1).max().unwrap_or(0).max(cx.shards);
    let sink = line.target.sink.clone();
    let refuse = |found: &[Marker]| match cx.durable {
        true => refuse_foreign(&sink, cx.restored, found).and_then(|()| refuse_loss(&sink, &shares, found)),
        false => Ok(()),
    };
    let markers = line.take_over(shards, cx.durable, refuse).await?;
    let generation = markers.first().expect("a job has a shard").generation;
    let mut committed: BTreeMap<u32, u64> =
        markers.iter().map(|marker| (marker.shard, marker.epoch)).collect();
    for Share { shard, pieces, committed: before } in &shares {
        if let Some(last) = pieces.last() {
            line.commit(*shard, (generation, *before), pieces).await?;
            let now = committed.entry(*shard).or_default();
            *now = (*now).max(last.epoch);
        }
    }
    clear(&*disk, &line.dir).await?;
    Ok(Taken { generation, committed })
}

fn share(line: &Line, part: &Prepared) -> Result<Share> {
    let refuse = |why: String| {
        let (epoch, shard) = (part.epoch, part.shard);
        let message = format!("cannot read the output of shard {shard} in checkpoint {epoch}: {why}");
        Error::new(ErrorKind::Restore, message)
    };
    let Pending { sink, committed, pieces, .. } =
        Pending::deserialize(&part.pending).map_err(|error| refuse(error.to_string()))?;
    if sink != line.target.sink {
        return Err(refuse(format!("it belongs to sink `{sink}`, but this one is `{}`", line.target.sink)));
    }
    // A checkpoint is untrusted input: no name in it may lead out of the directory.
    if let Some(piece) = pieces.iter().find(|piece| !is_file_name(&piece.file)) {
        return Err(refuse(format!("bad name {:?}", piece.file)));
    }
    if !pieces.is_sorted_by(|before, piece| before.epoch < piece.epoch) {
        return Err(refuse("its pieces are not in the order of their epochs".to_owned()));
    }
    let shard = u32::try_from(part.shard).map_err(|_| refuse("no job has as many shards".to_owned()))?;
    Ok(Share { shard, pieces, committed })
}

/// Output that this run would write a second time.
fn refuse_foreign(sink: &str, restored: Option<u64>, found: &[Marker]) -> Result<()> {
    let newest = found.iter().map(|marker| marker.epoch).max().unwrap_or(0);
    let why = match restored {
        None if newest > 0 => {
            "no checkpoint is restored; start from the checkpoints of the run that wrote it".to_owned()
        }
        Some(restored) if newest > restored => format!(
            "the checkpoint of epoch {restored} is restored; restore the checkpoint of epoch {newest} or a later one"
        ),
        _ => return Ok(()),
    };
    let message = format!(
        "the table holds output of sink `{sink}` up to epoch {newest}, which would be written again, as {why}, or give \
         the sink another name with `name`, or remove its rows from millstream_commits"
    );
    Err(Error::new(ErrorKind::Restore, message))
}

/// Output that was in the table when the checkpoint was taken, and is not any more.
fn refuse_loss(sink: &str, shares: &[Share], found: &[Marker]) -> Result<()> {
    for Share { shard, committed, .. } in shares {
        let now = found.iter().find(|marker| marker.shard == *shard).map_or(0, |marker| marker.epoch);
        if now < *committed {
            return Err(lost(sink, *shard, *committed, now));
        }
    }
    Ok(())
}

/// The table has less than was committed.
pub(crate) fn lost(sink: &str, shard: u32, committed: u64, now: u64) -> Error {
    let message = format!(
        "the server has lost output: shard {shard} of sink `{sink}` had committed epoch {committed}, and now epoch {now} \
         is the last in millstream_commits; was the database restored from a backup, or a replica put in its place that \
         lagged behind? Restore a checkpoint of epoch {now} or before"
    );
    Error::new(ErrorKind::Restore, message)
}

/// Removes all pieces: what a checkpoint knows is in the table now, and what it does not know will be put out again.
async fn clear(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let entries = disk.list(dir).await.map_err(|error| failed("list the directory", dir, error))?;
    for entry in entries.into_iter().filter(|entry| is_file_name(&entry.name)) {
        let path = dir.join(&entry.name);
        disk.remove(&path).await.map_err(|error| failed("remove it", &path, error))?;
    }
    Ok(())
}
