//! What becomes of a checkpoint's steps in a job: the one place where that is decided, for the job and for tools.

use std::collections::BTreeMap;
use std::fmt;

use crate::checkpoint::description::JobDescription;
use crate::checkpoint::manifest::{Manifest, ManifestKind, StepManifest};
use crate::error::{Error, ErrorKind, Result};

/// Whether a job can start from a checkpoint, and what becomes of each step. Made by
/// [`Job::check_restore`](crate::Job::check_restore) and
/// [`Checkpoints::plan`](crate::checkpoint::inspect::Checkpoints::plan).
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::checkpoint::plan::{RestorePlan, StepPlan};
/// # let dir = tempfile::tempdir()?;
///
/// let config = || Config::new().cores(1).checkpoints(dir.path());
/// let job = Job::new("doc");
/// job.source("numbers", generator(10, |n| n)).sink("out", discard());
/// job.run(config())?;
///
/// let job = Job::new("doc");
/// let numbers = job.source("digits", generator(10, |n| n));
/// numbers.clone().sink("out", discard());
/// numbers.sink("archive", discard());
/// let plan: RestorePlan = job.check_restore(&config())?;
/// assert!(!plan.is_possible());
/// assert!(matches!(plan.steps["numbers"], StepPlan::Refused(_)));
/// assert_eq!(plan.steps["archive"], StepPlan::Added);
/// assert!(plan.check().unwrap_err().to_string().contains("renamed"));
///
/// let plan = job.check_restore(&config().renamed("numbers", "digits"))?;
/// assert!(plan.is_possible(), "{plan}");
/// assert_eq!(plan.steps["digits"], StepPlan::Renamed("numbers".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestorePlan {
    /// The number of the checkpoint; nothing if there is none to start from.
    pub epoch: Option<u64>,
    /// Whether the job has ended with it: nothing is left to do.
    pub finished: bool,
    /// Why it cannot be restored at all, besides what is told of its steps.
    pub refused: Vec<String>,
    /// What becomes of the steps of the checkpoint and of the job, by name.
    pub steps: BTreeMap<String, StepPlan>,
}

/// What becomes of a step.
///
/// ```
/// use millstream::checkpoint::plan::StepPlan;
///
/// assert_eq!(StepPlan::Added.to_string(), "added: starts empty");
/// assert!(StepPlan::Refused("its type has changed".to_owned()).is_refused());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepPlan {
    /// Goes on where it was.
    Restored,
    /// Goes on where the step of this name was.
    Renamed(String),
    /// Is not in the checkpoint: starts empty, a source at its beginning.
    Added,
    /// Is not in the job, which allows that: its state is left behind.
    Removed,
    /// Cannot be restored, and why.
    Refused(String),
}

impl StepPlan {
    /// Whether it cannot be restored.
    pub fn is_refused(&self) -> bool {
        matches!(self, StepPlan::Refused(_))
    }
}

impl fmt::Display for StepPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepPlan::Restored => f.write_str("restored"),
            StepPlan::Renamed(old) => write!(f, "restored from `{old}`"),
            StepPlan::Added => f.write_str("added: starts empty"),
            StepPlan::Removed => f.write_str("removed: its state is left behind"),
            StepPlan::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

impl RestorePlan {
    /// Compares a checkpoint with a job.
    pub(crate) fn of(manifest: Option<&Manifest>, job: &JobDescription) -> RestorePlan {
        let mut plan = RestorePlan {
            epoch: manifest.map(|manifest| manifest.epoch),
            finished: manifest.is_some_and(|manifest| manifest.finished),
            refused: manifest.map(|manifest| refusals(manifest, job)).unwrap_or_default(),
            steps: job.schemas.keys().map(|name| (name.clone(), StepPlan::Added)).collect(),
        };
        for (name, step) in manifest.into_iter().flat_map(|manifest| &manifest.steps) {
            let is_savepoint = manifest.is_some_and(|manifest| !manifest.kind.is_checkpoint());
            let (now, fate) = fate(name, step, job, is_savepoint);
            match plan.steps.get(&now) {
                // Two of the checkpoint's steps would be one.
                Some(taken) if *taken != StepPlan::Added => {
                    let why = format!("the checkpoint holds a step `{now}` and another that is renamed so");
                    plan.steps.insert(now, StepPlan::Refused(why));
                }
                _ => drop(plan.steps.insert(now, fate)),
            }
        }
        plan
    }

