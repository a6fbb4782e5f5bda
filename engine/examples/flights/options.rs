//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use millstream::prelude::*;

use crate::job::Rules;

/// The flights in the repository. The path is the same from wherever in the workspace this is compiled.
const JANUARY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/examples/data/flights-2013-01.ndjson.gz");

/// The worst hours at New York's airports, by delay of departure.
#[derive(Parser)]
#[command(name = "flights")]
pub struct Options {
    /// Files or directories of flights: NDJSON, plain, gzip or zstd [default: January 2013, from the repository]
    #[arg(long, value_name = "FILE", num_args = 1.., default_value = JANUARY, hide_default_value = true)]
    pub input: Vec<PathBuf>,
    /// The length of a window
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = positive)]
    window: Duration,
    /// How far behind the latest scheduled departure a record may come
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = duration)]
    out_of_orderness: Duration,
    /// How long after its end a window still takes records
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    allowed_lateness: Duration,
    /// Keep the topics, of the flights, the hours and the late records, in here [default: in a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// No topics: read the files as they are, and write hours and late records to files in here
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    pub output: Option<PathBuf>,
    /// Where checkpoints are kept [default: checkpoints in the directory]
    #[arg(long, value_name = "DIR")]
    checkpoints: Option<PathBuf>,
    /// How often a checkpoint is taken, and output becomes visible
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = positive)]
    checkpoint_every: Duration,
    /// How many cores to run on [default: all]
    #[arg(long, value_name = "N")]
    cores: Option<usize>,
    /// What drives the cores: auto, uring or threads
    #[arg(long, value_name = "NAME", default_value = "auto")]
    runtime: RuntimeKind,
    /// The most records in a batch [default: the engine's]
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
}

impl Options {
    /// What concerns the job.
    pub fn rules(&self) -> Rules {
        let Options { window, out_of_orderness, allowed_lateness, .. } = *self;
        Rules { window, out_of_orderness, allowed_lateness }
    }

    /// What concerns the run in a directory.
    pub fn config(&self, dir: &Path) -> Config {
        let checkpoints = self.checkpoints.clone().unwrap_or_else(|| dir.join("checkpoints"));
        let mut config = Config::new()
            .runtime(self.runtime)
            .checkpoints(checkpoints)
            .checkpoint_every(self.checkpoint_every);
        if let Some(cores) = self.cores {
            config = config.cores(cores);
        }
        if let Some(records) = self.batch_size {
            config = config.batch_size(records);
        }
        config
    }
}

/// Reads times like `250ms`, `5s`, `90m`, `2h` or `1d`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("write a whole number and its unit: 250ms, 5s, 90m, 2h or 1d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "the unit needs a whole number before it: 5s".to_owned())?;
    let millis = number.checked_mul(unit).filter(|millis| i64::try_from(*millis).is_ok());
    millis.map(Duration::from_millis).ok_or_else(|| "that is longer than time is counted".to_owned())
}

/// The same, but not 0.
fn positive(text: &str) -> Result<Duration, String> {
    duration(text)?
        .checked_sub(millis(1))
        .map(|rest| rest + millis(1))
        .ok_or_else(|| "it must be more than 0".into())
}
