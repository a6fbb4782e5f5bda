//! Looking at checkpoints from outside a job: for tools and for tests. Nothing is locked and nothing is changed.
//!
//! ```
//! use std::rc::Rc;
//! use millstream::checkpoint::inspect::Checkpoints;
//! use millstream::prelude::*;
//! use millstream_storage::disk::{StdDisk, block_on};
//!
//! let dir = tempfile::tempdir().unwrap();
//! let job = Job::new("doc");
//! job.source("numbers", generator(100, |n| n)).sink("nowhere", discard());
//! job.run(Config::new().cores(1).checkpoints(dir.path()))?;
//!
//! let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir.path());
//! let last = *block_on(checkpoints.epochs())?.last().unwrap();
//! assert_eq!(block_on(checkpoints.manifest(last))?.job, "doc");
//! # Ok::<(), Error>(())
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::collection::is_head;
use millstream_storage::disk::Disk;
use millstream_storage::error::StoreError;
use millstream_storage::inspect::{self, FileContents};
use millstream_storage::manifest::read_verified;
use millstream_storage::snapshot::{DeltaFile, StoreSnapshot};
use millstream_storage::store::{Store, StoreConfig};

use super::directory::{MANIFEST, data_directory, read_manifest};
use super::manifest::{Manifest, Overtaken, StepManifest};
use crate::checkpoint::description::JobDescription;
use crate::checkpoint::plan::RestorePlan;
use crate::checkpoint::read::target::WINDOWS;
use crate::error::{Error, ErrorKind, Result};
use crate::operator::window::accumulators::ACCUMULATORS;
use crate::state::backend::state_id;
use crate::state::timers::Domain;

/// The checkpoints in a directory.
pub struct Checkpoints {
    disk: Rc<dyn Disk>,
    path: PathBuf,
}

/// How much of a state is in a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Tables: one for each open window, otherwise one for each core.
    pub tables: u64,
    /// Keys.
    pub keys: u64,
    /// Bytes of keys and values, of all parts of collections.
    pub bytes: u64,
}

impl Checkpoints {
    /// Those that a job with [`Config::checkpoints`](crate::Config::checkpoints) at `path` keeps there.
    pub fn at(disk: Rc<dyn Disk>, path: impl Into<PathBuf>) -> Checkpoints {
        Checkpoints { disk, path: path.into() }
    }

    pub(crate) fn disk(&self) -> Rc<dyn Disk> {
        self.disk.clone()
    }