    /// Whether the job can start.
    pub fn is_possible(&self) -> bool {
        self.refused.is_empty() && !self.steps.values().any(StepPlan::is_refused)
    }

    /// # Errors
    /// If the job cannot start: the first reason.
    pub fn check(&self) -> Result<()> {
        let of_steps = self.steps.values().filter_map(|step| match step {
            StepPlan::Refused(why) => Some(why),
            _ => None,
        });
        let Some(why) = self.refused.iter().chain(of_steps).next() else { return Ok(()) };
        let epoch = self.epoch.unwrap_or_default();
        Err(Error::new(ErrorKind::Restore, format!("checkpoint {epoch} cannot be restored: {why}")))
    }

    /// The steps of the checkpoint under the names that they have now, without those that were removed.
    pub(crate) fn adapt(&self, mut steps: BTreeMap<String, StepManifest>) -> BTreeMap<String, StepManifest> {
        let now = self.steps.iter().filter_map(|(name, plan)| match plan {
            StepPlan::Restored => Some((name, name)),
            StepPlan::Renamed(old) => Some((name, old)),
            _ => None,
        });
        now.filter_map(|(name, old)| Some((name.clone(), steps.remove(old)?))).collect()
    }
}

impl fmt::Display for RestorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epoch {
            None => writeln!(f, "there is no checkpoint: the job starts from the beginning")?,
            Some(epoch) if self.finished => writeln!(f, "the job has ended with checkpoint {epoch}")?,
            Some(epoch) if self.is_possible() => writeln!(f, "the job can start from checkpoint {epoch}")?,
            Some(epoch) => writeln!(f, "the job cannot start from checkpoint {epoch}")?,
        }
        self.refused.iter().try_for_each(|why| writeln!(f, "  {why}"))?;
        self.steps.iter().try_for_each(|(name, plan)| writeln!(f, "  step `{name}`: {plan}"))
    }
}

/// Why the directory of a job's own checkpoints may not be this one, if so: a savepoint that is used as one would be
/// removed with the first old checkpoints.
pub(crate) fn own_refusal(manifest: &Manifest) -> Option<String> {
    let why = "it is a savepoint: give the job a directory of its own, and start from this one by \
               `Config::from_savepoint`";
    (manifest.kind == ManifestKind::Savepoint).then(|| why.to_owned())
}

/// What speaks against the checkpoint as a whole.
fn refusals(manifest: &Manifest, job: &JobDescription) -> Vec<String> {
    let mut refused = Vec::new();
    if manifest.job != job.job {
        refused.push(format!("it belongs to job `{}`, this is `{}`", manifest.job, job.job));
    }
    if manifest.max_parallelism != job.max_parallelism {
        let (saved, now) = (manifest.max_parallelism, job.max_parallelism);
        refused.push(format!(
            "it was written with max_parallelism {saved}, the job now has {now}; set it to {saved}"
        ));
    }
    refused
}

/// What becomes of a step of the checkpoint, and its name now.
fn fate(name: &str, step: &StepManifest, job: &JobDescription, is_savepoint: bool) -> (String, StepPlan) {
    let now = job.changes.renamed.get(name).map_or(name, String::as_str);
    let fate = match job.schemas.get(now) {
        Some(schema) => match schema.check(now, &step.schema) {
            Ok(()) if now == name => StepPlan::Restored,
            Ok(()) => StepPlan::Renamed(name.to_owned()),
            Err(why) => StepPlan::Refused(why),
        },
        None if !job.changes.removed.contains(name) => StepPlan::Refused(format!(
            "it holds step `{name}` ({}), the job has none so named; if it has another name now, say so by \
             `Config::renamed`; if it is no longer needed, by `Config::allow_removed`",
            step.schema
        )),
        // Its output may be prepared and not yet visible: nobody would commit it.
        None if step.parts.iter().any(|part| part.prepared.is_some()) && !is_savepoint => {
            StepPlan::Refused(format!(
                "step `{name}` is a sink that the job has no more, and its output of this checkpoint may not be visible \
                 yet; stop the job as it was with a savepoint, and start from that"
            ))
        }
        None if step.parts.iter().any(|part| part.overtaken.is_some()) => StepPlan::Refused(format!(
            "records were on their way to step `{name}`, which the job has no more; stop the job as it was with a savepoint, \
             and start from that"
        )),
        None => StepPlan::Removed,
    };
    (now.to_owned(), fate)
}
