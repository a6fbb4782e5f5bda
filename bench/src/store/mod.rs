//! The state store under load, beside a hash map here and, in the workspace `bench/peers`, beside other engines.
//!
//! Every engine lives in a process of its own, made from this same program, so that the memory it holds is its own
//! and its threads stop when it is told to. One conductor gives the processes the same work in turn, round after
//! round: what the machine does meanwhile falls on all of them.

mod cage;
pub mod engine;
mod goals;
mod hash_map;
mod keys;
mod larger;
mod millstream;
mod parts;
mod probe;
mod process;
mod serve;
mod table;
mod wire;

use std::path::PathBuf;

use crate::report::{Outcome, Report};
use crate::store::engine::{Engine, Opener, Setup};
use crate::store::table::Table;

/// The engines that take part, and how one is opened.
pub struct Roster {
    /// Their names, ours first.
    pub engines: &'static [&'static str],
    /// Opens one of them.
    pub open: Opener,
    /// The arguments by which this program gets to [`run`].
    pub command: &'static [&'static str],
}

/// Ours, and the hash map that every store is measured against.
pub const OURS: Roster = Roster { engines: &["millstream", "hashbrown"], open, command: &["store"] };

/// Opens an engine of [`OURS`]; `None` if it cannot do what the setup asks for.
///
/// # Errors
/// If the engine cannot be opened, or nobody knows it.
pub fn open(setup: &Setup) -> Outcome<Option<Box<dyn Engine>>> {
    match setup.engine.as_str() {
        "millstream" => millstream::open(setup).map(Some),
        "hashbrown" => Ok(hash_map::open(setup)),
        other => Err(format!("there is no engine {other}").into()),
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Updates, reads and scans of small values in memory, and the memory they take.
    Memory,
    /// Updates and reads of a state four times its memory budget.
    Larger,
    /// Appends to lists, and reads of whole lists.
    Lists,
    /// Iteration over the entries of maps.
    Maps,
    /// How long a snapshot stops the work.
    Pause,
    /// Updates with a checkpoint each second, beside the same without.
    Overhead,
    /// Writing a checkpoint and recovering from it, beside the disk alone.
    Disk,
    /// Restarts with a state larger than memory, by the index of its files and without.
    Restart,
}

/// How the store is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What is measured; all by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Only these engines.
    #[arg(long, value_delimiter = ',')]
    engines: Vec<String>,
    /// Numbers of keys in memory; several are measured in turn.
    #[arg(long, value_delimiter = ',', default_value = "1000000,10000000")]
    keys: Vec<u64>,
    /// Rounds of each measurement; the engines take turns in each.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each engine's turn.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// MiB that an engine may hold of the state that is four times as large.
    #[arg(long, default_value_t = 256)]
    budget_mib: u64,
    /// Elements that are appended to lists, and entries that are put into maps.
    #[arg(long, default_value_t = 10_000_000)]
    elements: u64,
    /// MiB of state whose snapshot is taken; several are measured in turn.
    #[arg(long, value_delimiter = ',', default_value = "10,1024,4096")]
    pause_mib: Vec<u64>,
    /// Snapshots that are taken of each.
    #[arg(long, default_value_t = 20)]
    snapshots: usize,
    /// Seconds of each turn with or without checkpoints.
    #[arg(long, default_value_t = 4.0)]
    overhead_seconds: f64,
    /// MiB of the checkpoints that are written and recovered.
    #[arg(long, default_value_t = 1024)]
    disk_mib: u64,
    /// The directory whose disk is used.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Be an engine: do what standard input says.
    #[arg(long, hide = true)]
    serve: bool,
}

/// Measures the store beside the engines of a roster.
///
/// # Errors
/// If an engine refuses, its process ends, or it did not do the work that it was given.
pub fn run(args: &Args, roster: &Roster) -> Outcome<Option<Report>> {
    if args.serve {
        return serve::serve(roster.open).map(|()| None);
    }
    let directory = tempfile::Builder::new().prefix(".millstream-store-").tempdir_in(&args.dir)?;
    let bench = parts::Bench::new(args, roster, directory.path())?;
    let mut table = Table::new();
    type Run = fn(&parts::Bench<'_>, &mut Table) -> Outcome<()>;
    let parts: [(Part, Run); 8] = [
        (Part::Memory, parts::memory::run),
        (Part::Larger, parts::larger::run),
        (Part::Lists, parts::collections::lists),
        (Part::Maps, parts::collections::maps),
        (Part::Pause, parts::pause::run),
        (Part::Overhead, parts::overhead::run),
        (Part::Disk, parts::disk::run),
        (Part::Restart, parts::restart::run),
    ];
    let chosen = |part: &Part| args.parts.is_empty() || args.parts.contains(part);
    for (_, run) in parts.iter().filter(|(part, _)| chosen(part)) {
        run(&bench, &mut table)?;
    }
    Ok(Some(table.finish()))
}
