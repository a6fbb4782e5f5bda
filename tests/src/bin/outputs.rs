//! A job that writes the same records to files of every kind, to be killed and started again.
//!
//! `outputs DIR RECORDS CORES RUNTIME` writes to `parquet`, `csv`, `long` and `lines` in DIR, with checkpoints beside them.

use std::process::ExitCode;

use millstream::prelude::*;
use millstream_tests::outputs::{Reading, format, reading};

fn main() -> ExitCode {
    match run() {
        Ok(finished_before) => {
            println!("{}", if finished_before { "had finished before" } else { "finished" });
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("outputs: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> std::result::Result<bool, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, records, cores, runtime] = &arguments[..] else {
        return Err("usage: outputs DIR RECORDS CORES RUNTIME".into());
    };
    let dir = std::path::Path::new(dir);
    let job = Job::new("outputs");
    let readings = job.source("readings", generator(records.parse()?, reading));
    let by_station = |reading: &Reading| format!("half={}/place={}", reading.station % 2, reading.station);
    let parquet = file_sink(dir.join("parquet")).format(format()).roll_at(200_000).open_files(3);
    readings.clone().sink("parquet", parquet.partition_by(by_station));
    readings.clone().sink("csv", file_sink(dir.join("csv")).csv().roll_at(100_000).partition_by(by_station));
    let long = file_sink(dir.join("long")).across_checkpoints().roll_at(1 << 20).roll_after(millis(300));
    readings.clone().sink("long", long.partition_by(by_station));
    readings.sink("lines", ndjson_dir(dir.join("lines")));
    let config = Config::new()
        .cores(cores.parse()?)
        .runtime(runtime.parse()?)
        .checkpoints(dir.join("checkpoints"))
        .checkpoint_every(millis(10));
    Ok(job.run(config)?.already_finished)
}
