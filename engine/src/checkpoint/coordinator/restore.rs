//! What a run starts from: the last checkpoint, or a savepoint.

use std::path::Path;
use std::sync::Arc;
use std::task::Waker;

use millstream_storage::planted;

use super::Coordinator;
use crate::checkpoint::control::Restored;
use crate::checkpoint::directory::{Contents, Directory};
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::plan::{RestorePlan, own_refusal};
use crate::checkpoint::transfer::read_savepoint;
use crate::error::{Error, ErrorKind, Result};
use crate::failure::Caught;
use crate::handle::Ended;
use crate::sink::{Prepared, SinkContext};

impl Coordinator {
    /// Reads the last checkpoint, and has the sinks finish what it had pre-committed. Also says how the job had ended, if
    /// it had.
    pub(super) async fn restore(&mut self) -> Result<(Restored, Option<Ended>)> {
        let mut manifest = None;
        if let Some(path) = self.seed.checkpoints.clone() {
            let directory = Directory::open(self.host.disk(), path).await?;
            directory.settle().await?;
            let mut contents = directory.contents().await?;
            let chain = match self.seed.replayed {
                // It looks at what is here, and takes nothing over.
                Some(_) => None,
                None => self.open_chain(&directory).await?,
            };
            let known = chain.as_ref().and_then(|(_, head)| head.as_ref()?.checkpoint.as_ref());
            // What was prepared here, and is in no link of the store that the directory belongs to, was never complete.
            let belongs = chain.is_some() && directory.remote().await?.is_some();
            let is_first = known.is_none() && (contents.is_empty() || belongs);
            let savepoint = self.seed.savepoint.clone().filter(|_| is_first);
            if let Some(savepoint) = &savepoint {
                self.take_over(&directory, &contents, savepoint).await?;
                contents = directory.contents().await?;
            }
            self.next_epoch = contents.first_free_epoch()?;
            let passed_over = usize::from(self.seed.attempt > 0 && planted!(restarts_from_older));
            manifest = match (self.seed.replayed, chain) {
                (Some(epoch), _) => Some(directory.at(&contents, epoch).await?.ok_or_else(|| {
                    let message =
                        format!("checkpoint {epoch} was removed meanwhile; replay from a later one");
                    Error::new(ErrorKind::Restore, message)
                })?),
                (None, None) => directory.latest(&contents, passed_over).await?,
                (None, Some(chain)) => {
                    self.take_chain(&directory, &contents, chain, savepoint.is_some()).await?
                }
            };
            self.directory = Some(directory);
        }
        if let Some(manifest) = &mut manifest {
            let mut plan = RestorePlan::of(Some(manifest), &self.seed.job);
            // A replay leaves everything as it is, and so may begin with a savepoint.
            plan.refused.extend(own_refusal(manifest).filter(|_| self.seed.replayed.is_none()));
            plan.check()?;
            manifest.steps = plan.adapt(std::mem::take(&mut manifest.steps));
            self.last_complete = Some(manifest.epoch);
            self.last_files = manifest.files().into_iter().map(str::to_owned).collect();
        }
        self.recover_sinks(manifest.as_ref()).await?;
        self.clean_up(None).await;
        let finished = manifest.as_ref().filter(|manifest| manifest.finished);
        let ended = finished.map(|manifest| if manifest.drained { Ended::Drained } else { Ended::Finished });
        let restored = Restored {
            epoch: self.last_complete,
            steps: Arc::new(manifest.map(|manifest| manifest.steps).unwrap_or_default()),
            first_epoch: self.next_epoch,
            run_id: self.host.random(),
            generation: self.generation(),
            agreements: Arc::default(),
        };
        Ok((restored, ended))
    }

    /// Takes a savepoint over, if the job can start from it: what is refused is left as it was.
    async fn take_over(&self, directory: &Directory, contents: &Contents, path: &Path) -> Result<()> {
        let savepoint = read_savepoint(&*self.host.disk(), path).await?;
        let plan = RestorePlan::of(Some(&savepoint), &self.seed.job);
        plan.check().map_err(|error| error.at(format_args!("savepoint {}", path.display())))?;
        directory.make_void(contents, None).await?;
        directory.import(path, &savepoint).await
    }

    async fn recover_sinks(&mut self, manifest: Option<&Manifest>) -> Result<()> {
        let again = self.seed.attempt > 0;
        if again && (planted!(recovers_once) || planted!(rescales_before_commit)) {
            return Ok(());
        }
        for (name, recover) in std::mem::take(&mut self.seed.sinks) {
            let manifest = manifest.filter(|_| !planted!(no_commit_at_recovery));
            let parts = manifest.and_then(|manifest| manifest.steps.get(&name)).map(|step| &step.parts);
            let epoch = manifest.map_or(0, |manifest| manifest.epoch);
            let prepared = parts.into_iter().flatten().filter_map(|part| {
                let pending = part.prepared.clone()?;
                Some(Prepared { shard: part.shard, epoch, pending })
            });
            let cx = SinkContext {
                host: self.host.clone(),
                wake: Waker::noop().clone(),
                shard: 0,
                shards: self.seed.lines.len(),
                first_epoch: self.next_epoch,
                restored: manifest.map(|manifest| manifest.epoch),
                durable: self.directory.is_some(),
                generation: self.generation(),
                checkpoints: self.seed.checkpoints.clone(),
            };
            let prepared = prepared.collect();
            let recovered = Caught::new(async move { recover(cx, prepared).await }).await.flatten();
            recovered.map_err(|error| error.at(format_args!("sink `{name}`")))?;
        }
        Ok(())
    }
}
