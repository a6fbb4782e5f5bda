//! A stage: what one core runs between two edges. Sources, operators and sinks are stages.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use millstream_storage::error::StoreError;
use millstream_storage::read::{Fetched, Read};
use millstream_storage::sealed::Sealed;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::spill::Spill;
use serde_json::Value as Json;

use crate::checkpoint::manifest::{Part, StepManifest};
use crate::error::Result;
use crate::exchange::overtaken::Waiting;
use crate::host::{Host, LocalFuture};
use crate::key_group::Placements;
use crate::metrics::ShardMetrics;
use crate::record::Barrier;
use crate::source::Agreements;
use crate::time::Timestamp;

/// How long room on a disk, or a descriptor, is waited for: longer does not help.
pub(crate) const WITHOUT_ROOM: Duration = Duration::from_secs(60);

/// The two clocks, read once per step at the edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Monotone.
    pub monotonic: Duration,
    /// Milliseconds since the epoch, for processing-time timers.
    pub wall: i64,
}

/// What a stage gets for one step.
pub(crate) struct StepContext<'a> {
    pub now: Now,
    /// How many more records may be worked on in this step.
    pub budget: usize,
    pub batch_size: usize,
    pub metrics: &'a ShardMetrics,
    /// What the driver has to see to.
    pub events: &'a mut Vec<Event>,
}

/// What a stage asks of the driver.
pub(crate) enum Event {
    /// The stage's share of a checkpoint, to be written in the background.
    Snapshot(Box<Snapshot>),
    /// State that the stage waits for, to be read.
    Reads { step: String, reads: Vec<Read> },
    /// State to be written ahead of checkpoints, so that its memory can be given up.
    Spill { step: String, spill: Spill },
    /// The stage has consumed and emitted everything.
    Drained,
}

/// A stage's share of a checkpoint at the moment of its barrier.
pub(crate) struct Snapshot {
    pub step: String,
    pub epoch: u64,
    pub meta: Json,
    pub sealed: Option<Sealed>,
    /// The pre-commit of a sink.
    pub prepare: Option<LocalFuture<Result<Json>>>,
    /// The records that the barrier has overtaken.
    pub overtaken: Option<Waiting>,
    /// How long its inputs waited for each other.
    pub alignment: Duration,
}

/// One core's part of one step of the job.
pub(crate) trait Stage {
    /// The step's name.
    fn name(&self) -> &str;

    /// Where in its input it is: asked after a panic in the user's code, for a person to read.
    fn place(&self) -> Option<String> {
        None
    }

    /// Takes input, works on it, and emits. Returns whether anything was done.
    fn run(&mut self, cx: &mut StepContext<'_>) -> Result<bool>;

    /// Tells its watermark, and those of its splits if it is a source, by their names: always as many, in the same order.
    fn watermarks(&self, tell: &mut dyn FnMut(Option<&str>, Timestamp));

    /// Sends what was emitted, however little it is. Returns whether anything was sent.
    fn flush(&mut self) -> bool {
        false
    }

    /// Records whose requests have not been answered.
    fn in_flight(&self) -> usize {
        0
    }

    /// Whether a run or a flush would do something now; asked before the core is parked.
    fn is_ready(&mut self) -> bool;

    /// When a run is due although nothing arrives.
    fn deadline(&self, _now: Now) -> Option<Duration> {
        None
    }

    /// Starts a checkpoint here: sources only.
    fn inject(&mut self, _barrier: Barrier, _cx: &mut StepContext<'_>) {}

    /// Lets the barrier of this checkpoint overtake what waits, where it may.
    fn overtake(&mut self, _epoch: u64) {}
    /// Gives no more records, or goes on: sources only.
    fn hold(&mut self, _held: bool) {}

    /// Ends here, as if there were no more input: sources only.
    fn drain(&mut self) {}

    /// The background has written the sealed state of an epoch, or failed to.
    fn flushed(&mut self, _epoch: u64, _written: Option<&StoreSnapshot>) {}

    /// Takes state that was read.
    ///
    /// # Errors
    /// If it was not read, and is still needed.
    fn admit(&mut self, _read: &Read, fetched: Result<Fetched, StoreError>) -> Result<(), StoreError> {
        fetched.map(|_| ())
    }

    /// What was being written ahead is written, or why not.
    fn spilled(&mut self, _written: Result<(), StoreError>) {}

    /// What memory its state takes; nothing if it keeps none.
    fn memory(&self) -> Option<Memory> {
        None
    }

    /// The most memory that its state may take from now on, in bytes.
    fn set_memory(&mut self, _bytes: u64) {}

    /// The checkpoint of this epoch is complete: a sink commits.
    fn commit(&mut self, _epoch: u64) -> Option<LocalFuture<Result<()>>> {
        None
    }
}

/// Memory of a stage's state, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Whether there is a limit, so that it can do with less.
    pub limited: bool,
    /// What it takes now.
    pub used: u64,
    /// What it cannot do without.
    pub least: u64,
    /// What it would take if it could.
    pub wanted: u64,
    /// What is on disk instead.
    pub evicted: u64,
    /// Not in bytes: files whose index was found damaged when the state was restored.
    pub damaged_indexes: u64,
}

/// What a stage gets when it is opened on its core.
#[derive(Clone)]
pub(crate) struct OpenContext {
    pub host: Rc<dyn Host>,
    pub wake: Waker,
    pub shard: usize,
    pub shards: usize,
    pub placements: Placements,
    /// The restored checkpoint's steps, by name.
    pub restored: Arc<BTreeMap<String, StepManifest>>,
    pub restored_epoch: Option<u64>,
    pub first_epoch: u64,
    /// Where state is kept; nothing is written without it.
    pub directory: Option<PathBuf>,
    /// The memory that the state of one step may take, to begin with.
    pub memory: Option<u64>,
    pub agreements: Arc<Agreements>,
    /// Distinguishes the stores of this run from those of earlier ones.
    pub run_id: u64,
    /// Of the run, among all of the job: see [`SinkContext`](crate::sink::SinkContext).
    pub generation: u64,
}

impl OpenContext {
    /// What the restored checkpoint holds of a step, by the shard that wrote it.
    pub(crate) fn parts(&self, step: &str) -> &[Part] {
        self.restored.get(step).map_or(&[], |manifest| manifest.parts.as_slice())
    }

    /// The number of cores that had the keys of a step in the restored checkpoint; none if that has no such step.
    pub(crate) fn cores_before(&self, step: &str) -> usize {
        self.restored.get(step).map_or(0, StepManifest::cores)
    }

    /// The shard that wrote what this core alone goes on from: its own, if each core has the keys of a step that it had in
    /// the restored checkpoint.
    pub(crate) fn own_part(&self, step: &str) -> Option<usize> {
        let same =
            (self.parts(step).len(), self.cores_before(step)) == (self.shards, self.placements.cores(step));
        same.then_some(self.shard)
    }
}

/// A stage before its core has started: made on the caller's thread, opened on the core.
pub(crate) trait StageSeed: Send {
    fn open(self: Box<Self>, cx: OpenContext) -> LocalFuture<Result<Box<dyn Stage>>>;

    /// Whether it may keep state, and so takes part of the memory.
    fn keeps_state(&self) -> bool {
        false
    }
}
