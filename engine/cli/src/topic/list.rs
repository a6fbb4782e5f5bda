//! The topics in a directory.

use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

use millstream::topic::{Isolation, TopicError, TopicReader};
use millstream_storage::disk::{Disk, StdDisk, block_on};

use super::failed;
use super::output::table;

/// Prints name, partitions and records of each topic: the directory itself, or those right below it.
pub fn run(dir: &Path, output: &mut dyn Write) -> io::Result<()> {
    let mut names = vec![".".to_owned()];
    let entries = block_on(StdDisk.list(dir))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot list {}: {error}", dir.display())))?;
    names.extend(entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name));
    let mut rows = vec![["topic", "partitions", "records", "bytes"].map(str::to_owned).to_vec()];
    for name in names {
        let opened = block_on(TopicReader::open(Rc::new(StdDisk), &dir.join(&name), Isolation::Committed));
        let mut reader = match opened {
            Err(TopicError::NoTopic { .. } | TopicError::Refused { .. }) => continue,
            opened => opened.map_err(failed)?,
        };
        let stat = block_on(reader.stat()).map_err(failed)?;
        let records: u64 = stat.partitions.iter().map(|partition| partition.end - partition.start).sum();
        let bytes: u64 = stat.partitions.iter().map(|partition| partition.bytes).sum();
        rows.push(vec![name, stat.partitions.len().to_string(), records.to_string(), bytes.to_string()]);
    }
    table(&rows, output)
}
