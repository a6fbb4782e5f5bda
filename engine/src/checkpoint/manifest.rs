//! What a checkpoint consists of.

use std::collections::{BTreeMap, BTreeSet};

use millstream_storage::planted;
use millstream_storage::snapshot::{DeltaFile, StoreSnapshot};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::state::schema::Accepted;
use crate::state::{StateSchema, StateTypes};

/// The version of the manifest's form.
pub const FORMAT: u32 = 1;

/// The version of one with a step on fewer cores than all, which a reader of the first would take for on all.
pub const FORMAT_NARROW: u32 = 2;

/// The version of one with records that a barrier has overtaken, which a reader of the others would lose.
pub const FORMAT_OVERTAKEN: u32 = 3;

/// The lowest version that says all there is to say of some steps.
pub(crate) fn form_of(steps: &BTreeMap<String, StepManifest>) -> u32 {
    let is_narrow = steps.values().any(|step| step.cores.is_some());
    let has_overtaken = steps.values().flat_map(|step| &step.parts).any(|part| part.overtaken.is_some());
    match (has_overtaken, is_narrow) {
        (true, _) => FORMAT_OVERTAKEN,
        (false, true) => FORMAT_NARROW,
        (false, false) => FORMAT,
    }
}

/// A complete checkpoint, by reference to the files that hold the state.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::checkpoint::manifest::{FORMAT, FORMAT_NARROW, FORMAT_OVERTAKEN, Manifest, Part, Schema, StepManifest};
/// use millstream_storage::disk::{StdDisk, block_on};
/// use millstream_storage::manifest::read_verified;
/// # let dir = tempfile::tempdir()?;
///
/// let job = Job::new("doc");
/// job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
/// job.run(Config::new().cores(2).checkpoints(dir.path()).checkpoint_at_end_only())?;
///
/// let bytes = block_on(read_verified(&StdDisk, &dir.path().join("manifest-0000000001")))?;
/// let manifest: Manifest = serde_json::from_slice(&bytes)?;
/// assert_eq!((manifest.format, manifest.epoch, manifest.finished), (FORMAT, 1, true));
/// assert!(manifest.format < FORMAT_NARROW, "all steps are on all cores");
/// assert!(manifest.format < FORMAT_OVERTAKEN, "no barrier has overtaken a record");
/// let StepManifest { schema: Schema { kind, .. }, parts, .. } = &manifest.steps["numbers"];
/// assert_eq!((kind.as_str(), parts.len()), ("source", manifest.shards));
/// let Part { shard, store, .. } = &parts[1];
/// assert_eq!((*shard, store), (1, &None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this form.
    pub format: u32,
    /// The job's name.
    pub job: String,
    /// The checkpoint's number. Numbers rise; one that was aborted is never used again.
    pub epoch: u64,
    /// The checkpoint that this run started from or completed before.
    pub parent: Option<u64>,
    /// The number of key groups; fixed for the life of the job.
    pub max_parallelism: u32,
    /// When it began, by the wall clock, in milliseconds since the epoch; unknown of checkpoints of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<i64>,
    /// The number of cores that wrote it.
    pub shards: usize,
    /// Whether the job had ended: all input consumed, all output in this checkpoint.
    pub finished: bool,
    /// Whether it had ended because it was drained, before its input.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "ManifestKind::is_checkpoint")]
    pub kind: ManifestKind,
    /// The steps of the job, by name.
    pub steps: BTreeMap<String, StepManifest>,
}

/// Whether a checkpoint is the job's own, or was copied out of its directory.
///
/// ```
/// # use millstream::prelude::*;
/// # use millstream_storage::disk::{StdDisk, block_on};
/// use millstream::checkpoint::inspect::Checkpoints;
/// use millstream::checkpoint::manifest::ManifestKind;
/// # let dir = tempfile::tempdir()?;
/// # let (state, saved) = (dir.path().join("state"), dir.path().join("saved"));
///
/// let job = Job::new("doc");
/// job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
/// let running = job.start(Config::new().cores(1).checkpoints(&state))?;
/// let epoch = running.stop_with_savepoint(&saved).wait()?.epoch;
/// running.wait()?;
/// let kind_in = |dir: &std::path::Path| {
///     let checkpoints = Checkpoints::at(std::rc::Rc::new(StdDisk), dir);
///     block_on(checkpoints.manifest(epoch)).map(|manifest| manifest.kind)
/// };
/// assert_eq!(kind_in(&saved)?, ManifestKind::Savepoint);
/// assert!(kind_in(&state)?.is_checkpoint());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ManifestKind {
    /// Kept and removed by the job that wrote it.
    #[default]
    Checkpoint,
    /// Stands for itself, with all its files; the output that belongs to it was committed before it was published.
    Savepoint,
    /// A savepoint that a job has copied to its own directory, to start from.
    Imported,
}

