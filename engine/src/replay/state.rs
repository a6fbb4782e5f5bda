//! All state of a checkpoint, as a number.

use std::path::PathBuf;
use std::rc::Rc;

use millstream_storage::disk::Disk;
use millstream_storage::hash::stable_hash;
use millstream_storage::store::{Store, StoreConfig};

use super::trace::Trace;
use crate::checkpoint::inspect::Checkpoints;
use crate::checkpoint::manifest::Manifest;
use crate::error::{Error, ErrorKind, Result};
use crate::state::timers::is_timer_state;

impl Checkpoints {
    /// A hash of the keyed state and the timers of all steps, and of how far they are in event time: of what they are, not of
    /// which core has them. All state is read for it.
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # use millstream::prelude::*;
    /// # use millstream_storage::disk::{StdDisk, block_on};
    /// use millstream::checkpoint::inspect::Checkpoints;
    ///
    /// let hash = |cores: usize| {
    ///     let dir = tempfile::tempdir().unwrap();
    ///     let job = Job::new("doc");
    ///     let numbers = job.source("numbers", generator(100, |n| n)).key_by(|n| n % 7);
    ///     numbers.reduce("sum", |sum, n| *sum += n).sink("out", discard());
    ///     job.run(Config::new().cores(cores).checkpoints(dir.path()).checkpoint_at_end_only())?;
    ///     let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir.path());
    ///     block_on(async { checkpoints.state_hash(&checkpoints.manifest(1).await?).await })
    /// };
    /// assert_eq!(hash(1)?, hash(2)?);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If a file of it cannot be read.
    pub async fn state_hash(&self, manifest: &Manifest) -> Result<u64> {
        hash_of(self.disk(), self.data_path(), manifest).await
    }
}

async fn hash_of(disk: Rc<dyn Disk>, data: PathBuf, manifest: &Manifest) -> Result<u64> {
    let mut trace = Trace::default();
    for (name, step) in &manifest.steps {
        let mut entries = Vec::new();
        for snapshot in step.parts.iter().filter_map(|part| part.store.as_ref()) {
            let config = StoreConfig::new(&snapshot.name, snapshot.store_id);
            let parts = std::slice::from_ref(snapshot);
            let store = Store::restore(disk.clone(), &data, config, parts, |_, _| true).await;
            let store = store.map_err(|error| {
                Error::new(ErrorKind::Checkpoint, format!("the state of step `{name}`")).caused_by(error)
            })?;
            for entry in &snapshot.tables {
                let table = store.table(entry.state, entry.namespace).expect("a restored table is there");
                let of = format!("{} {:?}", entry.state, entry.namespace);
                store.for_each(table, |key, value| {
                    let mut bytes = of.clone().into_bytes();
                    bytes.extend((key.len() as u64).to_le_bytes());
                    bytes.extend_from_slice(key);
                    // Of a timer it is its place among those of one core.
                    bytes.extend_from_slice(if is_timer_state(entry.state) { &[] } else { value });
                    entries.push(stable_hash(&bytes));
                });
            }
        }
        entries.sort_unstable();
        let entries: Vec<u8> = entries.into_iter().flat_map(u64::to_le_bytes).collect();
        let watermarks = step.parts.iter().filter_map(|part| part.meta.get("watermark")?.as_i64());
        let watermark = watermarks.min().map(i64::to_le_bytes).unwrap_or_default();
        trace.note(&[name.as_bytes(), &entries, &watermark]);
    }
    Ok(trace.hash())
}
