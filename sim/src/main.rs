//! `millstream-sim`: the command line over the scenarios of this crate.

use std::process::ExitCode;

use millstream_sim::{cli, scenario};

fn main() -> ExitCode {
    cli::run(scenario::all())
}
