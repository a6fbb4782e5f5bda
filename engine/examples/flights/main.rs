//! Flights: the worst hours at New York's airports, from a stream that comes out of order.
//!
//! ```text
//! cargo run --release --example flights
//! ```
//! reads the flights of January 2013 that are kept in the repository. With `--output DIR` the hours and the late
//! records are written to files, exactly once: kill the process as often as you like and start it again.
//!
//! `job.rs` is the job; the rest is about options, progress and the table.

mod civil;
mod job;
mod options;
mod progress;
mod table;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use millstream::sink::Collected;

use job::{Flight, Hour};
use options::Options;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flights: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where the results go.
enum Output<'a> {
    /// To `hourly/` and `late/` in a directory.
    Files(&'a Path),
    /// To memory, for the table alone.
    Memory(Collected<Hour>, Collected<Flight>),
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let rules = options.rules();
    let source = files(&options.input);
    let (job, output) = match &options.output {
        Some(dir) => {
            let (hours, late) = (ndjson_dir(dir.join("hourly")), ndjson_dir(dir.join("late")));
            (job::flights(source, rules, hours, late), Output::Files(dir))
        }
        None => {
            let ((hours, results), (late, aside)) = (collect(), collect());
            (job::flights(source, rules, hours, late), Output::Memory(results, aside))
        }
    };
    let handle = job.start(options.config())?;
    let (runtime, fallback) = (handle.runtime(), handle.fallback());
    let report = progress::watch(handle)?;
    let (hours, late) = match output {
        Output::Files(dir) => table::read(dir)?,
        Output::Memory(hours, late) => (hours.take(), late.take().len() as u64),
    };
    print!("{}", table::worst(&hours, &rules));
    print!("{}", table::summary(&report, late, runtime, fallback.as_deref()));
    if let Some(dir) = &options.output {
        println!("files: {0}/hourly and {0}/late", dir.display());
    }
    Ok(())
}
