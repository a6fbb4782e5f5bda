//! The state store beside other engines: the same keys in the same order, one thread, in turn.
//!
//! Every engine is set up as those who care for speed do: no log written ahead or none synced (a stream processor
//! recovers from its checkpoints), writes in sorted batches where the engine gains by them, filters, no compression,
//! and one budget for caches and write buffers.

mod batch;
mod fjall;
mod heed;
mod redb;
mod rocksdb;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millstream_bench::report::Outcome;
use millstream_bench::store::engine::{Engine, Setup};
use millstream_bench::store::{self, Roster};

const ROSTER: Roster = Roster {
    engines: &[
        "millstream",
        "hashbrown",
        "rocksdb",
        "rocksdb-batch",
        "rocksdb-merge",
        "fjall",
        "redb",
        "heed",
    ],
    open,
    command: &[],
};

#[derive(Parser)]
#[command(name = "millstream-peers", about = "Measure the state store beside other engines")]
struct Cli {
    #[command(flatten)]
    store: store::Args,
    /// Also write the figures to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let measured = store::run(&cli.store, &ROSTER);
    match measured.and_then(|report| report.map_or(Ok(()), |report| report.publish(cli.json.as_deref()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn open(setup: &Setup) -> Outcome<Option<Box<dyn Engine>>> {
    match setup.engine.as_str() {
        "rocksdb" => rocksdb::open(setup, rocksdb::Update::GetThenPut),
        "rocksdb-batch" => rocksdb::open(setup, rocksdb::Update::Batch),
        "rocksdb-merge" => rocksdb::open(setup, rocksdb::Update::Merge),
        "fjall" => fjall::open(setup).map(Some),
        "redb" => redb::open(setup).map(Some),
        "heed" => heed::open(setup),
        _ => store::open(setup),
    }
}
