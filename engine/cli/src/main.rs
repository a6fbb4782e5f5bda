//! The `millstream` command.

mod checkpoint;
mod doctor;
mod replay;
mod state;
mod text;
mod topic;

use std::error::Error;
use std::io;
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
    /// Look at the checkpoints of a job
    #[command(subcommand)]
    Checkpoint(checkpoint::Command),
    /// Look at the state in a checkpoint, key by key
    #[command(subcommand)]
    State(state::Command),
    /// Look at embedded topics, append to them, read them
    #[command(subcommand)]
    Topic(topic::Command),
    /// Run a job again from a checkpoint, up to a record of its input, without writing anything
    Replay(replay::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Doctor(options) => doctor::run(&options).map_err(Into::into),
        Command::Checkpoint(command) => checkpoint::run(&command),
        Command::State(command) => state::run(&command),
        Command::Topic(command) => topic::run(&command).map_err(Into::into),
        Command::Replay(options) => match replay::run(&options) {
            Ok(never) => match never {},
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millstream: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
