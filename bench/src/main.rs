//! Benchmarks of Millstream, each beside the limit that the machine itself sets.
//!
//! ```text
//! millstream-bench keyed-sum --keys 1000000 --cores 2
//! millstream-bench latency --rate 100000
//! millstream-bench direct-write --disk /var/lib
//! millstream-bench limits
//! ```
//! Each prints a table and, with `--json FILE`, writes the same as JSON with the environment it was measured in.

mod bare;
mod direct_write;
mod events;
mod keyed_sum;
mod latency;
mod limits;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::Report;

#[derive(Parser)]
#[command(name = "millstream-bench", about = "Measure Millstream beside what the machine allows")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Also write the figures to this file, as JSON.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Sum per key in tumbling windows of 10 s of event time, generator inside, exchange included.
    KeyedSum(keyed_sum::Args),
    /// Open-loop latency of a keyed count at a fixed rate, from the time a record was due.
    Latency(latency::Args),
    /// Writing a file past the page cache on each runtime, as checkpoints do, beside plain writes.
    DirectWrite(direct_write::Args),
    /// What the machine allows: memory, caches, cores, disk, and bare keyed loops.
    Limits(limits::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let measured = match &cli.command {
        Command::KeyedSum(args) => keyed_sum::run(args),
        Command::Latency(args) => latency::run(args),
        Command::DirectWrite(args) => direct_write::run(args),
        Command::Limits(args) => limits::run(args),
    };
    match measured.and_then(|report| publish(&report, cli.json.as_deref())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn publish(report: &Report, json: Option<&std::path::Path>) -> report::Outcome<()> {
    println!("{report}");
    let Some(path) = json else { return Ok(()) };
    let text = serde_json::to_string_pretty(&report.to_json())?;
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
