//! `millstream topic`: looks at embedded topics, appends to them and reads them.

mod append;
mod list;
mod output;
mod read;
mod stat;

use std::io;
use std::path::PathBuf;

use clap::Subcommand;

/// What is to be done with topics.
#[derive(Subcommand)]
pub enum Command {
    /// Name the topics in a directory
    Ls {
        /// The directory; it may be a topic itself
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Append lines of text, one record each, all durable when the command ends
    Append(append::Options),
    /// Print records as lines of JSON
    Read(read::Options),
    /// Show partitions, offsets, bytes, segments and open transactions
    Stat {
        /// The topic
        dir: PathBuf,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

/// Does it.
///
/// # Errors
/// If the topic refuses, or the output cannot be written.
pub fn run(command: &Command) -> io::Result<()> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    match command {
        Command::Ls { dir } => list::run(dir, &mut output),
        Command::Append(options) => append::run(options, &mut output),
        Command::Read(options) => read::run(options, &mut output),
        Command::Stat { dir, json } => stat::run(dir, *json, &mut output),
    }?;
    io::Write::flush(&mut output)
}

/// The error of a topic as one of the command.
fn failed(error: millstream::topic::TopicError) -> io::Error {
    io::Error::other(error)
}
