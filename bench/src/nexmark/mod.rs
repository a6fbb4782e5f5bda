//! Nexmark: the queries of an auction house, over a file of events or over a generator's.
//!
//! Over a file the final table of a query is written, to be compared byte for byte with what other engines make of the
//! same events. With the generator inside, queries are measured.

pub mod calendar;
pub mod event;
pub mod generate;
pub mod input;
mod measure;
pub mod queries;
pub mod table;
pub mod texts;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use millstream::prelude::*;
use millstream::sink::Collect;
use millstream::stream::chain::Chain;

use crate::report::{Outcome, Report};
use input::Input;
use measure::Plan;
use queries::{Consumer, Query};
use table::{Keyed, Row};

/// What the command is asked to do.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("of").required(true).args(["input", "events"]))]
pub struct Args {
    /// The query: q0 to q22, x1, x2, x5; to measure, `all` of q0 to q22, or several with commas in between.
    #[arg(long)]
    query: String,
    /// Events, one a line, as JSON; `.gz` is decompressed.
    #[arg(long, requires = "output")]
    input: Option<PathBuf>,
    /// The order in which they arrive: on each line the number of an event's line, from 0.
    #[arg(long, requires = "input")]
    order: Option<PathBuf>,
    /// Where the final table is written, as CSV.
    #[arg(long, requires = "input")]
    output: Option<PathBuf>,
    /// Measure with so many events of the generator.
    #[arg(long)]
    events: Option<u64>,
    /// Runs of each query that is measured, one after the other; the median is reported.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// What the generator begins from.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Cores.
    #[arg(long, default_value_t = 2)]
    cores: usize,
    /// auto, uring or threads.
    #[arg(long, default_value = "auto")]
    runtime: RuntimeKind,
    /// Records in a batch.
    #[arg(long, default_value_t = 1024)]
    batch_size: usize,
}

/// Writes the table of a query over a file, or measures.
///
/// # Errors
/// If a file cannot be read or written, or a job fails.
pub fn run(args: &Args) -> Outcome<Option<Report>> {
    let config = Config::new().cores(args.cores).runtime(args.runtime).batch_size(args.batch_size);
    let queries = queries_named(&args.query)?;
    if let (Some(input), Some(output)) = (&args.input, &args.output) {
        let [query] = queries[..] else { return Err("a file has room for the table of one query".into()) };
        let input = Input::open(input, args.order.as_deref())?;
        write(output, &answer(query, input, config)?)?;
        return Ok(None);
    }
    let events = args.events.ok_or("neither events nor a file of them are given")?;
    let Args { repeat, seed, cores, .. } = *args;
    measure::measure(&Plan { queries, events, repeat: repeat.max(1), seed, config, cores }).map(Some)
}

fn write(path: &Path, table: &str) -> Outcome<()> {
    std::fs::write(path, table).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// The queries with these names.
fn queries_named(names: &str) -> Outcome<Vec<Query>> {
    if names == "all" {
        return Ok(Query::ALL.iter().copied().filter(|query| query.name().starts_with('q')).collect());
    }
    names
        .split(',')
        .map(|name| Query::from_str(name, true).map_err(|error| format!("query {name}: {error}").into()))
        .collect()
}

/// The final table of a query, as CSV.
///
/// # Errors
/// If the job fails.
pub fn answer(query: Query, input: Input, config: Config) -> Outcome<String> {
    let job = Job::new(query.name());
    let (sink, lines) = collect();
    query.build(input.stream(&job), Tabulate(sink));
    job.run(config)?;
    Ok(table::text(query.columns(), lines.take()))
}

/// Collects the rows as lines.
struct Tabulate(Collect<Keyed>);

impl Consumer for Tabulate {
    fn consume<R: Row, C: Chain<Out = R>>(self, rows: Stream<R, C>) {
        table::lines(rows).sink("table", self.0);
    }
}
