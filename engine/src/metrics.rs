//! Counters of a running job: written by the core that owns them, read by anybody.

mod board;
mod checkpoints;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use board::Board;
pub use board::StepWatermark;
pub use checkpoints::{CheckpointPurpose, CheckpointStats, HISTORY, StepCheckpoint};
pub(crate) use checkpoints::{History, Timing};

/// A counter with one writer: no locked instruction on the record path.
///
/// ```
/// use millstream::metrics::Counter;
///
/// let counter = Counter::default();
/// assert_eq!(counter.get(), 0);
/// ```
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
///
/// ```
/// use millstream::metrics::ShardMetrics;
///
/// /// The share of records that could not be decoded.
/// fn poison(shard: &ShardMetrics) -> f64 {
///     let (good, poison) = (shard.records_in.get(), shard.poison.get());
///     poison as f64 / (good + poison).max(1) as f64
/// }
/// assert_eq!(poison(&ShardMetrics::default()), 0.0);
/// ```
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
    /// Records whose requests have not been answered now.
    pub in_flight: Counter,
    /// Steps that found something to do.
    pub busy_steps: Counter,
    /// Memory of keyed state, in bytes, under a limit or not: segments, indexes and reads.
    pub state_bytes: Counter,
    /// The most that it was.
    pub most_state_bytes: Counter,
    /// Keyed state on disk instead of in memory, in bytes.
    pub evicted_bytes: Counter,
    /// Files of state whose index was found damaged when the job was restored. They were read as a whole: nothing was lost
    /// by it but time; but a disk that damages an index may damage more.
    pub damaged_indexes: Counter,
}

/// The counters of a job. They go on when it is started again, in the same process, on as many cores or others.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::metrics::{JobMetrics, Metrics};
///
/// let job = Job::new("doc");
/// job.source("numbers", generator(1_000, |n| n)).sink("nowhere", discard());
/// let running = job.start(Config::new().cores(2))?;
/// let metrics: Metrics = running.metrics().clone();
/// running.wait()?;
/// let by_core: Vec<u64> = metrics.shards().iter().map(|shard| shard.records_in.get()).collect();
/// assert_eq!(by_core, [500, 500]);
/// let of_job: &JobMetrics = metrics.job();
/// assert_eq!(of_job.aborted.get(), 0);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Metrics {
    cores: Arc<RwLock<Vec<CoreMetrics>>>,
    job: Arc<JobMetrics>,
}

/// What one core writes.
#[derive(Clone, Debug, Default)]
struct CoreMetrics {
    shard: Arc<ShardMetrics>,
    board: Arc<Board>,
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
    pub(crate) history: History,
    /// Bytes of files that were stored where checkpoints [are complete](crate::Config::checkpoints_to).
    pub uploaded_bytes: Counter,
    /// How often the job has failed and was started again.
    pub restarts: Counter,
    /// How often it has gone on with another number of cores.
    pub rescales: Counter,
    /// How long it stood still when it last did either, in microseconds: from the failure, or from the commit of the
    /// checkpoint that it went on from, until all steps were open again.
    pub last_pause: Counter,
}

impl Metrics {
    pub(crate) fn new(cores: usize) -> Metrics {
        let metrics = Metrics { cores: Arc::default(), job: Arc::default() };
        metrics.begin(cores);
        metrics
    }

    /// The job starts, or starts again, on so many cores. Those that it no longer has keep their counts, and hold nothing.
    pub(crate) fn begin(&self, cores: usize) {
        let mut all = self.cores.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() < cores {
            all.resize_with(cores, CoreMetrics::default);
        }
        for (core, of) in all.iter_mut().enumerate() {
            of.board = Arc::default();
            if core >= cores {
                of.shard.state_bytes.set(0);
                of.shard.evicted_bytes.set(0);
            }
        }
    }

    /// Where a core counts.
    pub(crate) fn shard(&self, core: usize) -> Arc<ShardMetrics> {
        self.all()[core].shard.clone()
    }

    /// Where a core posts its watermarks.
    pub(crate) fn board(&self, core: usize) -> Arc<Board> {
        self.all()[core].board.clone()
    }

    fn all(&self) -> Vec<CoreMetrics> {
        self.cores.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How far each step is in event time, on each core, and each split of the sources; nothing of cores that have not
    /// begun. A core posts its own after every step that did something.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::time::MAX_TIME;
    ///
    /// let job = Job::new("doc");
    /// let numbers = job.source("numbers", generator(1_000, |n| n as i64));
    /// numbers.event_time(|n| *n, Watermarks::monotonous()).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(2))?;
    /// let control = running.control();
    /// running.wait()?;
    /// let of: Vec<_> = control.metrics().watermarks();
    /// assert_eq!(of.len(), 2 * 3, "the source, its split and the sink, on each core");
    /// assert!(of.iter().all(|of| of.watermark == MAX_TIME), "all has ended");
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn watermarks(&self) -> Vec<StepWatermark> {
        let all = self.all();
        all.iter().enumerate().flat_map(|(core, of)| of.board.read(core)).collect()
    }

    /// What the last [`HISTORY`] checkpoints took, aborted ones among them, oldest first.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(1_000, |n| n)).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(2).checkpoint_at_end_only())?;
    /// let control = running.control();
    /// running.wait()?;
    /// assert_eq!(control.metrics().checkpoint_history().len(), 1);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn checkpoint_history(&self) -> Vec<CheckpointStats> {
        self.job.history.read()
    }

    /// The checkpoint that is under way, as far as it has got: its duration is zero until it is durable, then its sinks are
    /// committing. Of a job that has ended meanwhile, the one that its end has cut off.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(1_000, |n| n)).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(2).checkpoint_at_end_only())?;
    /// let control = running.control();
    /// running.wait()?;
    /// assert_eq!(control.metrics().checkpoint_under_way(), None, "the last one was completed");
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn checkpoint_under_way(&self) -> Option<CheckpointStats> {
        self.job.history.under_way()
    }

    /// The counters of each core that the job has, or has had.
    pub fn shards(&self) -> Vec<Arc<ShardMetrics>> {
        self.all().into_iter().map(|of| of.shard).collect()
    }

    /// The counters of the job as a whole.
    pub fn job(&self) -> &JobMetrics {
        &self.job
    }

    /// A counter summed over the cores.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(1_000, |n| n)).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(2))?;
    /// let control = running.control();
    /// running.wait()?;
    /// assert_eq!(control.metrics().sum(|shard| &shard.records_in), 1_000);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn sum(&self, counter: impl Fn(&ShardMetrics) -> &Counter) -> u64 {
        self.all().iter().map(|of| counter(&of.shard).get()).sum()
    }
}
