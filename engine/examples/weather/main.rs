//! Weather: how late New York's flights leave in which weather. Two streams meet: departures, which come out of order,
//! and observations, of which the one in force at the scheduled time counts.
//!
//! ```text
//! cargo run --release --example weather
//! ```
//! appends the flights of January 2013 and the weather of that year, which are kept in the repository, to two topics; the
//! job reads them, and writes the departures with their weather to a third. `--dir DIR` keeps the topics: kill the process
//! and start it again. With `--output DIR` the job reads and writes files instead.
//!
//! `job.rs` is the job; the rest is about options and the table.

mod job;
#[path = "../flights/progress.rs"]
mod progress;
mod table;
#[path = "../flights/topics.rs"]
mod topics;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;

use job::{Flight, Observation};

const JANUARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/flights-2013-01.ndjson.gz");
const YEAR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/weather-2013.ndjson.gz");

/// How late New York's flights leave in which weather.
#[derive(Parser)]
#[command(name = "weather")]
struct Options {
    /// Files of flights: NDJSON, plain, gzip or zstd [default: January 2013, from the repository]
    #[arg(long, value_name = "FILE", num_args = 1.., default_value = JANUARY, hide_default_value = true)]
    flights: Vec<PathBuf>,
    /// Files of observations [default: 2013, from the repository]
    #[arg(long, value_name = "FILE", num_args = 1.., default_value = YEAR, hide_default_value = true)]
    weather: Vec<PathBuf>,
    /// How many hours behind the latest scheduled departure a record may come
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    out_of_orderness: u64,
    /// Keep the topics, of what comes in and of what goes out, in here [default: in a temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// No topics: read the files as they are, and write the departures and the late records to files in here
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    output: Option<PathBuf>,
    /// How many cores to run on [default: all]
    #[arg(long, value_name = "N")]
    cores: Option<usize>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weather: {error}");
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

/// From topics to topics.
fn by_topics(options: &Options, dir: &Path) -> Result<(), Box<dyn Error>> {
    let [flights, observations] = ["flights", "observations"].map(|name| dir.join(name));
    topics::fill::<Flight>(&flights, &options.flights, options.config(dir))?;
    topics::fill::<Observation>(&observations, &options.weather, options.config(dir))?;
    let [departures, late] = ["departures", "late"].map(|name| dir.join(name));
    let (out, aside) = (topic_sink(&departures), topic_sink(&late));
    let bound = hours(options.out_of_orderness);
    watch(job::weather(topic(flights), topic(observations), bound, out, aside), options, dir)?;
    print!("{}", table::by_weather(&topics::read(&departures)?));
    if options.dir.is_some() {
        println!("topics: {} and {}", departures.display(), late.display());
    }
    Ok(())
}

/// From files to files.
fn by_files(options: &Options, dir: &Path) -> Result<(), Box<dyn Error>> {
    let (flights, observations) = (files(&options.flights), files(&options.weather));
    let [departures, late] = ["departures", "late"].map(|name| dir.join(name));
    let (out, aside) = (ndjson_dir(&departures), ndjson_dir(&late));
    let bound = hours(options.out_of_orderness);
    watch(job::weather(flights, observations, bound, out, aside), options, dir)?;
    println!("files: {} and {}", departures.display(), late.display());
    Ok(())
}

fn watch(job: Job, options: &Options, dir: &Path) -> Result<(), Box<dyn Error>> {
    let report = progress::watch(job.start(options.config(dir))?)?;
    println!("{} records in {:.2?}, {} late", report.records_in, report.elapsed, report.late);
    Ok(())
}

impl Options {
    fn config(&self, dir: &Path) -> Config {
        let config = Config::new().checkpoints(dir.join("checkpoints"));
        match self.cores {
            Some(cores) => config.cores(cores),
            None => config,
        }
    }
}