impl ManifestKind {
    /// Whether it is a checkpoint of the job's own.
    pub fn is_checkpoint(&self) -> bool {
        *self == ManifestKind::Checkpoint
    }
}

/// A step in a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepManifest {
    /// What kind of step, and what its state consists of; must be equal on restore.
    pub schema: Schema,
    /// How many of the cores, the first ones, had its keys, unless all had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<usize>,
    /// What each core contributed, by core.
    pub parts: Vec<Part>,
}

impl StepManifest {
    /// How many of the cores, the first ones, had its keys.
    pub(crate) fn cores(&self) -> usize {
        self.cores.filter(|_| !planted!(narrow_forgotten)).unwrap_or(self.parts.len())
    }
}

/// The description of a step that its state depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// `source`, `window`, `process`, `sink`.
    pub kind: String,
    /// Parameters that the state depends on, by name: types, window, lateness.
    pub detail: BTreeMap<String, String>,
    /// The states that a process function has declared, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<String, StateSchema>,
    /// The full names of the types of its states, by name. For tools: nothing is compared with them on restore.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, StateTypes>,
    /// What the job's own states take from a checkpoint, by name.
    #[serde(skip)]
    pub(crate) accepted: BTreeMap<String, Accepted>,
    /// The states that a checkpoint may hold although they are no longer declared.
    #[serde(skip)]
    pub(crate) given_up: BTreeSet<String>,
}

/// One core's share of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The core.
    pub shard: usize,
    /// Positions, watermarks and whatever else the step keeps outside its store.
    pub meta: Json,
    /// Its keyed state.
    pub store: Option<StoreSnapshot>,
    /// The output that it pre-committed.
    pub prepared: Option<Json>,
    /// The records that waited before it, if the barrier has overtaken any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overtaken: Option<Overtaken>,
}

/// A file of records that were on their way to a step when the barrier overtook them.
///
/// ```
/// use millstream::checkpoint::manifest::Overtaken;
///
/// let file: Overtaken = serde_json::from_str(r#"{"file": "overtaken-1-0-3", "records": 7, "bytes": 400}"#)?;
/// assert_eq!((file.file.as_str(), file.records, file.bytes), ("overtaken-1-0-3", 7, 400));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overtaken {
    /// Its name, in the directory of the state files.
    pub file: String,
    /// The records that it holds.
    pub records: u64,
    /// Its length, in bytes, without the envelope.
    pub bytes: u64,
}

impl Schema {
    pub(crate) fn new(kind: &str, detail: &[(&str, String)]) -> Schema {
        let detail = detail.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Schema { kind: kind.to_owned(), detail, ..Schema::default() }
    }

    /// Whether a step that was saved so can be restored as this one.
    pub(crate) fn check(&self, name: &str, saved: &Schema) -> Result<(), String> {
        if (&self.kind, &self.detail) != (&saved.kind, &saved.detail) {
            return Err(format!("step `{name}` was saved as [{saved}] and is now [{self}]"));
        }
        for (state, was) in &saved.states {
            match self.accepted.get(state) {
                Some(accepted) => {
                    accepted.check(state, was).map_err(|what| format!("step `{name}`: {what}"))?;
                }
                None if self.given_up.contains(state) => {}
                None => {
                    return Err(format!(
                        "step `{name}` was saved with state `{state}` [{was}], which it does not declare; declare it \
                         again under this name, or give it up by `Declare::give_up`"
                    ));
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        self.detail.iter().try_for_each(|(name, value)| write!(f, ", {name} {value}"))
    }
}

impl Manifest {
    /// The files of state and of overtaken records that it names.
    pub(crate) fn files(&self) -> BTreeSet<&str> {
        let parts = self.steps.values().flat_map(|step| &step.parts);
        let overtaken = parts.filter_map(|part| part.overtaken.as_ref());
        self.delta_files().into_keys().chain(overtaken.map(|overtaken| overtaken.file.as_str())).collect()
    }

    /// The state files that it names, each once.
    pub(crate) fn delta_files(&self) -> BTreeMap<&str, &DeltaFile> {
        let parts = self.steps.values().flat_map(|step| &step.parts);
        let stores = parts.filter_map(|part| part.store.as_ref());
        stores.flat_map(|store| &store.files).map(|file| (file.name.as_str(), file)).collect()
    }
}
