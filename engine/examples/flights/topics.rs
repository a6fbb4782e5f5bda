//! Into a topic, and out of one: each by a small job.

use std::path::{Path, PathBuf};

use millstream::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Appends the records of files to the topic in a directory, each once: where this is killed it goes on the next time, and
/// where it has come to its end nothing is left to do.
pub fn fill<T>(topic: &Path, input: &[PathBuf], config: Config) -> Result<()>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    // A replay reads what is there: this job is not the one that is replayed.
    if std::env::var_os(millstream::replay::VARIABLE).is_some() {
        return Ok(());
    }
    let job = Job::new("fill");
    job.source("files", files::<T>(input)).sink("topic", topic_sink(topic));
    job.run(config.checkpoints(topic.with_extension("filled")))?;
    Ok(())
}

/// The records of the topic in a directory: those that are committed.
pub fn read<T: DeserializeOwned + Send + 'static>(dir: &Path) -> Result<Vec<T>> {
    let (sink, records) = collect();
    let job = Job::new("read");
    job.source("topic", topic(dir)).sink("records", sink);
    job.run(Config::new().cores(1))?;
    Ok(records.take())
}
