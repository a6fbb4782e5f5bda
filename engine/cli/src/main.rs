//! The `millstream` command.

mod doctor;
mod topic;

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
    /// Look at embedded topics, append to them, read them
    #[command(subcommand)]
    Topic(topic::Command),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Doctor(options) => doctor::run(&options),
        Command::Topic(command) => topic::run(&command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millstream: {error}");
            ExitCode::FAILURE
        }
    }
}
