//! What a job is, as far as its checkpoints are concerned: for asking whether it can start from one, without it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkpoint::manifest::Schema;
use crate::error::{Error, ErrorKind, Result};
use crate::state::schema::Accepted;

/// The version of a description's form.
const FORMAT: u32 = 1;

/// A job's steps and what they make of state that was saved. Made by [`Job::describe`](crate::Job::describe); a program
/// writes it to a file, and `millstream checkpoint check` compares it with a checkpoint or a savepoint.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::checkpoint::description::JobDescription;
/// # let dir = tempfile::tempdir()?;
/// # let file = dir.path().join("job.json");
///
/// let job = Job::new("doc");
/// job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
/// let description: JobDescription = job.describe(&Config::new().cores(1))?;
/// description.save(&file)?;
/// assert_eq!(JobDescription::load(&file)?, description);
/// assert_eq!(description.job(), "doc");
/// assert_eq!(description.to_json()["job"], "doc");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct JobDescription {
    pub(crate) job: String,
    pub(crate) max_parallelism: u32,
    pub(crate) schemas: BTreeMap<String, Schema>,
    pub(crate) changes: Changes,
}

/// How a job differs from the one whose checkpoints it may be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changes {
    /// The names of steps now, by those they had.
    #[serde(default)]
    pub renamed: BTreeMap<String, String>,
    /// The steps that a checkpoint may hold although the job has them no more.
    #[serde(default)]
    pub removed: BTreeSet<String>,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Form {
    format: u32,
    job: String,
    max_parallelism: u32,
    steps: BTreeMap<String, Step>,
    #[serde(flatten)]
    changes: Changes,
}

#[derive(Serialize, Deserialize)]
struct Step {
    schema: Schema,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    accepts: BTreeMap<String, Accepted>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    given_up: BTreeSet<String>,
}

impl Changes {
    /// # Errors
    /// If a step is renamed to one that the job has not, or if a step of the old name is still there: the next
    /// checkpoint would hold it, and it would be renamed again.
    pub(crate) fn check(&self, schemas: &BTreeMap<String, Schema>) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        for (old, new) in &self.renamed {
            if !schemas.contains_key(new) {
                return refuse(format!("step `{old}` is renamed to `{new}`; the job has none so named"));
            }
            if schemas.contains_key(old) {
                return refuse(format!(
                    "step `{old}` is renamed to `{new}`, and the job has a step `{old}`; give that one a new name"
                ));
            }
        }
        Ok(())
    }
}

impl JobDescription {
    /// The job's name.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// As it stands in a file.
    pub fn to_json(&self) -> serde_json::Value {
        let step = |(name, schema): (&String, &Schema)| {
            let Schema { accepted, given_up, .. } = schema;
            let (accepts, given_up) = (accepted.clone(), given_up.clone());
            (name.clone(), Step { schema: schema.clone(), accepts, given_up })
        };
        let form = Form {
            format: FORMAT,
            job: self.job.clone(),
            max_parallelism: self.max_parallelism,
            steps: self.schemas.iter().map(step).collect(),
            changes: self.changes.clone(),
        };
        serde_json::to_value(form).expect("a description has string keys only")
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        std::fs::write(path, format!("{:#}\n", self.to_json())).map_err(|error| {
            let message = format!("{}: the description of the job cannot be written", path.display());
            Error::new(ErrorKind::Job, message).caused_by(error)
        })
    }

    /// Reads what [`save`](JobDescription::save) wrote.
    ///
    /// # Errors
    /// If there is no such file, or it is not a description in this form.
    pub fn load(path: impl AsRef<Path>) -> Result<JobDescription> {
        let path = path.as_ref();
        let refuse = |what: String| Error::new(ErrorKind::Job, format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| {
            refuse("the description of the job cannot be read".to_owned()).caused_by(error)
        })?;
        let form: Form = serde_json::from_str(&text)
            .map_err(|error| refuse("it is not the description of a job".to_owned()).caused_by(error))?;
        if form.format != FORMAT {
            return Err(refuse(format!(
                "it is a description in form {}; this is form {FORMAT}",
                form.format
            )));
        }
        let schema = |(name, step): (String, Step)| {
            let Step { schema, accepts, given_up } = step;
            (name, Schema { accepted: accepts, given_up, ..schema })
        };
        let schemas = form.steps.into_iter().map(schema).collect();
        let Form { job, max_parallelism, changes, .. } = form;
        Ok(JobDescription { job, max_parallelism, schemas, changes })
    }
}
