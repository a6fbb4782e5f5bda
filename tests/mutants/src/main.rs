//! Mutation testing, one build for all mutants: each is behind a switch that the environment turns.
//!
//! The mutants are those that cargo-mutants lists; what it does not do here is to build each by itself, which would take
//! weeks. `tests/mutants/run` does all there is to do.

mod list;
mod plant;
mod report;
mod rewrite;
mod run;
mod sites;
mod units;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Plants mutants in a copy of the project, and looks which of them its tests notice.
#[derive(Debug, Parser)]
struct Options {
    /// The copy: its sources are changed.
    #[arg(long)]
    tree: PathBuf,
    /// What `cargo mutants --list --json` says of it.
    #[arg(long)]
    list: PathBuf,
    /// Only mutants of files that begin so; may be given again.
    #[arg(long)]
    only: Vec<String>,
    /// Where the results are kept; what is there already is not run again.
    #[arg(long)]
    output: PathBuf,
    /// At most so many, of all: a fair sample.
    #[arg(long, default_value_t = usize::MAX)]
    most: usize,
    /// No new one is begun after so many minutes.
    #[arg(long)]
    minutes: Option<u64>,
    /// How many run at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Seeds of each scenario of the simulator.
    #[arg(long, default_value_t = 40)]
    seeds: u64,
}

fn main() -> std::io::Result<()> {
    let mut options = Options::parse();
    std::fs::create_dir_all(&options.output)?;
    // The tests run in folders of their own.
    options.output = options.output.canonicalize()?;
    options.tree = options.tree.canonicalize()?;
    let mutants = list::read(&options.list, &options.only)?;
    let planted =
        plant::plant(&options.tree, &mutants, &["millstream", "millstream-storage"], &options.output)?;
    let units = units::build(&options.tree, options.seeds)?;
    let (baseline, failing) = run::baseline(&units, &options.output, options.jobs)?;
    let until = options.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let ids: Vec<usize> = planted.there.iter().copied().take(options.most).collect();
    run::mutants(&mutants, &ids, &baseline, &options.output, options.jobs, until)?;
    report::print(&mutants, &planted, &failing, &options.output)
}
