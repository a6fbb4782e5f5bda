//! `millstream doctor`: the whole picture of a machine at a glance.

mod costs;
mod directory;
mod machine;
mod report;

use std::io::{self, Write};
use std::path::PathBuf;

use millstream::host::RuntimeKind;
use millstream::host::probe::{Facts, diagnose, probe_direct};
use serde::Serialize;

use costs::Costs;
use directory::Directory;
use machine::Machine;

/// What to look at, and how to print it.
#[derive(clap::Args)]
pub struct Options {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// The directory whose file system is examined: where the job's state would live
    #[arg(long, default_value = ".", value_name = "DIRECTORY")]
    dir: PathBuf,
    /// The runtime whose costs are measured: auto, uring or threads
    #[arg(long, default_value_t, value_name = "RUNTIME")]
    runtime: RuntimeKind,
    /// Leave out what is measured: the costs of the cores and of the disk
    #[arg(long)]
    quick: bool,
}

/// Everything that was found.
#[derive(Serialize)]
struct Findings {
    machine: Machine,
    io_uring: Uring,
    directory: Directory,
    costs: Option<Result<Costs, String>>,
    /// What `auto` chooses: `uring` or `threads`.
    runtime: String,
}

/// The verdict on io_uring.
#[derive(Serialize)]
struct Uring {
    allowed: bool,
    /// Cause and cure, if it is denied.
    denied: Option<String>,
    /// Why direct I/O takes helper threads where the rest is allowed.
    direct_denied: Option<String>,
    features: Vec<&'static str>,
    operations: usize,
    /// kernel.io_uring_disabled; none before Linux 6.6.
    sysctl: Option<u8>,
    seccomp: String,
}

impl Uring {
    fn look() -> Uring {
        let facts = Facts::gather();
        let verdict = diagnose(&facts);
        let support = verdict.as_ref().ok().cloned().unwrap_or_default();
        Uring {
            allowed: verdict.is_ok(),
            direct_denied: probe_direct().err().map(|denied| denied.to_string()),
            denied: verdict.err().map(|denied| denied.to_string()),
            features: support.features,
            operations: support.operations,
            sysctl: facts.sysctl,
            seccomp: facts.seccomp.to_string(),
        }
    }
}

/// Examines the machine and prints what was found.
///
/// # Errors
/// If the output cannot be written.
pub fn run(options: &Options) -> io::Result<()> {
    let io_uring = Uring::look();
    let runtime = if io_uring.allowed { RuntimeKind::Uring } else { RuntimeKind::Threads };
    let findings = Findings {
        machine: Machine::look(),
        directory: Directory::look(&options.dir, !options.quick),
        costs: (!options.quick).then(|| costs::measure(options.runtime).map_err(|error| error.to_string())),
        io_uring,
        runtime: runtime.to_string(),
    };
    let mut output = io::stdout().lock();
    if options.json {
        serde_json::to_writer_pretty(&mut output, &findings)?;
        return writeln!(output);
    }
    report::print(&findings, &mut output)
}
