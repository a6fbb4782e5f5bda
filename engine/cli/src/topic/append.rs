//! Lines of text into a topic.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use millstream::topic::{BatchBuilder, Retention, TopicConfig, TopicWriter};
use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::hash::stable_hash;

use super::failed;

/// Bytes of lines that become durable together.
const GROUP: usize = 4 << 20;

/// What is appended, and where.
#[derive(clap::Args)]
pub struct Options {
    /// The topic
    dir: PathBuf,
    /// The lines [default: standard input]
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Make the topic if there is none, with so many partitions
    #[arg(long, value_name = "PARTITIONS")]
    create: Option<u32>,
    /// The partition [default: by key, or else 0]
    #[arg(long)]
    partition: Option<u32>,
    /// Each line begins with a key, which ends at this text
    #[arg(long, value_name = "SEPARATOR")]
    key: Option<String>,
    /// Remove segments all of whose records are older, in hours
    #[arg(long, value_name = "HOURS")]
    keep_hours: Option<u64>,
    /// Remove the oldest segments of a partition while it is larger, in bytes
    #[arg(long, value_name = "BYTES")]
    keep_bytes: Option<u64>,
}

/// Appends, and says how much.
pub fn run(options: &Options, output: &mut dyn Write) -> io::Result<()> {
    let input: Box<dyn BufRead> = match &options.from {
        Some(path) => Box::new(BufReader::new(File::open(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot open {}: {error}", path.display()))
        })?)),
        None => Box::new(BufReader::new(io::stdin().lock())),
    };
    let mut writer = open(options)?;
    let records = append(options, &mut writer, input)?;
    block_on(writer.retain(now())).map_err(failed)?;
    block_on(writer.close()).map_err(failed)?;
    writeln!(output, "{records} records")
}

fn open(options: &Options) -> io::Result<TopicWriter> {
    let disk = Rc::new(StdDisk);
    let writer = match options.create {
        None => block_on(TopicWriter::open(disk, &options.dir)),
        Some(partitions) => {
            let retention = Retention {
                max_age_millis: options.keep_hours.map(|hours| hours.saturating_mul(3_600_000)),
                max_bytes: options.keep_bytes,
            };
            let id = RandomState::new().build_hasher().finish();
            let config = TopicConfig::new(id).partitions(partitions).retention(retention);
            block_on(TopicWriter::open_or_create(disk, &options.dir, config))
        }
    };
    writer.map_err(failed)
}

fn append(options: &Options, writer: &mut TopicWriter, mut input: impl BufRead) -> io::Result<u64> {
    let mut batches: Vec<BatchBuilder> = (0..writer.partitions()).map(|_| BatchBuilder::new()).collect();
    let (mut line, mut records, mut gathered) = (Vec::new(), 0, 0);
    loop {
        line.clear();
        let more = input.read_until(b'\n', &mut line)? > 0;
        if more {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let (key, value) = split(options, text)?;
            let partition = options.partition.unwrap_or_else(|| {
                key.map_or(0, |key| (stable_hash(key) % u64::from(writer.partitions())) as u32)
            });
            let partitions = batches.len();
            let batch = batches.get_mut(partition as usize).ok_or_else(|| {
                io::Error::other(format!("the topic has partitions 0 to {}, not {partition}", partitions - 1))
            })?;
            batch.push(now(), key, value, &[]);
            records += 1;
            gathered += line.len();
        }
        if gathered >= GROUP || (!more && gathered > 0) {
            for (partition, batch) in (0..).zip(&mut batches) {
                writer.append(partition, batch.finish()).map_err(failed)?;
            }
            block_on(writer.flush()).map_err(failed)?;
            gathered = 0;
        }
        if !more {
            return Ok(records);
        }
    }
}

/// The key and the value of a line.
fn split<'a>(options: &Options, line: &'a [u8]) -> io::Result<(Option<&'a [u8]>, &'a [u8])> {
    let Some(separator) = options.key.as_deref().filter(|separator| !separator.is_empty()) else {
        return Ok((None, line));
    };
    let at = line.windows(separator.len()).position(|part| part == separator.as_bytes());
    let at = at.ok_or_else(|| {
        let line = String::from_utf8_lossy(line);
        io::Error::other(format!("this line has no key, as there is no {separator:?} in it: {line}"))
    })?;
    Ok((Some(&line[..at]), &line[at + separator.len()..]))
}

/// Milliseconds since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
