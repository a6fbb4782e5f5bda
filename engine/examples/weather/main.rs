//! Weather: how late New York's flights leave in which weather. Two streams meet: departures, which come out of order,
//! and observations, of which the one in force at the scheduled time counts.
//!
//! ```text
//! cargo run --release --example weather
//! ```
//! reads the flights of January 2013 and the weather of that year, which are kept in the repository. With `--output DIR`
//! the departures are written to files with their weather, exactly once.
//!
//! `job.rs` is the job; the rest is about options and the table.

mod job;
#[path = "../flights/progress.rs"]
mod progress;
mod table;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;

use job::Flight;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

/// How late New York's flights leave in which weather.
#[derive(Parser)]
#[command(name = "weather")]
struct Options {
    /// Files of flights: NDJSON, plain, gzip or zstd [default: January 2013, from the repository]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    flights: Vec<PathBuf>,
    /// Files of observations [default: 2013, from the repository]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    weather: Vec<PathBuf>,
    /// How many hours behind the latest scheduled departure a record may come
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    out_of_orderness: u64,
    /// Write the departures and the late records to files in here, exactly once
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// How many cores to run on [default: all]
    #[arg(long, value_name = "N")]
    cores: Option<usize>,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weather: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let or = |paths: Vec<PathBuf>, name: &str| match paths.is_empty() {
        true => vec![PathBuf::from(DATA).join(name)],
        false => paths,
    };
    let flights = files(or(options.flights, "flights-2013-01.ndjson.gz"));
    let observations = files(or(options.weather, "weather-2013.ndjson.gz"));
    let bound = hours(options.out_of_orderness);
    let config = match options.cores {
        Some(cores) => Config::new().cores(cores),
        None => Config::new(),
    };
    let Some(dir) = options.output else {
        let ((out, departures), (aside, late)) = (collect(), collect::<Flight>());
        let report = progress::watch(job::weather(flights, observations, bound, out, aside).start(config)?)?;
        print!("{}", table::by_weather(&departures.take()));
        println!("{} records in {:.2?}, {} late", report.records_in, report.elapsed, late.take().len());
        return Ok(());
    };
    let (out, late) = (ndjson_dir(dir.join("departures")), ndjson_dir(dir.join("late")));
    let config = config.checkpoints(dir.join("checkpoints"));
    let report = progress::watch(job::weather(flights, observations, bound, out, late).start(config)?)?;
    println!("{} records in {:.2?}, {} late", report.records_in, report.elapsed, report.late);
    println!("files: {0}/departures and {0}/late", dir.display());
    Ok(())
}
