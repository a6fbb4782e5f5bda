//! Benchmarks of Millstream, each beside the limit that the machine itself sets.
//!
//! ```text
//! millstream-bench keyed-sum --keys 1000000 --cores 2
//! millstream-bench latency --rate 100000
//! millstream-bench direct-write --disk /var/lib
//! millstream-bench limits
//! millstream-bench store
//! millstream-bench nexmark --query q5 --input events.jsonl.gz --output q5.csv
//! ```
//! Each prints a table and, with `--json FILE`, writes the same as JSON with the environment it was measured in.

mod bare;
mod direct_write;
mod events;
mod keyed_sum;
mod latency;
mod limits;
mod recovery;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use millstream_bench::nexmark;
use millstream_bench::report;
use millstream_bench::store;

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
    /// The state store: updates, reads, scans, snapshots, checkpoints and recovery, beside a hash map and the disk.
    Store(store::Args),
    /// How soon a job puts something out after a restart, and how long checkpoints take behind a slow sink.
    Recovery(recovery::Args),
    /// The queries of Nexmark over a file.
    Nexmark(nexmark::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let measured = match &cli.command {
        Command::KeyedSum(args) => keyed_sum::run(args).map(Some),
        Command::Latency(args) => latency::run(args).map(Some),
        Command::DirectWrite(args) => direct_write::run(args).map(Some),
        Command::Limits(args) => limits::run(args).map(Some),
        Command::Store(args) => store::run(args, &store::OURS),
        Command::Recovery(args) => recovery::run(args).map(Some),
        Command::Nexmark(args) => nexmark::run(args),
    };
    match measured.and_then(|report| report.map_or(Ok(()), |report| report.publish(cli.json.as_deref()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
