//! The pipeline of the soak, and who feeds it. Both may be killed at any moment, and started again.
//!
//! `soak_job feed DIR --seed 1 --orders 10000` appends orders and payments to two topics in DIR; `soak_job run DIR` reads
//! them, and writes to topics, files and PostgreSQL.

mod feed;
mod job;
mod told;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser};
use millstream::prelude::*;

#[derive(Parser)]
enum Command {
    /// Append what is not there yet of the orders and payments
    Feed {
        dir: PathBuf,
        #[arg(long)]
        seed: u64,
        #[arg(long)]
        orders: u64,
        /// Microseconds from one group to the next
        #[arg(long, default_value_t = 0)]
        pace: u64,
    },
    /// Settle
    Run(Run),
}

#[derive(Args)]
struct Run {
    dir: PathBuf,
    /// The address of a server with the tables
    #[arg(long)]
    postgres: Option<String>,
    #[arg(long, default_value_t = 2)]
    cores: usize,
    #[arg(long, default_value = "auto")]
    runtime: RuntimeKind,
    #[arg(long, default_value_t = 1024)]
    batch_size: usize,
    /// Milliseconds from one checkpoint to the next
    #[arg(long, default_value_t = 10)]
    checkpoint_every: u64,
    /// Microseconds of rest after every fifty orders, so that there are many checkpoints
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// Milliseconds that a barrier waits before it overtakes records; never if it is 0
    #[arg(long, default_value_t = 0)]
    overtakes_after: u64,
    /// More will be appended: do not end
    #[arg(long)]
    follow: bool,
}

impl Run {
    fn config(&self) -> Config {
        let config = Config::new()
            .cores(self.cores)
            .runtime(self.runtime)
            .batch_size(self.batch_size)
            // A checkpoint goes on between steps only.
            .step_budget(self.batch_size)
            .checkpoints(self.dir.join("checkpoints"))
            .checkpoint_every(millis(self.checkpoint_every));
        match self.overtakes_after {
            0 => config,
            after => config.unaligned_after(millis(after)),
        }
    }
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Feed { dir, seed, orders, pace } => {
            feed::feed(&dir, seed, orders, Duration::from_micros(pace)).map_err(|error| error.to_string())
        }
        Command::Run(run) => {
            let ran = job::settle(&run).run(run.config());
            ran.map(|report| told::over(&report)).map_err(|error| error.to_string())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak_job: {error}");
            ExitCode::FAILURE
        }
    }
}
