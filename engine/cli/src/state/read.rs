//! The entries of a state as lines of JSON.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use millstream::checkpoint::read::JsonReader;
use millstream_storage::disk::block_on;

use super::Checkpoint;
use crate::checkpoint::Outcome;
use crate::text::size;

/// How often progress is shown.
const EVERY: Duration = Duration::from_millis(200);

/// What is read.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    checkpoint: Checkpoint,
    /// The state's name; `state ls` lists them
    #[arg(long, value_name = "NAME")]
    state: String,
    /// The step's name, if several have a state of that name
    #[arg(long)]
    step: Option<String>,
    /// Only this key: numbers and text as they are, tuples as arrays of JSON, others as `hex:` and their encoding
    #[arg(long, allow_hyphen_values = true)]
    key: Option<String>,
    /// Stop after so many entries
    #[arg(long, value_name = "ENTRIES")]
    limit: Option<u64>,
    /// How much of the state may be in memory at a time, in MiB; a larger one is read in several passes
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..1 << 30))]
    memory: u64,
}

/// Prints the entries. Nothing is printed of a state with a damaged file.
pub fn run(options: &Options, output: &mut dyn Write) -> Outcome {
    let (checkpoints, manifest) = options.checkpoint.open()?;
    let mut reader = checkpoints.json(&manifest, options.step.as_deref(), &options.state)?;
    reader.memory(options.memory << 20);
    if let Some(key) = &options.key {
        reader.only_key(key)?;
    }
    if io::stderr().is_terminal() {
        show_progress(&mut reader);
    }
    for _ in 0..options.limit.unwrap_or(u64::MAX) {
        let Some(entry) = block_on(reader.next())? else { break };
        serde_json::to_writer(&mut *output, &entry).map_err(io::Error::from)?;
        writeln!(output)?;
    }
    Ok(())
}

/// On one line, which is gone at the end.
fn show_progress(reader: &mut JsonReader) {
    let mut shown = Instant::now();
    let mut any = false;
    reader.on_progress(move |read, of| {
        if read == of && any {
            eprint!("\r\x1b[K");
        } else if read < of && shown.elapsed() >= EVERY {
            (shown, any) = (Instant::now(), true);
            eprint!("\rreading: {} of {}\x1b[K", size(read), size(of));
        }
    });
}
