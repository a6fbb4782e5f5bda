//! Counters of a running job: written by the core that owns them, read by anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer: no locked instruction on the record path.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. To be called by its owner only: two concurrent writers would lose counts.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        if n > 0 {
            self.0.store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
        }
    }

    /// Sets it. To be called by its owner only.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one core, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardMetrics {
    /// Records that the sources gave out.
    pub records_in: Counter,
    /// Records that the sinks took.
    pub records_out: Counter,
    /// Records that came too late for every window, in a side output or dropped.
    pub late: Counter,
    /// Records that could not be decoded.
    pub poison: Counter,
    /// Steps that found something to do.
    pub busy_steps: Counter,
    /// Memory of keyed state under a limit of memory, in bytes: segments, indexes and reads.
    pub state_bytes: Counter,
    /// The most that it was.
    pub most_state_bytes: Counter,
    /// Keyed state on disk instead of in memory, in bytes.
    pub evicted_bytes: Counter,
}

/// The counters of a job.
#[derive(Clone, Debug)]
pub struct Metrics {
    shards: Arc<[ShardMetrics]>,
    job: Arc<JobMetrics>,
}

/// The counters that the coordinator keeps.
#[derive(Debug, Default)]
pub struct JobMetrics {
    /// Completed checkpoints.
    pub checkpoints: Counter,
    /// Aborted checkpoints.
    pub aborted: Counter,
    /// The epoch of the last completed checkpoint.
    pub last_epoch: Counter,
    /// From trigger to completion of the last checkpoint, in microseconds.
    pub last_duration: Counter,
}

impl Metrics {
    pub(crate) fn new(cores: usize) -> Metrics {
        Metrics { shards: (0..cores).map(|_| ShardMetrics::default()).collect(), job: Arc::default() }
    }

    /// The counters of each core.
    pub fn shards(&self) -> &[ShardMetrics] {
        &self.shards
    }

    /// The counters of the job as a whole.
    pub fn job(&self) -> &JobMetrics {
        &self.job
    }

    /// A counter summed over the cores.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # fn example(metrics: &millstream::metrics::Metrics) {
    /// let read = metrics.sum(|shard| &shard.records_in);
    /// # }
    /// ```
    pub fn sum(&self, counter: impl Fn(&ShardMetrics) -> &Counter) -> u64 {
        self.shards.iter().map(|shard| counter(shard).get()).sum()
    }
}
