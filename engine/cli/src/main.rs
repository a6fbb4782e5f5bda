//! The `millstream` command.

mod doctor;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A stateful stream processor: thread-per-core, event time, exactly once.
#[derive(Parser)]
#[command(name = "millstream", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Look at this machine: what the engine can use, what denies it, and which runtime `auto` chooses
    Doctor(doctor::Options),
}

fn main() -> ExitCode {
    let Arguments { command: Command::Doctor(options) } = Arguments::parse();
    match doctor::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millstream: {error}");
            ExitCode::FAILURE
        }
    }
}
