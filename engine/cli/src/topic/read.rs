//! Records of a topic as lines of JSON.

use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::thread::sleep;
use std::time::Duration;

use millstream::topic::{Cursor, Isolation, Record, TopicReader};
use millstream_storage::disk::{StdDisk, block_on};
use serde_json::{Map, Value as Json, json};

use super::failed;

/// How long to wait before asking for more.
const POLL: Duration = Duration::from_millis(50);

/// What is read.
#[derive(clap::Args)]
pub struct Options {
    /// The topic
    dir: PathBuf,
    /// Only this partition [default: all]
    #[arg(long)]
    partition: Option<u32>,
    /// The first offset, in each partition [default: the first that is left]
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
    /// Stop after so many records
    #[arg(long, value_name = "RECORDS")]
    limit: Option<u64>,
    /// Wait for more at the end
    #[arg(long)]
    follow: bool,
    /// Only committed records: this is the default
    #[arg(long, conflicts_with = "uncommitted")]
    committed: bool,
    /// Also records of open and aborted transactions, and such as are not known to be durable
    #[arg(long)]
    uncommitted: bool,
}

/// Prints the records, partition by partition, or as they come.
pub fn run(options: &Options, output: &mut dyn Write) -> io::Result<()> {
    let isolation = if options.uncommitted { Isolation::Uncommitted } else { Isolation::Committed };
    let mut reader =
        block_on(TopicReader::open(Rc::new(StdDisk), &options.dir, isolation)).map_err(failed)?;
    let mut cursors = block_on(cursors(options, &mut reader)).map_err(failed)?;
    let mut left = options.limit.unwrap_or(u64::MAX);
    loop {
        let mut quiet = true;
        for cursor in &mut cursors {
            while let Some(records) = block_on(reader.next(cursor)).map_err(failed)? {
                quiet = false;
                for record in &records {
                    if left == 0 {
                        return Ok(());
                    }
                    left -= 1;
                    print(cursor.partition(), &record, output)?;
                }
                if options.follow {
                    break;
                }
            }
        }
        if !options.follow {
            return Ok(());
        }
        if quiet {
            output.flush()?;
            sleep(POLL);
        }
    }
}

async fn cursors(
    options: &Options,
    reader: &mut TopicReader,
) -> Result<Vec<Cursor>, millstream::topic::TopicError> {
    let all = 0..reader.partitions();
    let partitions = options.partition.map_or(all, |only| only..only.saturating_add(1));
    let mut cursors = Vec::new();
    for partition in partitions {
        let start = match options.from {
            Some(from) => from,
            None => reader.range(partition).await?.start,
        };
        cursors.push(reader.seek(partition, start).await?);
    }
    Ok(cursors)
}

fn print(partition: u32, record: &Record<'_>, output: &mut dyn Write) -> io::Result<()> {
    let mut line = json!({
        "partition": partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "value": value(record.value),
    });
    if let Some(key) = record.key {
        line["key"] = value(key);
    }
    let headers: Map<String, Json> =
        record.headers.map(|(name, bytes)| (name.to_owned(), value(bytes))).collect();
    if !headers.is_empty() {
        line["headers"] = Json::Object(headers);
    }
    serde_json::to_writer(&mut *output, &line)?;
    writeln!(output)
}

/// JSON as it is, other text as a string, and other bytes in hexadecimal.
fn value(bytes: &[u8]) -> Json {
    if let Ok(json) = serde_json::from_slice(bytes) {
        return json;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    }
}
