//! Flights: the worst hours at New York's airports, from a stream that comes out of order.
//!
//! ```text
//! cargo run --release --example flights
//! ```
//! appends the flights of January 2013, which are kept in the repository, to a topic; the job reads that topic, and writes
//! the hours and the late records to two others. All of it is in one directory, which `--dir DIR` keeps: kill the process as
//! often as you like and start it again. With `--output DIR` the job reads and writes files instead.
//!
//! `job.rs` is the job, and `topics.rs` fills topics and reads them; the rest is about options, progress and the table.

mod civil;
mod job;
mod options;
mod progress;
mod table;
mod topics;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;

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

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    match (&options.dir, &options.output) {
        (_, Some(dir)) => by_files(options, dir),
        (Some(dir), None) => by_topics(options, dir),
        (None, None) => by_topics(options, tempfile::tempdir()?.path()),
    }
}

/// From a topic to topics.
fn by_topics(options: &Options, dir: &Path) -> Result<(), Box<dyn Error>> {
    let [flights, hours, late] = ["flights", "hours", "late"].map(|name| dir.join(name));
    topics::fill::<Flight>(&flights, &options.input, options.config(dir))?;
    let job = job::flights(topic(flights), options.rules(), topic_sink(&hours), topic_sink(&late));
    run_and_show(job, options, dir, || Ok((topics::read(&hours)?, topics::read::<Flight>(&late)?.len())))?;
    if options.dir.is_some() {
        println!("topics: {} and {}", hours.display(), late.display());
    }
    Ok(())
}

/// From files to files.
fn by_files(options: &Options, dir: &Path) -> Result<(), Box<dyn Error>> {
    let (hours, late) = (dir.join("hourly"), dir.join("late"));
    let job = job::flights(files(&options.input), options.rules(), ndjson_dir(&hours), ndjson_dir(&late));
    run_and_show(job, options, dir, || Ok(table::read(dir)?))?;
    println!("files: {} and {}", hours.display(), late.display());
    Ok(())
}

/// Runs the job, and shows what it has written.
fn run_and_show(
    job: Job,
    options: &Options,
    dir: &Path,
    written: impl FnOnce() -> Result<(Vec<Hour>, usize), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let handle = job.start(options.config(dir))?;
    let (runtime, fallback) = (handle.runtime(), handle.fallback());
    let report = progress::watch(handle)?;
    let (hours, late) = written()?;
    print!("{}", table::worst(&hours, &options.rules()));
    print!("{}", table::summary(&report, late, runtime, fallback.as_deref()));
    Ok(())
}
