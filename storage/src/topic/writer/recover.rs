//! What an earlier writer left is brought in order.

use std::path::Path;
use std::rc::Rc;

use crate::disk::{Disk, Lease, SharedBytes};
use crate::error::{Damage, StoreError};
use crate::topic::config::TopicConfig;
use crate::topic::decisions::{Decision, State};
use crate::topic::error::TopicError;
use crate::topic::frame::{Kind, Meta};
use crate::topic::log::Log;
use crate::topic::signal::Signal;
use crate::topic::{DECISIONS, decisions_dir, partition_dir};

use super::TopicWriter;
use super::transactions::Phase;

impl TopicWriter {
    pub(super) async fn start(
        disk: Rc<dyn Disk>,
        dir: &Path,
        config: TopicConfig,
        lease: Lease,
    ) -> Result<TopicWriter, TopicError> {
        disk.sync_dir(dir).await.map_err(StoreError::io("sync the directory", dir))?;
        let (decisions, mut state) = recover_decisions(&disk, dir, &config).await?;
        let (mut logs, mut found) = (Vec::new(), Vec::new());
        for partition in 0..config.partitions {
            let (at, known_end) = (partition_dir(dir, partition), state.ends[partition as usize]);
            let identity = (config.id, partition);
            let opening =
                Log::recover(disk.clone(), at, identity, config.segment_bytes, known_end, |_, _| {});
            let (log, scanned) = opening.await?;
            log.check_start(state.starts[partition as usize])?;
            state.ends[partition as usize] = log.next_offset();
            logs.push(log);
            found.push(scanned);
        }
        for (log, scanned) in logs.iter_mut().zip(found) {
            log.settle(scanned).await?;
        }
        abort_unprepared(&mut state);
        let phases = state.open.keys().map(|transaction| (*transaction, Phase::Prepared)).collect();
        let mut writer = TopicWriter {
            dir: dir.to_owned(),
            config,
            logs,
            decisions,
            state,
            late: Vec::new(),
            phases,
            signal: Signal::new(),
            flushing: false,
            _lease: lease,
        };
        writer.restart_decisions().await?;
        writer.remove_trimmed().await?;
        writer.publish().await;
        Ok(writer)
    }
}

/// Reads what was decided. Files before the last one are of no use: each begins with a snapshot.
async fn recover_decisions(
    disk: &Rc<dyn Disk>,
    dir: &Path,
    config: &TopicConfig,
) -> Result<(Log, State), TopicError> {
    let path = decisions_dir(dir);
    let mut state = State::new(config.partitions);
    let (mut refused, mut frames) = (None, 0_u64);
    let mut each = |meta: &Meta, payload: SharedBytes| {
        match read_decision(meta, &payload, config.partitions, frames == 0) {
            Ok(decision) => state.apply(&decision),
            Err(damage) => {
                refused.get_or_insert(damage);
            }
        }
        frames += 1;
    };
    let identity = (config.id, DECISIONS);
    let (log, scanned) = Log::recover(disk.clone(), path.clone(), identity, u64::MAX, 0, &mut each).await?;
    if scanned.is_some_and(|scanned| scanned.end == 0) {
        refused = Some(Damage::Malformed("the last file does not begin with a snapshot".to_owned()));
    }
    match refused {
        Some(damage) => {
            let file = log.segments.last().map(|last| path.join(last.name.file())).unwrap_or(path);
            Err(StoreError::damaged(&file, 0, damage).into())
        }
        None => Ok((log, state)),
    }
}

/// Decodes a frame of the log of decisions. The first one of a file is a snapshot.
pub(in crate::topic) fn read_decision(
    meta: &Meta,
    payload: &[u8],
    partitions: u32,
    first: bool,
) -> Result<Decision, Damage> {
    if meta.kind != Kind::Decision {
        return Err(Damage::Malformed("it is no decision".to_owned()));
    }
    let decision: Decision =
        serde_json::from_slice(payload).map_err(|error| Damage::Malformed(error.to_string()))?;
    match &decision {
        Decision::Snapshot(state) if !state.fits(partitions) => {
            Err(Damage::Malformed("its snapshot is of another number of partitions".to_owned()))
        }
        Decision::Snapshot(_) => Ok(decision),
        _ if first => Err(Damage::Malformed("it does not begin with a snapshot".to_owned())),
        _ => Ok(decision),
    }
}

/// Whoever had them open is gone.
fn abort_unprepared(state: &mut State) {
    let ends = state.ends.clone();
    let open: Vec<u64> =
        state.open.iter().filter(|(_, open)| open.prepared.is_none()).map(|(of, _)| *of).collect();
    for transaction in open {
        state.apply(&Decision::Abort { transaction, ends: ends.clone() });
    }
}