    /// The complete checkpoints, by number.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub async fn epochs(&self) -> Result<Vec<u64>> {
        let entries = self.disk.list(&self.path).await.map_err(|error| {
            let message = format!("{}: cannot be listed", self.path.display());
            Error::new(ErrorKind::Checkpoint, message).caused_by(error)
        })?;
        let epoch = |name: &str| name.strip_prefix(MANIFEST)?.parse().ok();
        Ok(entries.iter().filter_map(|entry| epoch(&entry.name)).collect())
    }

    /// Where the manifest of a checkpoint is.
    pub fn manifest_path(&self, epoch: u64) -> PathBuf {
        self.path.join(format!("{MANIFEST}{epoch:010}"))
    }

    /// Where the state files are.
    ///
    /// ```
    /// use std::rc::Rc;
    /// use millstream::checkpoint::inspect::Checkpoints;
    /// use millstream_storage::disk::StdDisk;
    ///
    /// let checkpoints = Checkpoints::at(Rc::new(StdDisk), "state");
    /// assert_eq!(checkpoints.manifest_path(12).to_str(), Some("state/manifest-0000000012"));
    /// assert_eq!(checkpoints.data_path().to_str(), Some("state/data"));
    /// ```
    pub fn data_path(&self) -> PathBuf {
        data_directory(&self.path)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// If there is none, or it is damaged or of an unknown form.
    pub async fn manifest(&self, epoch: u64) -> Result<Manifest> {
        let path = self.manifest_path(epoch);
        let read = read_manifest(&*self.disk, &path, epoch).await;
        read.map_err(|what| Error::new(ErrorKind::Checkpoint, format!("{}: {what}", path.display())))
    }

    /// Whether a job can start from the last checkpoint here, or from the savepoint that this is, and what becomes of each
    /// step: its manifest is read, and whether the files that it names are there.
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # use millstream::prelude::*;
    /// # use millstream_storage::disk::{StdDisk, block_on};
    /// use millstream::checkpoint::inspect::Checkpoints;
    /// # let dir = tempfile::tempdir()?;
    ///
    /// let config = Config::new().cores(1).checkpoints(dir.path());
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    /// let description = job.describe(&config)?;
    /// job.run(config)?;
    ///
    /// let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir.path());
    /// assert!(block_on(checkpoints.plan(&description))?.is_possible());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If there is none, or its manifest is damaged, or the directory cannot be read.
    pub async fn plan(&self, job: &JobDescription) -> Result<RestorePlan> {
        let Some(epoch) = self.epochs().await?.into_iter().max() else {
            let message = format!("{}: holds no checkpoint", self.path.display());
            return Err(Error::new(ErrorKind::Restore, message));
        };
        let manifest = self.manifest(epoch).await?;
        let mut plan = RestorePlan::of(Some(&manifest), job);
        plan.refused.extend(self.missing(&manifest).await?);
        Ok(plan)
    }

    /// What is wrong with the names and lengths of a checkpoint's files.
    async fn missing(&self, manifest: &Manifest) -> Result<Vec<String>> {
        let (data, files) = (self.data_path(), manifest.delta_files());
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let entries = self.disk.list(&data).await.map_err(|error| {
            let message = format!("{}: cannot be listed", data.display());
            Error::new(ErrorKind::Checkpoint, message).caused_by(error)
        })?;
        let found: BTreeMap<&str, u64> =
            entries.iter().map(|entry| (entry.name.as_str(), entry.len)).collect();
        let wrong = files.into_iter().filter_map(|(name, file)| {
            let path = data.join(name);
            match found.get(name) {
                Some(len) if *len == file.file_bytes() => None,
                Some(len) => Some(format!("{}: has {len} of {} bytes", path.display(), file.file_bytes())),
                None => Some(format!("{}: is missing; put it back from a copy", path.display())),
            }
        });
        Ok(wrong.collect())
    }

    /// Reads and checks every byte of a state file.
    ///
    /// # Errors
    /// If it is missing, damaged, or cannot be read; the error names file and offset.
    pub async fn verify(&self, file: &DeltaFile) -> Result<FileContents, StoreError> {
        inspect::verify(&*self.disk, &self.data_path(), file).await
    }

    /// Reads and checks every byte of a file of records that were overtaken.
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # use millstream_storage::disk::{StdDisk, block_on};
    /// use millstream::checkpoint::inspect::Checkpoints;
    /// use millstream::checkpoint::manifest::Overtaken;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir.path());
    /// let lost = Overtaken { file: "overtaken-1-0-3".to_owned(), records: 7, bytes: 400 };
    /// assert!(block_on(checkpoints.verify_overtaken(&lost)).unwrap_err().to_string().contains("overtaken-1-0-3"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If it is missing, damaged, or cannot be read; the error names file and offset.
    pub async fn verify_overtaken(&self, overtaken: &Overtaken) -> Result<(), StoreError> {
        read_verified(&*self.disk, &self.data_path().join(&overtaken.file)).await.map(|_| ())
    }

    /// What a step's state amounts to, by the name of the state: reads all of it.
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # use millstream::prelude::*;
    /// # use millstream_storage::disk::{StdDisk, block_on};
    /// use millstream::checkpoint::inspect::{Checkpoints, StateSize};
    /// # #[derive(Clone)]
    /// # struct Number;
    /// # impl Process for Number {
    /// #     type Key = char;
    /// #     type In = char;
    /// #     type Out = u64;
    /// #     type State = Value<u64>;
    /// #     fn declare(&self, state: &mut Declare) -> Value<u64> {
    /// #         state.value("seen")
    /// #     }
    /// #     fn on_record(&mut self, _: char, seen: &Value<u64>, cx: &mut Context<'_, Self>) {
    /// #         seen.update(cx, |n| *n += 1);
    /// #     }
    /// # }
    /// # let dir = tempfile::tempdir()?;
    /// # let job = Job::new("doc");
    /// # let letters = job.source("letters", from_vec(vec!['a', 'b', 'a']));
    /// # letters.key_by(|c| *c).process("count", Number).sink("nowhere", discard());
    /// # job.run(Config::new().cores(1).checkpoints(dir.path()).checkpoint_at_end_only())?;
    ///
    /// let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir.path());
    /// let manifest = block_on(checkpoints.manifest(1))?;
    /// let sizes = block_on(checkpoints.sizes(&manifest.steps["count"]))?;
    /// let seen: &StateSize = &sizes["seen"];
    /// assert_eq!((seen.tables, seen.keys), (1, 2));
    ///
    /// let store = manifest.steps["count"].parts[0].store.as_ref().expect("the step has state");
    /// for file in &store.files {
    ///     assert!(block_on(checkpoints.verify(file))?.records >= 2);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If a state file is missing or damaged.
    pub async fn sizes(&self, step: &StepManifest) -> Result<BTreeMap<String, StateSize>, StoreError> {
        let mut sizes: BTreeMap<String, StateSize> = BTreeMap::new();
        let names = state_names(step);
        for snapshot in step.parts.iter().filter_map(|part| part.store.as_ref()) {
            let store = open(self.disk.clone(), &self.data_path(), snapshot).await?;
            for entry in &snapshot.tables {
                let table = store.table(entry.state, entry.namespace).expect("a restored table is there");
                let name = names.get(&entry.state).cloned();
                let size = sizes.entry(name.unwrap_or_else(|| format!("#{}", entry.state))).or_default();
                size.tables += 1;
                let layout = store.layout(table);
                store.for_each(table, |key, value| {
                    size.keys += u64::from(!layout.parts || is_head(key));
                    size.bytes += (key.len() + value.len()) as u64;
                });
            }
        }
        Ok(sizes)
    }
}

/// Restores a whole part.
async fn open(disk: Rc<dyn Disk>, dir: &Path, snapshot: &StoreSnapshot) -> Result<Store, StoreError> {
    let config = StoreConfig::new(&snapshot.name, snapshot.store_id);
    Store::restore(disk, dir, config, std::slice::from_ref(snapshot), |_, _| true).await
}

/// The names of a step's states, by their number in the store.
fn state_names(step: &StepManifest) -> BTreeMap<u32, String> {
    let declared = step.schema.states.keys().map(|name| (state_id(name), name.clone()));
    let timers = [(Domain::Event, "event-time timers"), (Domain::Processing, "processing-time timers")];
    let timers = timers.map(|(domain, name)| (domain.state(), name.to_owned()));
    let windows = match step.schema.kind.as_str() {
        "window" => Some((ACCUMULATORS, WINDOWS.to_owned())),
        "session" => Some((ACCUMULATORS, "sessions".to_owned())),
        _ => None,
    };
    declared.chain(timers).chain(windows).collect()
}
