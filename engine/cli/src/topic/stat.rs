//! A topic at a glance.

use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

use millstream::topic::{Isolation, TopicReader, TopicStat};
use millstream_storage::disk::{StdDisk, block_on};

use super::failed;
use super::output::table;

/// Prints partitions and open transactions.
pub fn run(dir: &Path, json: bool, output: &mut dyn Write) -> io::Result<()> {
    let mut reader =
        block_on(TopicReader::open(Rc::new(StdDisk), dir, Isolation::Committed)).map_err(failed)?;
    let stat = block_on(reader.stat()).map_err(failed)?;
    if json {
        serde_json::to_writer_pretty(&mut *output, &stat)?;
        return writeln!(output);
    }
    table(&partitions(&stat), output)?;
    writeln!(output)?;
    if stat.open.is_empty() {
        writeln!(output, "no open transactions, {} aborted", stat.aborted)
    } else {
        table(&transactions(&stat), output)?;
        writeln!(output, "\n{} aborted transactions", stat.aborted)
    }
}

fn partitions(stat: &TopicStat) -> Vec<Vec<String>> {
    let mut rows = vec![["partition", "start", "end", "segments", "bytes"].map(str::to_owned).to_vec()];
    for (number, of) in stat.partitions.iter().enumerate() {
        let fields = [number as u64, of.start, of.end, of.segments as u64, of.bytes];
        rows.push(fields.map(|field| field.to_string()).to_vec());
    }
    rows
}

fn transactions(stat: &TopicStat) -> Vec<Vec<String>> {
    let mut rows = vec![["transaction", "producer", "epoch", "prepared as"].map(str::to_owned).to_vec()];
    for open in &stat.open {
        let prepared = open.prepared.map_or("-".to_owned(), |id| id.to_string());
        rows.push(vec![
            open.transaction.to_string(),
            open.producer.clone(),
            open.epoch.to_string(),
            prepared,
        ]);
    }
    rows
}
