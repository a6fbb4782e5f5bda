//! What is measured of an attempt at a checkpoint.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::checkpoint::control::StepShare;
use crate::host::Host;
use crate::metrics::{CheckpointPurpose, CheckpointStats, StepCheckpoint};

/// An attempt that is under way.
pub(super) struct Attempt {
    pub(super) stats: CheckpointStats,
    /// By the monotone clock.
    pub(super) triggered: Duration,
}

/// When the last attempt began and ended, by the monotone clock.
#[derive(Clone, Copy)]
pub(super) struct Last {
    pub(super) triggered: Duration,
    pub(super) ended: Duration,
}

impl Attempt {
    pub(super) fn begin(
        host: &dyn Host,
        epoch: u64,
        purpose: CheckpointPurpose,
        last: Option<Last>,
    ) -> Attempt {
        let triggered = host.monotonic();
        let stats = CheckpointStats {
            epoch,
            aborted: None,
            purpose,
            triggered: host.wall_millis(),
            began: triggered,
            pause: last.map(|last| triggered.saturating_sub(last.ended)),
            duration: Duration::ZERO,
            commit: Duration::ZERO,
            upload: Duration::ZERO,
            uploaded_bytes: 0,
            steps: Vec::new(),
        };
        Attempt { stats, triggered }
    }

    /// Notes what the cores have measured. `before` has the state files of the checkpoint before this one.
    pub(super) fn take(&mut self, shares: &[StepShare], before: &BTreeSet<String>) {
        self.stats.steps = shares.iter().map(|share| measured(share, before)).collect();
        self.stats.steps.sort_by(|a, b| (&a.step, a.core).cmp(&(&b.step, b.core)));
    }

    /// It is durable, or was given up, now.
    pub(super) fn settle(&mut self, now: Duration) {
        self.stats.duration = now.saturating_sub(self.triggered);
    }

    /// Every sink has committed now.
    pub(super) fn committed(&mut self, now: Duration) {
        self.stats.commit = now.saturating_sub(self.triggered).saturating_sub(self.stats.duration);
    }
}

fn measured(share: &StepShare, before: &BTreeSet<String>) -> StepCheckpoint {
    let files = share.part.store.iter().flat_map(|store| &store.files);
    let (mut new_bytes, mut shared_bytes) = (0, 0);
    for file in files {
        let of = if before.contains(&file.name) { &mut shared_bytes } else { &mut new_bytes };
        *of += file.file_bytes();
    }
    StepCheckpoint {
        step: share.step.clone(),
        core: share.part.shard,
        alignment: share.timing.alignment,
        synchronous: share.timing.synchronous,
        asynchronous: share.timing.asynchronous,
        new_bytes,
        shared_bytes,
        overtaken_bytes: share.part.overtaken.as_ref().map_or(0, |overtaken| overtaken.bytes),
    }
}
