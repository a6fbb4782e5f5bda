//! Checkpoints of a test kit: written and restored by the code of the engine, in a temporary directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::store::Store;
use serde_json::{Value as Json, json};

use super::host::StillHost;
use crate::checkpoint::description::{Changes, JobDescription};
use crate::checkpoint::manifest::{FORMAT, Manifest, ManifestKind, Part, Schema, StepManifest};
use crate::checkpoint::plan::RestorePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::key_group::{Placement, Placements, default_max_parallelism};
use crate::operator::process::{Declare, Process};
use crate::stage::OpenContext;
use crate::time::Timestamp;

/// A directory of the kit's own, made when it is first needed, and removed with the last who knows it.
#[derive(Clone, Default)]
pub(super) struct Directory {
    made: Option<Rc<Made>>,
    /// The checkpoints that were taken in it.
    epoch: u64,
}

struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        // What stays is for whoever cleans the directory of temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Directory {
    fn path(&mut self) -> Result<&Path> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if self.made.is_none() {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("millstream-testing-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).map_err(|error| {
                let message = format!("the kit's directory {} cannot be made", path.display());
                Error::new(ErrorKind::Checkpoint, message).caused_by(error)
            })?;
            self.made = Some(Rc::new(Made(path)));
        }
        Ok(&self.made.as_ref().expect("it was made a moment ago").0)
    }
}

/// A checkpoint of one step; by default, none.
#[derive(Default)]
pub(super) struct Checkpoint {
    manifest: Option<Manifest>,
}

impl Checkpoint {
    /// The name of the only step.
    pub(super) const STEP: &'static str = "process";
    const JOB: &'static str = "test kit";

    /// Writes what the cores have: what they say of themselves, and their stores.
    pub(super) fn take<'a, P: Process>(
        process: &P,
        cores: impl Iterator<Item = (Json, &'a mut Store)>,
        (watermark, finished): (Timestamp, bool),
        directory: &mut Directory,
    ) -> Result<Checkpoint> {
        directory.epoch += 1;
        let epoch = directory.epoch;
        let path = directory.path()?.to_owned();
        let mut parts = Vec::new();
        for (shard, (operator, store)) in cores.enumerate() {
            let meta = json!({ "watermark": watermark, "finished": finished, "operator": operator });
            let written = block_on(store.seal(epoch).write(Rc::new(StdDisk), path.clone()));
            let store = written.map_err(|error| {
                Error::new(ErrorKind::Checkpoint, "the kit's state cannot be written").caused_by(error)
            })?;
            parts.push(Part { shard, meta, store: Some(store), prepared: None, overtaken: None });
        }
        let manifest = Manifest {
            format: FORMAT,
            job: Self::JOB.to_owned(),
            epoch,
            parent: None,
            max_parallelism: default_max_parallelism(1),
            taken: None,
            shards: parts.len(),
            finished,
            drained: false,
            kind: ManifestKind::Checkpoint,
            steps: BTreeMap::from([(
                Self::STEP.to_owned(),
                StepManifest { schema: schema(process), cores: None, parts },
            )]),
        };
        // Through its form on disk: what is not kept there is not restored.
        let kept = serde_json::to_value(&manifest).and_then(serde_json::from_value);
        let kept = kept.map_err(|error| {
            Error::new(ErrorKind::Checkpoint, "the kit's manifest cannot be written").caused_by(error)
        })?;
        Ok(Checkpoint { manifest: Some(kept) })
    }

    /// Whether `process` may go on from it.
    ///
    /// # Errors
    /// If its states are others.
    pub(super) fn check<P: Process>(&self, process: &P) -> Result<()> {
        let job = JobDescription {
            job: Self::JOB.to_owned(),
            max_parallelism: default_max_parallelism(1),
            schemas: BTreeMap::from([(Self::STEP.to_owned(), schema(process))]),
            changes: Changes::default(),
        };
        match &self.manifest {
            Some(manifest) => RestorePlan::of(Some(manifest), &job).check(),
            None => Ok(()),
        }
    }

    /// What a core opens its state with.
    pub(super) fn context(
        &self,
        core: usize,
        placement: &Placement,
        cores: usize,
        now: Timestamp,
        directory: &Directory,
    ) -> OpenContext {
        let steps = self.manifest.as_ref().map(|manifest| manifest.steps.clone());
        let epoch = self.manifest.as_ref().map(|manifest| manifest.epoch);
        OpenContext {
            host: Rc::new(StillHost { core, now }),
            wake: Waker::noop().clone(),
            shard: core,
            shards: cores,
            placements: Placements::everywhere(placement.groups(), cores),
            restored: Arc::new(steps.unwrap_or_default()),
            restored_epoch: epoch,
            first_epoch: directory.epoch + 1,
            directory: directory.made.as_ref().map(|made| made.0.clone()),
            memory: None,
            run_id: directory.epoch,
            generation: 0,
            agreements: Arc::default(),
        }
    }
}

/// What a job's manifest says of such a step.
fn schema<P: Process>(process: &P) -> Schema {
    let mut declare = Declare::default();
    process.declare(&mut declare);
    let key = std::any::type_name::<P::Key>().to_owned();
    let mut schema = Schema::new("process", &[("key", key)]);
    declare.describe(&mut schema);
    schema
}
